"""What sd-scripts is told of captions beyond 75 tokens, which it cuts off unless it is told to read more."""

from __future__ import annotations

import dataclasses
import tomllib
from pathlib import Path, PurePosixPath

import pytest

from tests.contract.makers import TRAINING, samples
from tests.helpers.foreign_keys import KOHYA_TRAINING
from twinloop.families import FAMILIES
from twinloop.foreign import kohya
from twinloop.foreign.job import Job
from twinloop.foreign.pictures import folders_of

LONG = ", ".join(["ohwx ana", *["blue sky"] * 30])
"""92 tokens."""


def job(folder: Path, family: str, *captions: str) -> Job:
    photos = samples(folder, count=len(captions))
    said = [dataclasses.replace(photo, caption=caption) for photo, caption in zip(photos, captions, strict=True)]
    return Job(
        "ana",
        "/base",
        FAMILIES[family],
        TRAINING,
        "ana",
        PurePosixPath("/data"),
        PurePosixPath("/out"),
        folders_of(said, "ana"),
    )


@pytest.mark.parametrize("family", ["sd15", "sdxl"])
def test_a_long_caption_asks_for_three_chunks(tmp_path: Path, family: str) -> None:
    made = job(tmp_path, family, "photo of ohwx ana", LONG)
    assert tomllib.loads(kohya.training_toml(made, "/data.toml"))["dataset"]["max_token_length"] == 225
    assert kohya.header_texts(made) == {"ss_max_token_length": "225"}
    assert "max_token_length" in KOHYA_TRAINING


def test_short_captions_ask_for_nothing(tmp_path: Path) -> None:
    made = job(tmp_path, "sdxl", "photo of ohwx ana", "photo of ohwx ana smiling")
    assert "max_token_length" not in kohya.training_toml(made, "/data.toml") and kohya.header_texts(made) == {}


@pytest.mark.parametrize("family", ["flux", "sd35"])
def test_families_with_t5_know_no_such_argument(tmp_path: Path, family: str) -> None:
    made = job(tmp_path, family, LONG)
    assert "max_token_length" not in kohya.training_toml(made, "/data.toml") and kohya.header_texts(made) == {}
