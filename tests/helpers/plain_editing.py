"""What diffusers' own editing pipelines make of photos, called as anyone would call them."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from twinloop.domain.faces import ImageArray
from twinloop.domain.shots import Shot
from twinloop.families import Family
from twinloop.ports import GenerationSettings


def plain_pipeline(base: Path, family: Family, kind: str, lora: Path | None = None) -> Any:
    """The pipeline of a folder.

    Qwen's is put together by hand, because its processor cannot be loaded without torchvision.
    """
    import diffusers

    from twinloop.adapters.diffusion.seeing import place_pictures, seeing_processor

    made = getattr(diffusers, family.pipeline).from_pretrained(base, use_safetensors=True)
    if kind != family.pipeline:
        # diffusers 0.42 forgets to say where the pictures are (its issue 14194), so that the plain pipeline needs the
        # same help
        place_pictures(made.text_encoder)
        made = getattr(diffusers, kind)(**made.components, processor=seeing_processor(base, made.tokenizer))
    made.set_progress_bar_config(disable=True)
    if lora is not None:
        made.load_lora_weights(str(lora), adapter_name="ana")
    return made


def plain_edit(
    pipeline: Any, family: Family, shot: Shot, photos: Sequence[Path], settings: GenerationSettings
) -> ImageArray:
    import torch

    given: dict[str, Any] = {family.guidance.argument: settings.guidance}
    if family.name == "flux2-klein":  # takes negative prompts as embeddings only
        given["negative_prompt_embeds"] = pipeline.encode_prompt(shot.negative_prompt)[0]
    elif family.guidance.negative:
        given["negative_prompt"] = shot.negative_prompt
    if "max_area" in inspect.signature(pipeline.__call__).parameters:  # else it makes a megapixel
        given |= {"max_area": settings.width * settings.height, "_auto_resize": False}
    shown = [Image.open(path).convert("RGB") for path in photos]
    made = pipeline(
        image=shown if len(shown) > 1 else shown[0],
        prompt=shot.prompt,
        num_inference_steps=settings.steps,
        width=settings.width,
        height=settings.height,
        generator=torch.Generator().manual_seed(shot.seed),
        output_type="np",
        **given,
    ).images[0]
    return np.asarray((made * 255).round(), np.uint8)
