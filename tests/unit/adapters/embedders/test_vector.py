"""Identity vectors have length 1, or are none."""

from __future__ import annotations

import numpy as np
import pytest

from twinloop.adapters.embedders.vector import unit


def test_the_direction_stays_and_the_length_is_one() -> None:
    made = unit(np.array([3.0, 4.0], np.float32))
    assert made is not None and made.dtype == np.float32
    np.testing.assert_allclose(made, [0.6, 0.8], rtol=1e-6)


@pytest.mark.parametrize("broken", [[0.0, 0.0], [np.nan, 1.0], [np.inf, 1.0]])
def test_what_has_no_direction_is_none(broken: list[float]) -> None:
    assert unit(np.array(broken, np.float32)) is None
