"""diffusers' own pipelines, as anyone would open and call them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.helpers.tiny_families import is_of_blocks
from twinloop.families import Family


def plain_pipeline(family: Family, base: Path, guidance: float) -> tuple[Any, dict[str, Any]]:
    """The text-to-image pipeline of a model folder, and how a call tells it of the guidance: one of blocks has a part
    for that.
    """
    import diffusers

    kind = getattr(diffusers, family.pipeline)
    pipeline: Any = kind.from_pretrained(str(base), use_safetensors=True)
    if is_of_blocks(pipeline):
        guider: Any = diffusers.ClassifierFreeGuidance
        pipeline.load_components()
        pipeline.update_components(guider=guider(guidance_scale=guidance))
    pipeline.set_progress_bar_config(disable=True)
    return pipeline, {} if is_of_blocks(pipeline) else {family.guidance.argument: guidance}
