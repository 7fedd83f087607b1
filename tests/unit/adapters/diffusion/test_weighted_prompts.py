"""Weights in prompts are told once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("diffusers")

from tests.contract.makers import GENERATION, shots
from twinloop.adapters.diffusion.base_choice import BaseChoice
from twinloop.adapters.diffusion.weighted_prompts import WeightedPrompts
from twinloop.adapters.generators.diffusers_generator import DiffusersGenerator
from twinloop.families import FAMILIES


@pytest.mark.parametrize(
    ("text", "found", "plain"),
    [
        ("ohwx, (smile:1.3), indoors", "(smile:1.3)", "smile"),
        ("(worst quality, low quality:1.4)", "(worst quality, low quality:1.4)", "worst quality, low quality"),
        ("((red hair:.8))", "(red hair:.8)", "red hair"),
        ("( smile : 2 )", "( smile : 2 )", "smile"),
        ("(blue-eyes:0)", "(blue-eyes:0)", "blue-eyes"),
    ],
)
def test_a_weight(text: str, found: str, plain: str) -> None:
    said = list[str]()
    prompts = WeightedPrompts(said.append)
    prompts.look_at(["photo of ohwx", text])
    prompts.look_at([text])
    (notice,) = said
    assert f"A prompt has a weight: {found}." in notice and notice.endswith(f"Write it without: {plain}")


@pytest.mark.parametrize(
    "text",
    ["", "ganyu (genshin impact)", "a clock (12:30)", "a clock (at 12:30)", "(smile)", "((smile))", ":d, (:3)",
     "ratio 3:2", r"ohwx \(smile:1.3\)", "(smile: very)"],
)  # fmt: skip
def test_no_weight(text: str) -> None:
    WeightedPrompts(pytest.fail).look_at([text])


@pytest.mark.parametrize("field", ["prompt", "negative_prompt"])
def test_it_is_said_while_images_are_made(field: str, tiny_base: Path) -> None:
    said = list[str]()
    generator = DiffusersGenerator(BaseChoice(str(tiny_base), "cpu", "float32"), FAMILIES["sdxl"], said.append)
    for _ in range(2):
        weighted = [replace(shot, **{field: "(blurry:1.2)"}) for shot in shots(2)]
        assert len(list(generator.generate(weighted, GENERATION))) == 2
    assert len(said) == 1 and "(blurry:1.2)" in said[0]
