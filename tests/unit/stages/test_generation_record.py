"""The settings in an image, as A1111 writes them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.unit.things import shot
from twinloop.ports import GenerationSettings, decisive_generation
from twinloop.stages.generation_record import GenerationContext, Hashes, parameters_text

SETTINGS = GenerationSettings(steps=30, guidance=7.5, width=8, height=8, batch_size=2)


def context(**changes: Any) -> GenerationContext:
    return GenerationContext(
        prefix="iter1", folder=Path(), base_model="nano", lora=None, settings=replace(SETTINGS, **changes)
    )


def test_a_negative_prompt_that_nobody_read_is_not_in_the_record() -> None:
    read, unread = context(), context(negative=False)
    assert "\nNegative prompt: blurry\nSteps: 30" in parameters_text(shot(1), read, Hashes())
    assert parameters_text(shot(1), unread, Hashes()).startswith("a photo 1\nSteps: 30, CFG scale: 7.5, ")


@pytest.mark.parametrize(
    ("guidance", "said"), [(3.5, "CFG scale: 1, Distilled CFG Scale: 3.5, Seed"), (0.0, "CFG scale: 1, Seed")]
)
def test_the_guidance_that_a_model_was_trained_with_has_a_name_of_its_own(guidance: float, said: str) -> None:
    flux = context(guidance=guidance, negative=False, distilled=True)
    assert f"Steps: 30, {said}: 1" in parameters_text(shot(1), flux, Hashes())


def test_another_layer_of_clip_is_said_as_a1111_says_it() -> None:
    assert "Clip skip" not in parameters_text(shot(1), context(), Hashes())
    assert ", Clip skip: 2, Version: " in parameters_text(shot(1), context(clip_skip=2), Hashes())
    assert context().settings.unusual == {} and context(clip_skip=2).settings.unusual == {"clip_skip": 2}
    assert decisive_generation(SETTINGS, ()) == decisive_generation(replace(SETTINGS, clip_skip=1), ())
    assert "clip_skip" not in decisive_generation(SETTINGS, ())


def test_image_to_image_says_its_strength() -> None:
    text = parameters_text(shot(1, source="photos/a.jpg"), context(), Hashes())
    assert "Denoising strength: 0.6" in text and "<lora:" not in text
    edits = context(strength=0.0)
    assert "strength" not in parameters_text(shot(1, source="photos/a.jpg"), edits, Hashes())
