"""Limits that follow from what strangers look like to an embedder."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twinloop.domain.embedders import ARCFACE, EMBEDDERS, SFACE
from twinloop.domain.likeness import MEASURED, Likeness, above, deviations_of, published


def test_the_limits_of_the_network_they_were_chosen_with_stay() -> None:
    assert Likeness.of(MEASURED) == Likeness(MEASURED)


@given(st.floats(-0.1, 0.3), st.floats(0.02, 0.4), st.floats(0, 5))
def test_deviations_and_back(mean: float, deviation: float, count: float) -> None:
    cosine = above((mean, deviation), count)
    assert -1 < cosine < 1
    if cosine < 0.9999:
        assert deviations_of(cosine, (mean, deviation)) == pytest.approx(count, abs=1e-3)


@pytest.mark.parametrize(("kind", "limit"), [(SFACE, 0.363), (ARCFACE, 0.28)])
def test_a_published_limit_is_where_images_of_the_person_have_to_be_at_least(kind: object, limit: float) -> None:
    likeness = published(limit)
    assert likeness in [known.likeness for known in EMBEDDERS]
    mean, deviation = likeness.strangers or (0, 0)
    assert mean + 2.5 * deviation == pytest.approx(limit, abs=0.003)
    assert likeness.same_person > limit > likeness.apart, "links chain, so they are tighter than the limit of a pair"


def test_random_directions_do_not_reach_the_link() -> None:
    """Cosines of random directions in d dimensions spread by 1/sqrt(d), and are normal on Fisher's scale."""
    rows = np.random.default_rng(1).standard_normal((3000, 64)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    likeness = Likeness.of((0.0, 64**-0.5))
    pairs = (rows @ rows.T)[np.triu_indices(len(rows), 1)]
    assert (pairs >= likeness.same_person).mean() < 2e-5


def test_one_step_on_fishers_scale_is_that_of_random_directions() -> None:
    """atanh of a correlation over d numbers spreads by 1 / root(d - 2) where the cosine itself
    spreads by 1 / root(d).
    """
    assert above((0.0, 12**-0.5), 1.0) == pytest.approx(np.tanh(10**-0.5), abs=1e-9)
    assert above((0.0, 0.5), 1.0) == above((0.0, 0.9), 1.0) == pytest.approx(np.tanh(2**-0.5))
