"""Limits follow from the embedder and the number of faces."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twinloop.stages.vault.people.limits import FALSE_NEIGHBOURS, limits_for

MOBILEFACENET, NANO = (0.017, 0.101), (0.03, 0.26)


def test_few_faces_have_the_limits_chosen_on_lfw() -> None:
    limits = limits_for(MOBILEFACENET, 500)
    assert limits.link == pytest.approx(0.418, abs=0.001) and limits.attach == pytest.approx(0.349, abs=0.001)
    assert limits_for(None, 500).link == pytest.approx(limits.link, abs=0.01), (
        "an embedder that says nothing counts as one of that kind"
    )


def test_an_embedder_of_another_scale_has_another_limit_below_one() -> None:
    assert 0.8 < limits_for(NANO, 60).link < 0.9


@given(st.floats(-0.1, 0.3), st.floats(0.02, 0.49), st.integers(0, 10_000_000), st.integers(0, 100_000))
def test_order_and_range(mean: float, deviation: float, faces: int, people: int) -> None:
    limits = limits_for((mean, deviation), faces, people)
    assert mean <= limits.attach <= limits.link <= 1.0 and limits.margin >= 0
    assert people == 0 or people > faces or limits.groups <= limits.link
    assert limits.link <= limits_for((mean, deviation), faces * 2 + 1).link, (
        "more faces, more chances for strangers to look alike"
    )


def test_so_many_strangers_reach_the_limit_as_promised() -> None:
    """Cosines of random directions in d dimensions have a standard deviation of 1/sqrt(d)."""
    dimensions, faces = 100, 20_000
    rows = np.random.default_rng(1).standard_normal((faces, dimensions)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    limit = limits_for((0.0, dimensions**-0.5), faces).link
    reached = sum(int((rows[start : start + 2000] @ rows.T >= limit).sum()) for start in range(0, faces, 2000)) - faces
    assert FALSE_NEIGHBOURS / 3 < reached / faces < FALSE_NEIGHBOURS * 3


def test_the_users_own_limit_is_taken_and_the_others_follow() -> None:
    limits = limits_for(MOBILEFACENET, 100_000, 10, chosen=0.6)
    assert limits.link == limits.groups == 0.6 and 0.5 < limits.attach < 0.6
    assert math.isfinite(limits_for(MOBILEFACENET, 10, chosen=1.0).link)
