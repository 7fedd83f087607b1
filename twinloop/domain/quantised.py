"""Quantised weights: what there is, and how many bytes they take."""

from __future__ import annotations

from typing import Literal, get_args

Quantization = Literal["int8", "fp8", "nf4"]
QUANTIZATIONS: tuple[Quantization, ...] = get_args(Quantization)

NF4_BLOCK = 64
"""Weights that share one scale; the scales are 8-bit numbers themselves (QLoRA, arXiv 2305.14314, double
quantization)."""
NF4_SCALES = 256
"""Scales that share one scale of their own, a float32."""
NF4_TABLES = 4 * (16 + 256 + 1)
"""Bytes of the values that codes stand for, of weights and of scales, and the scales' offset."""


def quantised_bytes(rows: int, columns: int, how: Quantization) -> int:
    """Bytes of a matrix of so many rows (outputs) and columns, with all that is needed to read it."""
    weights = rows * columns
    if how == "int8":
        return weights + 5 * rows  # a float32 scale and an 8-bit zero point for each row
    if how == "fp8":
        return weights + 4 * rows
    scales = -(-weights // NF4_BLOCK)
    return -(-weights // 2) + scales + 4 * -(-scales // NF4_SCALES) + NF4_TABLES
