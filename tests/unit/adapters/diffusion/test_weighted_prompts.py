"""Weights in prompts are told once, where they do nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("diffusers")

from tests.contract.makers import GENERATION, SIZE, shots
from tests.helpers.tiny_families import build_tiny
from twinloop.adapters.diffusion.base_choice import BaseChoice
from twinloop.adapters.diffusion.weighted_prompts import WeightedPrompts
from twinloop.adapters.generators.diffusers_generator import DiffusersGenerator
from twinloop.families import FAMILIES


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("ohwx, (smile:1.3), (indoors:1.2)", "smile"),
        ("(worst quality, low quality:1.4)", "worst quality, low quality"),
        (r"saber \(fate\) ( smile : 2 )", "smile"),
    ],
)
def test_a_weight(text: str, words: str) -> None:
    said = list[str]()
    prompts = WeightedPrompts(said.append)
    prompts.look_at(["photo of ohwx", text])
    prompts.look_at([text, "(other:2)"])
    (notice,) = said
    assert f"A prompt has weights: {text}." in notice and notice.endswith(f"Write it without, as in: {words}")


@pytest.mark.parametrize("text", ["", "ganyu (genshin impact)", "a clock (12:30)", r"ohwx \(smile:1.3\)"])
def test_no_weight(text: str) -> None:
    WeightedPrompts(pytest.fail).look_at([text])


@pytest.mark.parametrize(("family", "told"), [("sd35", True), ("sd15", False)])
@pytest.mark.parametrize("field", ["prompt", "negative_prompt"])
def test_it_is_said_where_not_clip_alone_reads_prompts(field: str, family: str, told: bool, tmp_path: Path) -> None:
    said = list[str]()
    base = build_tiny(family, tmp_path / "base")
    generator = DiffusersGenerator(BaseChoice(str(base), "cpu", "float32"), FAMILIES[family], said.append)
    for _ in range(2):
        weighted = [replace(shot, **{field: "(blurry:1.2)"}) for shot in shots(2)]
        assert len(list(generator.generate(weighted, replace(GENERATION, width=SIZE, height=SIZE)))) == 2
    assert len(said) == told and all("(blurry:1.2)" in one for one in said)
