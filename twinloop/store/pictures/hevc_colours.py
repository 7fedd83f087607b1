"""The code points of a HEIC that tells them in its HEVC stream alone (ITU-T H.265, annex E), and not in its container,
where programs look for them.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

_SPS = 33
"""Type of a NAL unit with a sequence parameter set."""
_HEADER = 22
"""Bytes of a decoder's configuration (hvcC, ISO/IEC 14496-15) before its arrays."""
_BEFORE_TOP_LEVEL, _LEVEL = 88, 8
"""Bits of a profile, and of a level."""
_ANY_RATIO = 255


def code_points_of_stream(data: bytes) -> tuple[int, int] | None:
    """(primaries, transfer) of the coloured pictures in a HEIC; None where their streams tell none, or several."""
    try:
        sets = [_read(_Bits(sps.replace(b"\0\0\3", b"\0\0"))) for sps in _parameter_sets(data)]
    except (IndexError, ValueError):  # damaged, or more than single pictures hold
        return None
    found = {told for coloured, told in sets if coloured}
    return found.pop() if len(found) == 1 else None


def _parameter_sets(data: bytes) -> Iterator[bytes]:
    for meta in _inside(data, b"meta"):
        for properties in _inside(meta[4:], b"iprp"):
            for container in _inside(properties, b"ipco"):
                for config in _inside(container, b"hvcC"):
                    yield from _of_configuration(config)


def _inside(data: bytes, kind: bytes) -> Iterator[bytes]:
    """What the boxes of a kind hold that stand side by side."""
    at = 0
    while at + 8 <= len(data):
        size, found = struct.unpack_from(">I4s", data, at)
        if size < 8:  # up to the end, in 64 bits, or damaged: a picture's metadata come before such
            return
        if found == kind:
            yield data[at + 8 : at + size]
        at += size


def _of_configuration(config: bytes) -> Iterator[bytes]:
    at = _HEADER + 1
    for _ in range(config[_HEADER] if len(config) > _HEADER else 0):
        kind, count = config[at] & 63, int.from_bytes(config[at + 1 : at + 3], "big")
        at += 3
        for _ in range(count):
            size = int.from_bytes(config[at : at + 2], "big")
            if kind == _SPS:
                yield config[at + 4 : at + 2 + size]  # without the unit's own head
            at += 2 + size


class _Bits:
    """A sequence of bits, read from its beginning. Raises IndexError at its end."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def take(self, count: int) -> int:
        value = 0
        for _ in range(count):
            value = value << 1 | self._data[self._at >> 3] >> (7 - (self._at & 7)) & 1
            self._at += 1
        return value

    def golomb(self, count: int = 1) -> int:
        """The last of so many Exp-Golomb codes."""
        value = 0
        for _ in range(count):
            zeros = 0
            while not self.take(1):
                zeros += 1
            value = (1 << zeros) - 1 + self.take(zeros)
        return value


def _read(bits: _Bits) -> tuple[bool, tuple[int, int] | None]:
    """Whether the pictures of a sequence parameter set have colours, and (primaries, transfer).

    Raises:
        ValueError: it holds what single pictures do not.
    """
    bits.take(4)
    layers = bits.take(3)
    bits.take(1)
    _skip_levels(bits, layers)
    bits.golomb()
    chroma = bits.golomb()
    if chroma == 3:
        bits.take(1)
    bits.golomb(2)  # width and height
    if bits.take(1):
        bits.golomb(4)
    bits.golomb(2)  # bits of a number
    count_bits = bits.golomb() + 4
    bits.golomb(3 * (1 if not bits.take(1) else layers + 1))
    bits.golomb(6)  # sizes and depths of blocks
    if bits.take(1) and bits.take(1):
        _skip_scaling(bits)
    bits.take(2)
    if bits.take(1):
        bits.take(8)
        bits.golomb(2)
        bits.take(1)
    _skip_references(bits, count_bits)
    bits.take(2)
    return chroma > 0, _of_usability(bits) if bits.take(1) else None


def _of_usability(bits: _Bits) -> tuple[int, int] | None:
    """Of what is told of the pictures' use (VUI)."""
    if bits.take(1) and bits.take(8) == _ANY_RATIO:
        bits.take(32)
    if bits.take(1):
        bits.take(1)
    if not bits.take(1):
        return None
    bits.take(4)
    return (bits.take(8), bits.take(8)) if bits.take(1) else None


def _skip_levels(bits: _Bits, layers: int) -> None:
    bits.take(_BEFORE_TOP_LEVEL + _LEVEL)
    there = [(bits.take(1), bits.take(1)) for _ in range(layers)]
    if layers:
        bits.take(2 * (8 - layers))
    for profile, level in there:
        bits.take(_BEFORE_TOP_LEVEL * profile + _LEVEL * level)


def _skip_scaling(bits: _Bits) -> None:
    for size in range(4):
        for _ in range(0, 6, 3 if size == 3 else 1):
            if not bits.take(1):
                bits.golomb()
            else:
                bits.golomb(min(64, 16 << 2 * size) + (size > 1))


def _skip_references(bits: _Bits, count_bits: int) -> None:
    """What pictures of a video refer to."""
    for number in range(bits.golomb()):
        if number and bits.take(1):
            raise ValueError("a list of references that follows from another one")
        for _ in range(bits.golomb() + bits.golomb()):
            bits.golomb()
            bits.take(1)
    if bits.take(1):
        bits.take(bits.golomb() * (count_bits + 1))
