"""Qwen-Image-Edit, from the first to 2511: Qwen-Image that changes photos as the prompt says.

From text it draws as Qwen-Image does, with that model's pipeline and form of prompts, and so are LoRAs trained on it:
captions and photos, none of them a reference. Their layers are Qwen-Image's.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from twinloop.families import qwen_image
from twinloop.families.base import Editing, Preset
from twinloop.families.sizes import Size

ALONE = 1024 * 1024
OF_SEVERAL = 384 * 384
"""Pixels of a photo for the language model, as the two pipelines show it. The denoiser gets a megapixel of each from
both."""
_SEVERAL = "QwenImageEditPlusPipeline"
_BASE = qwen_image.FAMILY.presets["qwen-image"]
_EDITS = "This model edits photos: set generation.from_photos above 0, so that shots start from real ones."


def encode(pipeline: Any, text: str, photos: Sequence[Any], device: Any) -> dict[str, Any]:
    """The text with what the language model sees in the photos, in the size that the pipeline shows them."""
    several = type(pipeline).__name__ == _SEVERAL
    area = OF_SEVERAL if several else ALONE
    shown = [pipeline.image_processor.resize(photo, *sides(photo.width, photo.height, area)) for photo in photos]
    # the pipeline writes every text into a form of its own, so that an empty one is a prompt too
    words, _ = pipeline.encode_prompt(
        prompt=text, image=shown if several else shown[0], device=device, num_images_per_prompt=1
    )
    return {"prompt_embeds": words, "prompt_embeds_mask": words.new_ones(1, words.shape[1]).long()}


def sides(width: int, height: int, area: int) -> tuple[int, int]:
    """(height, width) of a photo that is brought to about so many pixels, in multiples of 32."""
    shape = width / height
    wide = math.sqrt(area * shape)
    return round(wide / shape / 32) * 32, round(wide / 32) * 32


FAMILY = replace(
    qwen_image.FAMILY,
    name="qwen-image-edit",
    image_pipeline="",
    reference="Qwen/Qwen-Image-Edit-2509",
    licence="Qwen-Image-Edit, -2509 and -2511: Apache-2.0.",
    sizes=(
        Size("2509", {**qwen_image.SETTINGS, "zero_cond_t": False}),
        Size("2511", {**qwen_image.SETTINGS, "zero_cond_t": True}, "Qwen/Qwen-Image-Edit-2511", hints=("2511",)),
    ),
    editing=Editing({_SEVERAL: 3, "QwenImageEditPipeline": 1}, encode=encode),
    presets={
        "qwen-image-edit": Preset(
            _BASE.generation,
            replace(_BASE.training, preset="qwen-image-edit"),
            repeats=10,
            hints=("qwen-image-edit",),
            notice=_EDITS,
        ),
        "qwen-image-edit-plus": Preset(
            replace(_BASE.generation, steps=40, references=3),
            replace(_BASE.training, preset="qwen-image-edit-plus"),
            repeats=10,
            hints=("qwen-image-edit-plus", "qwen-image-edit-2509", "qwen-image-edit-2511", _SEVERAL.lower()),
            aliases={"qwen-image-edit-2509": "", "qwen-image-edit-2511": ""},
            notice=_EDITS,
        ),
    },
)
