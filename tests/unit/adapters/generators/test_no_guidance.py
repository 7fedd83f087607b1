"""A model that takes no guidance: that a number was given for it is said once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("diffusers")

from tests.contract.makers import GENERATION, shots
from tests.helpers.tiny_families import build_tiny
from twinloop.adapters.diffusion.base_choice import BaseChoice
from twinloop.adapters.generators.diffusers_generator import DiffusersGenerator
from twinloop.families import FAMILIES


def generator(family: str, folder: Path, told: list[str]) -> DiffusersGenerator:
    return DiffusersGenerator(
        BaseChoice(str(build_tiny(family, folder)), "cpu", "float32"), FAMILIES[family], told.append
    )


def test_a_distilled_klein_says_so_once(tmp_path: Path) -> None:
    told: list[str] = []
    made = generator("flux2-klein", tmp_path / "base", told)
    settings = replace(GENERATION, steps=1)
    list(made.generate(shots(1), replace(settings, guidance=4.0)))
    assert not told
    made._base.pipeline.register_to_config(is_distilled=True)
    try:
        list(made.generate(shots(1), replace(settings, guidance=1.0)))
        assert not told, "that is no guidance"
        for _ in range(2):
            list(made.generate(shots(1), replace(settings, guidance=4.0)))
    finally:  # the base is kept for whoever opens it next
        made._base.pipeline.register_to_config(is_distilled=False)
    assert told == ["generation.guidance_scale 4 does nothing here: this model takes no guidance."]


def test_a_flux_without_a_number_for_guidance_says_so(tmp_path: Path) -> None:
    told: list[str] = []
    made = generator("flux", tmp_path / "base", told)
    made._tell_of_guidance(3.5)
    assert not told
    made._base.denoiser.register_to_config(guidance_embeds=False)
    try:
        for guidance in (0.0, 3.5, 3.5):
            made._tell_of_guidance(guidance)
    finally:
        made._base.denoiser.register_to_config(guidance_embeds=True)
    assert told == ["generation.guidance_scale 3.5 does nothing here: this model takes no guidance."]


def test_a_krea_2_turbo_with_guidance_says_what_is_none(tmp_path: Path) -> None:
    """1 is no guidance elsewhere, and some here."""
    told: list[str] = []
    made = generator("krea2", tmp_path / "base", told)
    made._tell_of_guidance(4.5)
    assert not told, "Raw is drawn with guidance"
    made._base.pipeline.register_to_config(is_distilled=True)
    try:
        for guidance in (0.0, 1.0, 1.0):
            made._tell_of_guidance(guidance)
    finally:
        made._base.pipeline.register_to_config(is_distilled=False)
    (line,) = told
    assert line.startswith("generation.guidance_scale 1: this model was distilled to draw without guidance")
    assert "Set it to 0;" in line
