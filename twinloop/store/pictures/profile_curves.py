"""Colours in floating-point under a profile that is curves and a matrix, as those of cameras, screens and photo editors
are: to sRGB without going through 8 bits, which in a linear profile leave the dark parts next to nothing. After ICC.1.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.float64]
_TO_SRGB = np.linalg.inv(
    [[0.4360657, 0.3851515, 0.1430784], [0.2224932, 0.7168870, 0.0606169], [0.0139160, 0.0970764, 0.7140961]]
)
"""XYZ under D50, the white of profiles, to linear sRGB (IEC 61966-2-1, adapted by Bradford's method)."""
_LARGEST = 1 << 16
"""Entries of a curve."""


def to_srgb_by(profile: bytes) -> Callable[[Values], Values] | None:
    """What brings (..., 3) colours of 0 to 1 to sRGB of 0 to 1; None for a profile that is not of red, green and blue,
    holds tables instead of a matrix, or is damaged.
    """
    try:
        tags = _tags(profile)
        if profile[16:24] != b"RGB XYZ " or b"A2B0" in tags:
            return None
        columns = np.array([struct.unpack_from(">3i", tags[f"{name}XYZ".encode()], 8) for name in "rgb"]) / 65536
        curves = [_curve(tags[f"{name}TRC".encode()]) for name in "rgb"]
    except (KeyError, IndexError, ValueError, struct.error):
        return None
    matrix = _TO_SRGB @ columns.T

    def changed(colours: Values) -> Values:
        linear = np.stack([curve(colours[..., number]) for number, curve in enumerate(curves)], axis=-1)
        return _encoded(np.clip(linear @ matrix.T, 0, 1))

    return changed


def _tags(profile: bytes) -> Mapping[bytes, bytes]:
    (count,) = struct.unpack_from(">I", profile, 128)
    entries = (struct.unpack_from(">4sII", profile, 132 + 12 * number) for number in range(min(count, 100)))
    return {name: profile[place : place + size] for name, place, size in entries}


def _curve(tag: bytes) -> Callable[[Values], Values]:
    """From what a picture holds to light.

    Raises:
        ValueError: of an unknown kind.
    """
    if tag[:4] == b"curv":
        (count,) = struct.unpack_from(">I", tag, 8)
        if count == 0:
            return lambda values: values
        if count == 1:
            gamma = struct.unpack_from(">H", tag, 12)[0] / 256
            return lambda values: values**gamma
        if count > _LARGEST:
            raise ValueError("a curve that is too long")
        table = np.frombuffer(tag, ">u2", count, 12) / 65535
        return lambda values: np.interp(values, np.linspace(0, 1, count), table)
    kind = struct.unpack_from(">H", tag, 8)[0] if tag[:4] == b"para" else 5
    if kind > 4:
        raise ValueError("an unknown curve")
    numbers = np.array(struct.unpack_from(f">{(1, 3, 4, 5, 7)[kind]}i", tag, 12)) / 65536
    return _formula(kind, *numbers)


def _formula(
    kind: int, g: float, a: float = 1.0, b: float = 0.0, c: float = 0.0, d: float = 0.0, e: float = 0.0, f: float = 0.0
) -> Callable[[Values], Values]:
    """A parametric curve; the letters are the standard's."""
    if kind in (1, 2):  # below -b / a it is flat
        return lambda values: np.maximum(a * values + b, 0) ** g + c
    return lambda values: np.where(values >= d, np.maximum(a * values + b, 0) ** g + e, c * values + f)


def _encoded(light: Values) -> Values:
    return np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)
