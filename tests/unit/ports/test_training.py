"""What decides a training: its samples and settings, told in one place for all who ask."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from pathlib import Path

import pytest

from twinloop.domain.faces import Box
from twinloop.domain.records import Mask, TrainingSample
from twinloop.ports import FREE_SETTINGS, TrainingSettings, decisive_samples, decisive_settings
from twinloop.ports.training import SELDOM_SETTINGS

SETTINGS = TrainingSettings("nano", 10, 4, 4.0, 1e-3, 2, 64, 7)
SAMPLE = TrainingSample(Path("a.png"), "ab", "ana", 1.0, face=Box(1, 2, 3, 4), mask=Mask(Path("m.png"), "cd"))


def test_every_setting_decides_but_the_free_ones() -> None:
    names = [field.name for field in fields(TrainingSettings)]
    asked = replace(SETTINGS, **dict.fromkeys(SELDOM_SETTINGS, 2.0))  # type: ignore[arg-type]
    assert [name for name in names if name not in FREE_SETTINGS] == list(decisive_settings(asked))
    assert set(FREE_SETTINGS) < set(names)


def test_a_training_from_before_a_setting_was_known_is_one_without_it() -> None:
    assert not set(SELDOM_SETTINGS) & decisive_settings(SETTINGS).keys()


def test_both_survive_json() -> None:
    argued = replace(SETTINGS, optimizer_args=(("betas", (0.9, 0.99)),), smaller_resolutions=(32,))
    for told in (decisive_settings(argued), decisive_samples([SAMPLE, replace(SAMPLE, face=None, mask=None)])):
        assert json.loads(json.dumps(told)) == told


def test_the_weights_that_are_written_are_validated_whatever_the_interval() -> None:
    asked = replace(SETTINGS, steps=6, validate_every=4)
    assert [step for step in range(1, 7) if asked.validates_at(step)] == [4, 6]
    assert [step for step in range(1, 7) if replace(asked, stop_at=5).validates_at(step)] == [4, 5]
    assert not any(replace(asked, validate_every=none).validates_at(6) for none in (0, None))


def test_where_files_lie_does_not_matter() -> None:
    moved = replace(SAMPLE, path=Path("b/c.png"), mask=Mask(Path("n.png"), "cd", "photo"))
    assert decisive_samples([moved]) == decisive_samples([SAMPLE])


@pytest.mark.parametrize(
    "other",
    [
        replace(SAMPLE, sha256="x"),
        replace(SAMPLE, caption="x"),
        replace(SAMPLE, weight=0.5),
        replace(SAMPLE, prior=True),
        replace(SAMPLE, face=Box(1, 2, 3, 5)),
        replace(SAMPLE, face=None),
        replace(SAMPLE, mask=Mask(Path("m.png"), "x")),
        replace(SAMPLE, mask=None),
    ],
)
def test_all_else_of_a_sample_does(other: TrainingSample) -> None:
    assert decisive_samples([other]) != decisive_samples([SAMPLE])
