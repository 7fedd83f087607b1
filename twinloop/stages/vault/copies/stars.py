"""Grouping alike things around the best of them.

Every member of a group is like the kept one itself, so groups cannot chain.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class Star(Generic[T, R]):
    """A group: the best, and what is like it, best first, each with how."""

    best: T
    others: tuple[tuple[T, R], ...]


def stars(
    things: Sequence[T],
    near: Callable[[T], Iterable[T]],
    alike: Callable[[T, T], R | None],
    ordered: Callable[[Iterable[T]], list[T]],
    done: Callable[[int], None],
    patience: float = math.inf,
) -> list[Star[T, R]]:
    """Groups of two and more; each thing is in one group at most.

    One thing after the other gathers what is like it and still free. The best of that group then gathers in its turn
    and becomes its middle; what is not like the best one stays free for later groups.

    Args:
        things: hashable, in the order in which they gather. near: what could be like a thing (both ways), the likeliest
            first; only these are compared.
        alike: how two things are alike, or None; must not depend on their order. ordered: best first. done: told how
            many things are through.
        patience: a thing gives up gathering after so many that were not like it.
    """
    free = set(things)
    found: list[Star[T, R]] = []
    for number, thing in enumerate(things):
        done(number)
        if thing not in free:
            continue
        best = thing
        members = _gathered(thing, free, near, alike, patience)
        if members:
            best = ordered([thing, *members])[0]
        if best != thing:
            members = _gathered(best, free, near, alike, patience)
        free.discard(best)
        if members:
            free.difference_update(members)
            found.append(Star(best, tuple((member, members[member]) for member in ordered(members))))
    return found


def _gathered(
    middle: T, free: set[T], near: Callable[[T], Iterable[T]], alike: Callable[[T, T], R | None], patience: float
) -> dict[T, R]:
    found: dict[T, R] = {}
    unlike = 0
    for other in near(middle):
        if other != middle and other in free:
            how = alike(middle, other)
            if how is not None:
                found[other] = how
            elif (unlike := unlike + 1) >= patience:
                break
    return found
