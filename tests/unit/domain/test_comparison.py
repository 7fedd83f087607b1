"""Which strength of a LoRA is most like the photos, and whether that is more than chance."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from twinloop.domain.comparison import FEWEST, LIKENESS, Column, Comparison, Drawn, best_strengths
from twinloop.domain.statistics import bootstrap_mean, paired_difference

NOISE = (0.0, 0.02, -0.03, 0.01, -0.02, 0.03, 0.015, -0.01)


def drawn(name: str, strength: float, likeness: Sequence[float] | None) -> Drawn:
    column = Column(f"{name}_{strength:g}", name, Path(f"{name}.safetensors") if name else None, strength)
    if likeness is None:
        return Drawn(column, "0", ())
    return Drawn(column, "0", (), {LIKENESS: bootstrap_mean(likeness)}, {LIKENESS: list(likeness)})


def around(mean: float, noise: Sequence[float] = NOISE) -> list[float]:
    return [mean + part for part in noise]


def test_the_strength_with_the_highest_likeness_is_named_for_each_lora() -> None:
    columns = [
        drawn("", 0, around(0.9)),
        drawn("a", 0.6, around(0.3)),
        drawn("a", 1, around(0.7)),
        drawn("b", 0.6, around(0.8, NOISE[::-1])),
        drawn("b", 1, around(0.5)),
    ]
    assert [(best.name, best.strength, best.as_good) for best in best_strengths(columns)] == [
        ("a", 1, ()),
        ("b", 0.6, ()),
    ]
    assert best_strengths(columns)[0].verdict == "measurably better than the others"


def test_what_is_not_measurably_worse_is_named() -> None:
    near = [value + change for value, change in zip(around(0.7), NOISE[::-1], strict=True)]
    (best,) = best_strengths([drawn("a", 0.6, around(0.3)), drawn("a", 0.8, near), drawn("a", 1, around(0.703))])
    assert (best.strength, best.as_good, best.verdict) == (1, (0.8,), "0.8 may be as good")


def test_every_pair_of_strengths_counts_as_a_look() -> None:
    """The best of three was found among three pairs: what two looks would call worse may be as good."""
    lower, middle, top = around(0.1), around(0.6925, NOISE[::-1]), around(0.75, NOISE[::2] + NOISE[1::2])
    change = paired_difference(middle, top)
    shift = (change.among(3).low + change.among(2).low) / 2
    nearer = [value + shift for value in middle]
    assert paired_difference(nearer, top).among(2).low > 0 > paired_difference(nearer, top).among(3).low
    (best,) = best_strengths([drawn("a", 0.6, lower), drawn("a", 0.8, nearer), drawn("a", 1, top)])
    assert (best.strength, best.as_good) == (1, (0.8,))


def test_no_strength_is_measurably_better_where_none_is_measurably_worse() -> None:
    (best,) = best_strengths([drawn("a", strength, around(0.5)) for strength in (1, 0.6, 0.8)])
    assert best.strength == 0.6, "the lowest of equal ones: it leaves most of the base"
    assert best.verdict == "no strength is measurably better (1, 0.8 may be as good)"


@pytest.mark.parametrize("images", [1, FEWEST - 1])
def test_too_few_images_tell_nothing(images: int) -> None:
    (best,) = best_strengths([drawn("a", 0.6, [0.1] * images), drawn("a", 1, [0.9] * images)])
    assert best.as_good == (0.6,) and "too few images" in best.verdict


def test_a_single_strength_is_compared_with_nothing() -> None:
    (best,) = best_strengths([drawn("a", 1, around(0.5))])
    assert best.verdict == "no other strength was drawn"


def test_without_any_face_that_could_be_compared_nothing_is_best() -> None:
    columns = [drawn("a", 0.6, [0.0] * 6), drawn("a", 1, [0.0] * 6), drawn("b", 1, around(0.5))]
    found = Comparison("nano", "", 0, (), tuple(columns), {}, "eyes", "photos")
    assert [best.name for best in found.best] == ["b"] and found.faceless == ("a",)


def test_without_likeness_nothing_is_best() -> None:
    assert best_strengths([drawn("a", 1, None)]) == ()
