"""Sheets to look at: samples of the model for fixed prompts and seeds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

PROMPTS = (
    "a woman, close-up portrait, front view, facing the camera, smiling, studio portrait, plain backdrop",
    "a man, close-up portrait, front view, facing the camera, neutral expression, outdoors, in a park",
    (
        "woman with long blonde hair, blue eyes, close-up portrait, three-quarter view, head turned to the left,"
        " indoors, in a living room"
    ),
    "man, beard, head and shoulders portrait, three-quarter view, head turned to the right, serious expression",
    "a woman, close-up portrait, side profile view, facing left, outdoors, in a park",
    "a man, head and shoulders portrait, side profile view, facing right, studio portrait, plain backdrop",
    (
        "woman, pink bob haircut, glasses, close-up portrait, front view, facing the camera, surprised expression,"
        " raised eyebrows"
    ),
    (
        "man, short black hair, dark skin, close-up portrait, front view, laughing, open mouth, high-key lighting,"
        " bright, airy"
    ),
    (
        "woman, red hair in a bun, head and shoulders portrait, front view, hands visible, raised hand, casual street"
        " setting, brick wall"
    ),
    (
        "man, half-body shot, from the waist up, front view, facing the camera, angry expression, frowning, indoors, in"
        " a living room"
    ),
    "woman, close-up portrait, front view, facing the camera, low-key lighting, dark, moody",
    "1girl, portrait, front view, looking at viewer, smiling, masterpiece, best quality",
)
NEGATIVE = "blurry, low quality, deformed, bad anatomy, watermark, text"
QUALITY = ", professional photography, high quality, detailed, sharp focus"


def grid(pictures: Sequence[NDArray[np.uint8]], columns: int) -> Image.Image:
    """Pictures (h, w, 3) of one size in rows of ``columns``."""
    blank = np.zeros_like(pictures[0])
    padded = [*pictures, *[blank] * (-len(pictures) % columns)]
    rows = [np.concatenate(padded[i : i + columns], axis=1) for i in range(0, len(padded), columns)]
    return Image.fromarray(np.concatenate(rows))


def samples(
    pipeline: Any,
    prompts: Sequence[str] = PROMPTS,
    *,
    per_prompt: int = 1,
    steps: int = 20,
    guidance: float = 4.0,
    seed: int = 0,
) -> list[NDArray[np.uint8]]:
    """One (256, 256, 3) picture per prompt and seed, prompt by prompt."""
    asked = [prompt + QUALITY for prompt in prompts for _ in range(per_prompt)]
    generators = [torch.Generator().manual_seed(seed + index) for index in range(len(asked))]
    made = pipeline(
        asked,
        negative_prompt=[NEGATIVE] * len(asked),
        num_inference_steps=steps,
        guidance_scale=guidance,
        height=256,
        width=256,
        generator=generators,
        output_type="np",
    ).images
    return [cast(NDArray[np.uint8], (picture * 255).round().astype(np.uint8)) for picture in made]
