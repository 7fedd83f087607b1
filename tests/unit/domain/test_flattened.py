"""Nested settings as one table."""

from __future__ import annotations

import pytest

from twinloop.domain.flattened import flattened


@pytest.mark.parametrize(
    ("data", "flat"),
    [
        ({}, {}),
        ({"a": 1, "b": {"c": None, "d": {"e": [1, {"f": 2}]}}}, {"a": 1, "b.c": None, "b.d.e": [1, {"f": 2}]}),
        ({"a": {}, "b": 0}, {"b": 0}),
        ([1], {"": [1]}),
    ],
)
def test_names_are_joined_and_values_kept(data: object, flat: object) -> None:
    assert flattened(data) == flat
