"""The real photos always stay; what was made is capped in number and weight."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.things import dataset, described, gap, judged, member
from twinloop.domain.records import Dataset
from twinloop.stages.merge import MergeLimits, merge, most_synthetic, weighted
from twinloop.stages.validate import Judged

LIMITS = MergeLimits()


def merged(
    before: Dataset,
    items: list[Judged],
    gaps: list[object] | None = None,
    iteration: int = 1,
    limits: MergeLimits = LIMITS,
) -> tuple[Dataset, list[str]]:
    wanted = gaps if gaps is not None else [gap(count=1000)]
    after, joined = merge(before, items, wanted, described, iteration, limits)  # type: ignore[arg-type]
    return after, [item.asked.path.name for item in joined]


def images(count: int, start: int = 0) -> list[Judged]:
    return [judged(f"made_{n:03d}.png", quality=0.5 + 0.001 * n) for n in range(start, start + count)]


@given(real=st.integers(1, 60), rounds=st.lists(st.integers(0, 60), min_size=1, max_size=4))
def test_caps_hold_whatever_is_offered(real: int, rounds: list[int]) -> None:
    """Over several rounds: synthetic <= 50 % of images, real weight >= 1.3 x synthetic weight, no real photo lost or
    changed.
    """
    current = dataset(real)
    start = 0
    for number, count in enumerate(rounds, 1):
        current, _ = merged(current, images(count, start), iteration=number)
        start += count
        made, photos = current.synthetic, current.real
        assert len(made) <= len(photos)
        assert sum(m.weight for m in photos) >= 1.3 * sum(m.weight for m in made) - 1e-9
        assert photos == dataset(real).members
        assert all(0 <= m.weight <= 1 for m in made)


def test_a_share_that_floats_cannot_tell_exactly_is_reached() -> None:
    assert most_synthetic(dataset(2), 0.6) == 3


def test_older_rounds_decay() -> None:
    aged = weighted(dataset(100, made=[1, 2, 3]), 3, LIMITS)
    assert [m.weight for m in aged.synthetic] == pytest.approx([0.49, 0.7, 1.0])


@given(real=st.integers(1, 20), made=st.lists(st.integers(1, 5), min_size=1, max_size=20))
def test_scaling_down_keeps_the_proportions(real: int, made: list[int]) -> None:
    after = weighted(dataset(real, made), 5, LIMITS).synthetic
    scale = after[0].weight / 0.7 ** (5 - made[0])
    assert [m.weight for m in after] == pytest.approx([scale * 0.7 ** (5 - age) for age in made])
    assert weighted(Dataset((*dataset(real).members, *after)), 5, LIMITS).synthetic == after, (
        "weighing twice changes nothing"
    )


def test_weights_follow_the_settings() -> None:
    after = weighted(dataset(4, made=[1, 1, 1, 1]), 1, MergeLimits(ratio=2.0))
    assert sum(m.weight for m in after.synthetic) == pytest.approx(2.0)


def test_the_best_join_first_and_no_more_than_the_gap_needs() -> None:
    after, names = merged(dataset(20), images(6), [gap(count=2)])
    assert names == ["made_004.png", "made_005.png"]
    assert len(after.synthetic) == 2


def test_each_gap_has_its_own_quota_and_other_targets_none() -> None:
    items = [
        *images(3),
        judged("smile.png", facet="expression", value="smile"),
        judged("rain.png", facet="weather", value="rain"),
    ]
    _, names = merged(dataset(20), items, [gap(count=1), gap("expression", "smile", 5)])
    assert names == ["made_002.png", "smile.png"]


def test_the_share_is_counted_over_all_rounds() -> None:
    _, names = merged(dataset(10, made=[1] * 7), images(9), iteration=2)
    assert len(names) == 3
    _, names = merged(dataset(10, made=[1] * 12), images(9), iteration=2)
    assert names == []
    _, names = merged(dataset(10), images(9), limits=MergeLimits(max_share=0.2))
    assert len(names) == 2


def test_the_order_of_the_verdicts_does_not_matter() -> None:
    items = [judged(f"{n}.png", quality=0.5) for n in range(8)]
    forward, _ = merged(dataset(20), items, [gap(count=3)])
    backward, _ = merged(dataset(20), items[::-1], [gap(count=3)])
    assert forward == backward


def test_new_members_say_where_they_come_from_and_what_they_show() -> None:
    after, _ = merged(dataset(5), [judged("made.png", faces=[])], [gap(count=1)], iteration=3)
    (made,) = after.synthetic
    assert (made.origin, made.round, Path(made.path).name) == ("synthetic", 3, "made.png")
    assert made.caption.startswith("ohwx ana")


def test_nothing_new_is_the_same_dataset() -> None:
    before = dataset(7)
    after, names = merged(before, [])
    assert (after.id, names) == (before.id, [])


def test_made_images_that_were_there_before_round_one_fade_as_those_of_the_rounds_do() -> None:
    start = Dataset((*dataset(10).members, member("found", "synthetic", 0, 1.0)))
    after, _ = merged(start, images(3))
    weights = {m.path: m.weight for m in after.synthetic}
    assert weights.pop("found.png") == pytest.approx(0.7) and set(weights.values()) == {1.0}
