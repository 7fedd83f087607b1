"""Gap arithmetic, seeds, and the JSON that scripts hand to each other."""

from __future__ import annotations

import json
import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit import things
from twinloop.domain.faces import Box
from twinloop.domain.shots import Shot, derive_seed, images_needed


def test_the_documented_example() -> None:
    assert images_needed(8, 98, 0.20) == 15


@given(total=st.integers(0, 5000), share=st.integers(0, 99), data=st.data())
def test_reaches_the_share_and_no_sooner(total: int, share: int, data: st.DataObject) -> None:
    """Against exact rational arithmetic: with m images the share is reached, with m - 1 it is not."""
    have = data.draw(st.integers(0, total))
    needed = images_needed(have, total, share / 100)
    wanted = Fraction(share, 100)
    assert have + needed >= wanted * (total + needed)
    if needed:
        assert have + needed - 1 < wanted * (total + needed - 1)


@given(total=st.integers(1, 2000), share=st.integers(1, 99))
def test_the_closed_formula(total: int, share: int) -> None:
    exact = max(0, math.ceil(Fraction(share * total, 100 - share)))
    assert images_needed(0, total, share / 100) == exact


def test_an_exact_share_is_no_gap() -> None:
    assert images_needed(20, 100, 0.2) == 0
    assert images_needed(3, 10, 0.3) == 0
    assert images_needed(7, 10, 0.7) == 0


def test_nothing_wanted_or_nothing_there() -> None:
    assert images_needed(0, 0, 0.5) == 0
    assert images_needed(0, 100, 0.0) == 0


@pytest.mark.parametrize(
    ("have", "total", "share"), [(5, 4, 0.2), (-1, 4, 0.2), (1, 4, 1.0), (1, 4, -0.1), (1, 4, 1.5)]
)
def test_impossible_questions_are_refused(have: int, total: int, share: float) -> None:
    with pytest.raises(ValueError):
        images_needed(have, total, share)


def test_seeds_never_change_between_versions() -> None:
    """Pinned: another value would make every shot of every old run another image."""
    assert derive_seed(0, "ohwx ana", 1, "face_angle", "profile", 1) == 4555769617786846355


@given(st.lists(st.one_of(st.integers(), st.text()), max_size=5))
def test_seeds_fit_a_signed_64_bit_integer(parts: list[int | str]) -> None:
    assert 0 <= derive_seed(*parts) < 2**63
    assert derive_seed(*parts) == derive_seed(*parts)


def test_seeds_keep_the_borders_of_their_parts() -> None:
    assert len({derive_seed("ab", "c"), derive_seed("a", "bc"), derive_seed("abc"), derive_seed("abc", "")}) == 4


def test_every_part_counts() -> None:
    parts = [0, "ohwx", 1, "face_angle", "profile", 1]
    seeds = {derive_seed(*parts)} | {derive_seed(*parts[:n], "other", *parts[n + 1 :]) for n in range(len(parts))}
    assert len(seeds) == len(parts) + 1


def test_a_gap_is_a_recommendation() -> None:
    data = things.gap(count=15, have=8, total=98, reason="Profile shots are 8.2% (target: 20%)").to_json()
    assert {key: data[key] for key in ("type", "target", "count", "reason")} == {
        "type": "face_angle", "target": "profile", "count": 15, "reason": "Profile shots are 8.2% (target: 20%)",
    }  # fmt: skip


@given(
    st.builds(
        Shot,
        key=st.text(),
        facet=st.text(),
        value=st.text(),
        index=st.integers(1, 999),
        prompt=st.text(),
        negative_prompt=st.text(),
        seed=st.integers(0, 2**63 - 1),
        source=st.none() | st.text(),
        traits=st.dictionaries(st.text(), st.text(), max_size=4).map(lambda traits: tuple(sorted(traits.items()))),
        source_faces=st.lists(st.none() | st.builds(Box, *[st.integers(0, 9999)] * 4), max_size=3).map(tuple),
    )
)
def test_a_shot_comes_back_from_json(shot: Shot) -> None:
    assert Shot.from_json(json.loads(json.dumps(shot.to_json()))) == shot
