"""The evaluation of the embedded models: its arithmetic, and its flow with fakes in place of the models."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from twinloop import wiring
from twinloop.adapters.fakes import FakeGenerator, FakeTrainer, FakeTruth, fake_image, fake_pack
from twinloop.domain.faces import Box
from twinloop.facets import BUILTIN
from twinloop.families import family_of_preset
from twinloop.stages.observe import Observer

pytest.importorskip("numba")

from twinloop.nano.evaluate import evaluate
from twinloop.nano.evaluation.base import measure_base, panel
from twinloop.nano.evaluation.figures import auc_and_eer, f1, matches, share
from twinloop.nano.evaluation.lora import People, measure_lora
from twinloop.nano.evaluation.renders import fresh

FAMILY = family_of_preset("nano")


class Quiet:
    """A reporter that only remembers how far things went."""

    def __init__(self) -> None:
        self.reached: dict[str, tuple[int, int]] = {}

    def line(self, text: str) -> None:
        raise AssertionError(f"unexpected line: {text}")

    def warn(self, text: str) -> None:
        raise AssertionError(f"unexpected warning: {text}")

    def progress(self, label: str, done: int, total: int) -> None:
        self.reached[label] = (done, total)


@pytest.fixture
def observer() -> Observer:
    return Observer(fake_pack(), BUILTIN)


def test_identity_curve() -> None:
    assert auc_and_eer(np.array([0.8, 0.9]), np.array([0.1, 0.2, 0.3])) == (1.0, 0.0)
    area, error = auc_and_eer(np.array([0.9, 0.2]), np.array([0.1, 0.3]))
    assert area == 0.75 and error == pytest.approx(0.5)
    assert auc_and_eer(np.array([0.5]), np.array([0.5]))[0] == 0.5
    assert math.isnan(auc_and_eer(np.array([]), np.array([0.1]))[0])


def test_each_found_box_counts_once() -> None:
    box = Box(0, 0, 10, 10)
    assert matches([box], [box, Box(1, 0, 11, 10)], 0.5) == 1
    assert matches([Box(50, 50, 60, 60), box], [box], 0.5) == 1
    assert matches([], [box], 0.5) == 0
    assert f1(1, 2, 1) == pytest.approx(2 / 3) and f1(0, 0, 0) == 1.0


def test_share_has_an_interval() -> None:
    assert share([True, True, False, True]) == {
        "value": 0.75,
        "low": pytest.approx(0.3006, abs=1e-4),
        "high": pytest.approx(0.9544, abs=1e-4),
        "n": 4,
    }


def test_fresh_people_differ_by_seed_and_repeat_by_number() -> None:
    drawn = [(truth.identity, person) for _, truth, person in fresh(4, 3, 64, 2)]
    assert [person for _, person in drawn] == [0, 0, 1, 1]
    assert drawn[0][0] == drawn[1][0] != drawn[2][0]
    assert next(fresh(1, 4, 64))[1].identity != drawn[0][0]


def test_the_panel_asks_evenly_and_for_hands_now_and_then(observer: Observer) -> None:
    shots = panel(observer, FAMILY, 12, 0)
    angles = [dict(shot.traits)["face_angle"] for shot in shots]
    assert {angles.count(value) for value in set(angles)} == {4}
    assert sum("hands visible" in shot.prompt for shot in shots) == 3
    assert all(shot.prompt.startswith(("a woman, ", "a man, ")) for shot in shots)
    assert panel(observer, FAMILY, 12, 0) == shots != panel(observer, FAMILY, 12, 1)
    assert all(shot.prompt.startswith("ohwx, ") for shot in panel(observer, FAMILY, 3, 0, "ohwx"))


def test_hit_rates_of_a_base(observer: Observer) -> None:
    reporter = Quiet()
    found = measure_base(FakeGenerator(), FAMILY, observer, 60, 0, reporter)
    assert reporter.reached == {"Generated images": (60, 60)}
    for name in ("face_angle", "setting", "expression", "lighting", "framing"):
        assert 0.5 < found[name]["value"] < 1, "the fake generator misses about a fifth of its targets"
    assert found["one_face"]["value"] == 1.0
    assert found["expression"]["n"] == 60 - found["face_angle.profile"]["n"]


def test_a_lora_of_a_person(observer: Observer) -> None:
    truths = [FakeTruth(yaw=10.0 * number, person=2) for number in range(6)]
    person = [fake_image(truth, number) for number, truth in enumerate(truths)]
    strangers = [fake_image(FakeTruth(person=number), number) for number in range(3, 9)]
    found = measure_lora(FakeTrainer(), FakeGenerator(), FAMILY, observer, People(person, strangers), 8, 0, Quiet())
    assert found["steps"] == FAMILY.preset("nano").training.steps and found["rank"] == 16
    assert found["similarity_to_the_person"]["value"] > found["without_lora"]["value"] + 0.2
    assert found["auc_against_strangers"] == 1.0


def test_the_shipped_detectors_on_fresh_renders() -> None:
    found: dict[str, Any] = evaluate(
        Path("none"), wiring.nano_detectors_path(), renders=12, images=0, seed=1, reporter=Quiet()
    )
    assert set(found) == {"detectors", "renders", "identity"}
    renders = found["renders"]
    assert renders["face_found"]["value"] >= 0.9 and renders["face_iou"]["value"] > 0.8
    assert renders["yaw_error_degrees"]["value"] < 9
    assert found["identity"]["same_person"]["pairs"] == 18 and found["identity"]["auc"] > 0.9
