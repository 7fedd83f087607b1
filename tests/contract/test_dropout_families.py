"""Dropout over every family of base models, on a tiny model with random weights: pictures that go through at once or
one by one lose the same.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("diffusers")

from tests.contract.makers import SIZE, TRAINING, samples
from tests.contract.tiny_bases import OF_A_KIND, TinyBase, offline
from tests.helpers.tiny_families import build_tiny
from twinloop.families import FAMILIES

BOTH = replace(
    TRAINING, batch_size=2, steps=2, learning_rate=0.3, network_dropout=0.3, rank_dropout=0.2, module_dropout=0.1,
    gradient_checkpointing=True, caption_dropout=0.0,
)  # fmt: skip


@pytest.fixture(autouse=True, scope="module")
def no_network() -> Iterator[None]:
    with offline(SIZE):
        yield


def test_each_kind_of_denoiser_is_there() -> None:
    kinds = {family.single_file.model for family in FAMILIES.values()}
    assert {FAMILIES[name].single_file.model for name in OF_A_KIND} == kinds


@pytest.mark.slow
@pytest.mark.parametrize("name", OF_A_KIND)
def test_micro_batches_lose_the_same(name: str, tmp_path: Path) -> None:
    """With captions of different lengths, which are filled up to the longest only where both go through at once."""
    photos = samples(tmp_path / "photos", count=2)
    told = (
        photos[0],
        replace(photos[1], caption=f"{photos[1].caption} outdoors, from the side, smiling, photo of ohwx ana"),
    )
    base = TinyBase(FAMILIES[name], build_tiny(name, tmp_path / "base"), told)
    settings = replace(BOTH, text_encoder=FAMILIES[name].trainable_encoders is not None)

    def losses(which: str, **changes: Any) -> list[float]:
        base.train(tmp_path / which, replace(settings, **changes))
        lines = (tmp_path / which / "lora.metrics.jsonl").read_text().splitlines()
        return [float(json.loads(line)["loss"]) for line in lines]

    whole = losses("whole")
    parts = losses("parts", batch_size=1, gradient_accumulation=2)
    without = losses("without", network_dropout=0.0, rank_dropout=0.0, module_dropout=0.0)
    assert without[0] == pytest.approx(whole[0], abs=2e-6)  # a LoRA begins as no change
    assert abs(parts[-1] - whole[-1]) < 0.1 * abs(without[-1] - whole[-1])
