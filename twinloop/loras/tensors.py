"""Tensors as they lie in a safetensors file: bits first, numbers on request, so that what is only renamed stays bit for
bit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from twinloop.domain.faces import FloatArray
from twinloop.errors import ModelFileError

Floats = npt.NDArray[np.float64]
Bits = npt.NDArray[Any]

STORAGE: Mapping[str, Any] = {
    "F64": np.float64,
    "F32": np.float32,
    "F16": np.float16,
    "BF16": np.uint16,
    "F8_E4M3": np.uint8,
    "F8_E5M2": np.uint8,
    "I64": np.int64,
    "I32": np.int32,
    "I16": np.int16,
    "I8": np.int8,
    "U64": np.uint64,
    "U32": np.uint32,
    "U16": np.uint16,
    "U8": np.uint8,
    "BOOL": np.bool_,
}
"""safetensors' name of a type -> the NumPy type that holds its bits. NumPy knows neither bfloat16 nor the 8-bit
floats."""
AGAIN = "Download or export it again."
"""What to do about a file that is not whole."""
NAMES: Mapping[str, str] = {"float16": "F16", "bfloat16": "BF16", "float32": "F32"}


@dataclass(frozen=True, eq=False)
class RawTensor:
    """One tensor. ``dtype`` is safetensors' name; ``bits`` holds what the file holds, in the shape of the tensor."""

    dtype: str
    bits: Bits

    @property
    def shape(self) -> tuple[int, ...]:
        return self.bits.shape

    def data(self) -> bytes:
        """The tensor's bytes as a safetensors file holds them."""
        return np.ascontiguousarray(self.bits).tobytes()

    def same(self, other: RawTensor) -> bool:
        """Whether type, shape and every bit agree."""
        if self.dtype != other.dtype or self.shape != other.shape:
            return False
        return self.data() == other.data()

    def values(self) -> Floats:
        """The numbers, in the tensor's shape.

        Raises:
            ModelFileError: whole numbers, where a weight is expected.
        """
        if self.dtype == "BF16":
            return (self.bits.astype(np.uint32) << 16).view(np.float32).astype(np.float64)
        if self.dtype.startswith("F8"):
            return _EIGHT[self.dtype][self.bits]
        if not self.dtype.startswith("F"):
            raise ModelFileError(f"a weight of type {self.dtype} is not a float")
        return self.bits.astype(np.float64)


def encode(values: Floats | FloatArray, dtype: str) -> RawTensor:
    """Numbers as a tensor of type F16, BF16, F32 or F64, rounded to nearest, ties to even."""
    if dtype != "BF16":
        return RawTensor(dtype, np.asarray(values).astype(STORAGE[dtype]))
    bits = np.asarray(values, dtype=np.float32).view(np.uint32)
    rounded = ((bits + np.uint32(0x7FFF) + ((bits >> 16) & np.uint32(1))) >> 16).astype(np.uint16)
    return RawTensor("BF16", np.where(np.isnan(values), np.uint16(0x7FC0), rounded))


def alpha_tensor(alpha: float, dtype: str) -> RawTensor:
    """The alpha of weights of type ``dtype``: in that type where it holds the number as it is, else in float32 (half
    precision ends at 65,504).
    """
    if dtype in ("F16", "BF16"):
        with np.errstate(over="ignore"):
            tensor = encode(np.asarray(alpha), dtype)
        if float(tensor.values()) == alpha:
            return tensor
    return encode(np.asarray(alpha), "F64" if dtype == "F64" else "F32")


def check_finite(*weights: Floats) -> None:
    """Raises ModelFileError where one of the numbers is not finite."""
    if not all(np.isfinite(part).all() for part in weights):
        raise ModelFileError(
            "its weights hold numbers that are not finite; the training broke down. Take an earlier file of it."
        )


def widest(dtypes: list[str]) -> str:
    """The narrowest writable type that holds all of these: half and bfloat16 together need float32, 8-bit floats become
    half.
    """
    found = {"F16" if dtype.startswith("F8") else dtype for dtype in dtypes}
    if found == {"F16"} or found == {"BF16"}:
        return found.pop()
    return "F64" if "F64" in found else "F32"


def _eight_bit(exponent: int, mantissa: int, infinite: bool) -> Floats:
    """Every value of an 8-bit float, by its byte.

    ``infinite``: the highest exponent means infinity and not-a-number (IEEE).
    """
    codes = np.arange(256)
    sign = np.where(codes & 0x80, -1.0, 1.0)
    power, fraction = (codes >> mantissa) & ((1 << exponent) - 1), codes & ((1 << mantissa) - 1)
    bias = (1 << (exponent - 1)) - 1
    normal = (1 + fraction / (1 << mantissa)) * 2.0 ** (power - bias)
    values = sign * np.where(power == 0, fraction / (1 << mantissa) * 2.0 ** (1 - bias), normal)
    top = power == (1 << exponent) - 1
    if infinite:
        return np.where(top, np.where(fraction == 0, sign * np.inf, np.nan), values)
    return np.where(top & (fraction == (1 << mantissa) - 1), np.nan, values)


_EIGHT: Mapping[str, Floats] = {"F8_E4M3": _eight_bit(4, 3, False), "F8_E5M2": _eight_bit(5, 2, True)}
