"""The arithmetic of quantised weights' sizes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from twinloop.domain.quantised import QUANTIZATIONS, quantised_bytes

SIDES = st.integers(1, 20_000)


@given(SIDES, SIDES)
def test_eight_bits_are_a_byte_per_weight_and_a_little_per_row(rows: int, columns: int) -> None:
    assert quantised_bytes(rows, columns, "int8") == rows * columns + 5 * rows
    assert quantised_bytes(rows, columns, "fp8") == rows * columns + 4 * rows


@given(SIDES, SIDES)
def test_four_bits_are_half_a_byte_per_weight_and_a_sixtyfourth_more(rows: int, columns: int) -> None:
    weights = rows * columns
    over = quantised_bytes(rows, columns, "nf4") - weights * (1 / 2 + 1 / 64 + 1 / 4096)
    assert 1092 <= over <= 1092 + 0.5 + 1 + 4 * (1 + 1 / 256)


def test_a_layer_of_flux_by_hand() -> None:
    rows, columns = 12_288, 3_072
    found = {how: quantised_bytes(rows, columns, how) / (2 * rows * columns) for how in QUANTIZATIONS}
    assert {how: round(share, 4) for how, share in found.items()} == {"nf4": 0.2579, "int8": 0.5008, "fp8": 0.5007}
