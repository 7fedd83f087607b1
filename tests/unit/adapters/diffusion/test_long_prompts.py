"""Prompts and captions beyond what is read: the embedded base's own tokenizer, and three times 75 tokens."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from textwrap import shorten
from types import SimpleNamespace

import pytest

pytest.importorskip("torch")
pytest.importorskip("diffusers")

import torch
from transformers import CLIPTokenizer

from twinloop.adapters.diffusion.long_prompts import LongPrompts, remark_on_captions
from twinloop.adapters.diffusion.prompts import PromptEmbedder
from twinloop.domain.records import TrainingSample
from twinloop.families import FAMILIES
from twinloop.wiring import base_model_path

WHOLE = ", ".join(["blurry"] * 37) + ", photo " + ", ".join(["blurry"] * 75) + ","
"""225 tokens, three chunks: 37 words with their commas and one without, 75 with theirs."""


def embedder(family: str, without: str = "") -> PromptEmbedder:
    """``without``: a text encoder that its folder leaves out."""
    tokenizer = CLIPTokenizer.from_pretrained(Path(base_model_path("nano")) / "tokenizer")
    known = {**FAMILIES[family].lora_names.encoders, **dict.fromkeys(FAMILIES[family].encoders)}
    components = {name: None if name == without else object() for name in known}
    pipeline = SimpleNamespace(tokenizer=tokenizer, components=components)
    return PromptEmbedder(pipeline, FAMILIES[family], torch.device("cpu"))


@pytest.mark.parametrize(
    ("text", "lost"),
    [
        ("", ""),
        (WHOLE, ""),
        (f"{WHOLE} Woman", "Woman"),
        (f"{WHOLE} woman  SMILING ", "woman  SMILING"),
    ],
)
def test_what_is_left_out_is_told_once_and_in_the_users_own_letters(text: str, lost: str) -> None:
    for family in ("sdxl", "sd15"):
        told: list[str] = []
        prompts = LongPrompts(embedder(family), told.append)
        prompts.look_at([text, text])
        prompts.look_at([text])
        if lost:
            assert told == [
                "Only the first 225 tokens of this prompt are read; "
                f"left out: {shorten(lost, 120)} (of: {shorten(text, 120, placeholder=' ...')})"
            ]
        else:
            assert told == []


def test_language_models_read_more() -> None:
    for family in sorted(FAMILIES.keys() - {"sdxl", "sd15"}):
        assert embedder(family).split(f"{WHOLE} woman") is None
        assert embedder(family).chunks(f"{WHOLE} woman") == 1


def test_without_t5_sd35_reads_one_chunk_and_says_what_is_left_out() -> None:
    prompts, text = embedder("sd35", without="text_encoder_3"), "photo " * 75 + "woman  SMILING"
    told: list[str] = []
    LongPrompts(prompts, told.append).look_at(["photo " * 75, text])
    (notice,) = told
    assert notice.startswith("Only the first 75 tokens of this prompt are read; left out: woman SMILING (of: photo")
    sample = TrainingSample(Path("photos/1.jpg"), "0" * 64, text, 1.0)
    assert remark_on_captions(prompts, [sample]).startswith("1 caption of 1 does not fit into the 75 tokens")
    assert prompts.chunks(text) == 1


def test_captions_are_counted_and_the_first_is_named() -> None:
    short = TrainingSample(Path("photos/1.jpg"), "0" * 64, "ohwx ana", 1.0)
    long = replace(short, path=Path("photos/2.jpg"), caption=f"{WHOLE} woman")
    prompts = embedder("sdxl")
    assert remark_on_captions(prompts, [short]) == ""
    assert (
        remark_on_captions(prompts, [short, long])
        == "1 caption of 2 does not fit into the 225 tokens that are read of one; what stands beyond is left out, as of"
        " photos/2.jpg: woman"
    )
    assert remark_on_captions(prompts, [long, short, long]).startswith("2 captions of 3 do not fit")


def test_many_cut_prompts_are_summed_up_once() -> None:
    told: list[str] = []
    prompts = LongPrompts(embedder("sdxl"), told.append)
    prompts.look_at([f"{WHOLE} woman {number}" for number in range(9)])
    assert len(told) == 6 and told[-1].startswith("More prompts are cut off")
