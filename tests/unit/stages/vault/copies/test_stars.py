"""Groups around the best: everyone is like the kept one itself."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from twinloop.stages.vault.copies.stars import Star, stars


def grouped(things: list[int], reach: int) -> list[Star[int, int]]:
    """Numbers are alike within ``reach``; larger ones are better."""

    def alike(a: int, b: int) -> int | None:
        return abs(a - b) if abs(a - b) <= reach else None

    def ordered(some: Iterable[int]) -> list[int]:
        return sorted(some, reverse=True)

    return stars(things, lambda _: things, alike, ordered, lambda _: None)


@given(st.lists(st.integers(0, 60), unique=True), st.integers(0, 6))
def test_no_chains_no_one_twice_and_the_best_in_the_middle(things: list[int], reach: int) -> None:
    groups = grouped(things, reach)
    members = [member for group in groups for member in (group.best, *(other for other, _ in group.others))]
    assert len(members) == len(set(members))
    for group in groups:
        assert group.others
        assert all(abs(other - group.best) <= reach for other, _ in group.others)
        assert [how for _, how in group.others] == [abs(other - group.best) for other, _ in group.others]


@given(st.lists(st.integers(0, 60), unique=True), st.integers(0, 6))
def test_whoever_is_left_is_like_no_one_else_who_is_left(things: list[int], reach: int) -> None:
    taken = {
        member for group in grouped(things, reach) for member in (group.best, *(other for other, _ in group.others))
    }
    left = sorted(set(things) - taken)
    assert all(b - a > reach for a, b in pairwise(left))


def test_a_long_chain_falls_into_short_groups() -> None:
    groups = grouped(sorted(range(9)), 1)
    assert max(len(group.others) for group in groups) <= 2


def test_who_meets_too_many_that_are_not_like_it_gives_up() -> None:
    asked: list[tuple[int, int]] = []

    def alike(a: int, b: int) -> bool | None:
        asked.append((a, b))
        return True if a % 10 == b % 10 else None

    near = {0: [10, 1, 20, 2, 30, 3, 40], 5: [1, 2, 15, 3]}
    groups = stars([0, 5, 15, 40], lambda thing: near.get(thing, ()), alike, sorted, lambda _: None)
    assert [(group.best, [other for other, _ in group.others]) for group in groups] == [(0, [40]), (5, [15])]
    things = [0, 10, 1, 20, 2, 30, 3, 40]
    (group,) = stars(things, lambda thing: near.get(thing, ()), alike, sorted, lambda _: None, patience=2)
    assert [other for other, _ in group.others] == [10, 20], "of the likes none counts"
