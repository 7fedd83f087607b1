"""Draws: the right shares, and nothing but (seed, step) behind them."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twinloop.adapters.trainers.data.sampler import SampleSchedule, Stream

WEIGHTS = st.lists(st.floats(0.01, 10.0), min_size=1, max_size=30)


@given(WEIGHTS, st.integers(0, 5))
@settings(max_examples=60, deadline=None)
def test_every_epoch_gives_each_entry_its_due(weights: list[float], epoch: int) -> None:
    stream, count = Stream(weights, "test"), len(weights)
    drawn = Counter(stream.item(epoch * count + place) for place in range(count))
    for entry, weight in enumerate(weights):
        due = count * weight / sum(weights)
        assert np.floor(due - 1e-9) <= drawn[entry] <= np.ceil(due + 1e-9)


@given(WEIGHTS, st.integers(0, 200))
@settings(max_examples=30, deadline=None)
def test_an_item_does_not_depend_on_what_was_asked_before(weights: list[float], k: int) -> None:
    walked = Stream(weights, "test")
    assert [walked.item(i) for i in range(k + 1)][-1] == Stream(weights, "test").item(k)


def test_entries_without_weight_are_never_drawn() -> None:
    stream = Stream([0.0, 1.0, 0.0, 2.0, 0.0], "test")
    assert {stream.item(k) for k in range(200)} == {1, 3}


@pytest.mark.parametrize("weights", [[], [0.0, 0.0], [-1.0, 2.0], [float("nan")], [float("inf"), 1.0]])
def test_impossible_weights_are_refused(weights: list[float]) -> None:
    with pytest.raises(ValueError, match="weights"):
        Stream(weights, "test")


def schedule(seed: int = 1, flip: bool = True, dropout: float = 0.25) -> SampleSchedule:
    sizes = [(64, 64)] * 6 + [(96, 64)] * 3
    return SampleSchedule([1.0] * 6 + [2.0] * 3, sizes, batch=4, seed=seed, flip=flip, dropout=dropout)


def test_a_step_sees_different_photos_whatever_their_shapes() -> None:
    """Twelve photos of twelve shapes: a batch of one shape would hold one photo four times."""
    made = SampleSchedule([1.0] * 12, [(64 + 8 * n, 64) for n in range(12)], batch=4, seed=1, flip=False, dropout=0.0)
    distinct = [len(set(made.draw(step).samples)) for step in range(1, 91)]
    assert distinct == [4] * 90
    epoch = Counter(number for step in range(1, 4) for number in made.draw(step).samples)
    assert set(epoch.values()) == {1} and len(epoch) == 12


def test_samples_are_drawn_by_weight_over_the_whole_training() -> None:
    made = schedule()
    drawn = Counter(number for step in range(1, 121) for number in made.draw(step).samples)
    real, heavy = [drawn[n] for n in range(6)], [drawn[n] for n in range(6, 9)]
    assert max(real) - min(real) <= 8 and max(heavy) - min(heavy) <= 8
    assert np.mean(heavy) / np.mean(real) == pytest.approx(2.0, rel=0.15)


def test_a_step_drawn_alone_equals_the_step_of_a_walk() -> None:
    walk = schedule()
    draws = [walk.draw(step) for step in range(1, 41)]
    assert schedule().draw(40) == draws[-1] and schedule().draw(17) == draws[16]
    others = [schedule(seed=2).draw(step) for step in range(1, 41)]
    for part in ("samples", "mirrored", "wordless", "orders"):
        assert [getattr(draw, part) for draw in others] != [getattr(draw, part) for draw in draws], part


def test_mirrors_and_dropout_follow_the_settings() -> None:
    made, plain = schedule(), schedule(flip=False, dropout=0.0)
    mirrored = [value for step in range(1, 201) for value in made.draw(step).mirrored]
    wordless = [value for step in range(1, 201) for value in made.draw(step).wordless]
    assert np.mean(mirrored) == pytest.approx(0.5, abs=0.06) and np.mean(wordless) == pytest.approx(0.25, abs=0.06)
    assert not any(any(plain.draw(step).mirrored) or any(plain.draw(step).wordless) for step in range(1, 51))
