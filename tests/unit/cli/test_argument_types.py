"""Numbers on the command line."""

from __future__ import annotations

import argparse
from typing import Any

import pytest

from twinloop.cli.argument_types import not_negative, positive


@pytest.mark.parametrize(
    ("kind", "text", "words"),
    [
        (not_negative, "abc", "0 or more, got 'abc'"),
        (not_negative, "-1", "0 or more"),
        (positive, "0", "1 or more, got '0'"),
    ],
)
def test_a_whole_number_says_how_small_it_may_be(kind: Any, text: str, words: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match=f"expected a whole number of {words}"):
        kind(text)
    assert (not_negative("0"), not_negative("12"), positive("1")) == (0, 12, 1)
