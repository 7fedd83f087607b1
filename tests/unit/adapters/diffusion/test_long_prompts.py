"""Prompts and captions beyond what a model reads: the embedded base's own tokenizer, and 75 tokens as in every CLIP."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

pytest.importorskip("torch")
pytest.importorskip("diffusers")

import torch
from transformers import CLIPTokenizer

from twinloop.adapters.diffusion.long_prompts import remark_on_captions
from twinloop.adapters.diffusion.prompts import PromptEmbedder
from twinloop.domain.records import TrainingSample
from twinloop.families import FAMILIES
from twinloop.wiring import base_model_path

WHOLE = ", ".join(["blurry"] * 37) + ","
"""74 tokens."""


def embedder(family: str) -> PromptEmbedder:
    tokenizer = CLIPTokenizer.from_pretrained(Path(base_model_path("nano")) / "tokenizer")
    return PromptEmbedder(SimpleNamespace(tokenizer=tokenizer), FAMILIES[family], torch.device("cpu"))


@pytest.mark.parametrize(
    ("text", "lost"),
    [
        ("", ""),
        (WHOLE, ""),
        (f"{WHOLE} photo", ""),
        (f"{WHOLE} photo, Woman", ", Woman"),
        (f"{WHOLE} photo woman  SMILING ", "woman  SMILING"),
    ],
)
def test_what_is_left_out_is_told_in_the_users_own_letters(text: str, lost: str) -> None:
    assert embedder("sdxl").left_out(text) == embedder("sd15").left_out(text) == lost


def test_language_models_read_more() -> None:
    for family in sorted(FAMILIES.keys() - {"sdxl", "sd15"}):
        assert embedder(family).left_out(f"{WHOLE} photo, woman") == ""


def test_captions_are_counted_and_the_first_is_named() -> None:
    short = TrainingSample(Path("photos/1.jpg"), "0" * 64, "ohwx ana", 1.0)
    long = replace(short, path=Path("photos/2.jpg"), caption=f"{WHOLE} photo woman")
    prompts = embedder("sdxl")
    assert remark_on_captions(prompts, [short]) == ""
    assert remark_on_captions(prompts, [short, long]) == (
        "1 caption of 2 is longer than the 75 tokens that this model reads; what stands beyond is left out, as of photos/2.jpg: woman"
    )
    assert remark_on_captions(prompts, [long, short, long]).startswith("2 captions of 3 are longer")
