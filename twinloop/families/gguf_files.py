"""The header of a GGUF file: names and sizes of its tensors, without reading them.

Format (docs/gguf.md of ggml): ``GGUF``, version, numbers of tensors and of notes; notes as name, type, value; per
tensor its name, sides (columns first), type and offset; then, aligned, the tensors' bytes. All numbers are
little-endian.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from twinloop.families.single_files import Header

SUFFIX = ".gguf"
_MAGIC = b"GGUF"
_VERSIONS = (2, 3)
_MOST = 1 << 16
"""Tensors, and notes; denoisers have some thousand and some dozen."""
_LONGEST = 64 << 20
"""Bytes of one text or list."""
_NUMBERS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_TEXT, _LIST = 8, 9
_BLOCKS = {
    0: (1, 4),
    1: (1, 2),
    30: (1, 2),
    2: (32, 18),
    3: (32, 20),
    6: (32, 22),
    7: (32, 24),
    8: (32, 34),
    10: (256, 84),
    11: (256, 110),
    12: (256, 144),
    13: (256, 176),
    14: (256, 210),
}
"""Type -> weights and bytes of one block: F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q2_K to Q6_K, which are those
that diffusers reads."""
_PLAIN = (0, 1)
"""Those that it makes common tensors of."""


def read_gguf_header(path: Path) -> Header:
    """The header of a file; shapes are in PyTorch's order.

    Raises:
        OSError: it cannot be read. ValueError: it is no GGUF file, or one of a kind that cannot be loaded.
    """
    texts, found, begun = _read(path)
    end = max((begun + tensor.offset + tensor.size for tensor in found), default=begun)
    return Header({tensor.name: tensor.shape for tensor in found}, texts, max(0, end - path.stat().st_size))


def holds_packed_weights(path: Path) -> bool:
    """Whether diffusers leaves weights of a file packed; False where it cannot be read."""
    try:
        return any(tensor.kind not in _PLAIN for tensor in _read(path)[1])
    except (OSError, ValueError):
        return False


@dataclass(frozen=True)
class _Tensor:
    """``offset``, ``size``: of its bytes."""

    name: str
    shape: tuple[int, ...]
    kind: int
    offset: int
    size: int


def _read(path: Path) -> tuple[dict[str, str], list[_Tensor], int]:
    """Notes, tensors, and where the tensors' bytes begin."""
    with open(path, "rb") as file:
        if file.read(4) != _MAGIC:
            raise ValueError("it does not begin with GGUF")
        version, tensors, notes = _numbers(file, "IQQ")
        if version not in _VERSIONS or tensors > _MOST or notes > _MOST:
            raise ValueError("the header makes no sense")
        texts = dict(_note(file) for _ in range(notes))
        found = [_tensor(file) for _ in range(tensors)]
        alignment = int(texts.get("general.alignment", "32"))
        if alignment < 1:
            raise ValueError("the header makes no sense")
        return texts, found, -(-file.tell() // alignment) * alignment


def _note(file: IO[bytes]) -> tuple[str, str]:
    name = _text(file)
    (kind,) = _numbers(file, "I")
    return name, _value(file, kind)


def _value(file: IO[bytes], kind: int) -> str:
    if kind == _TEXT:
        return _text(file)
    if kind == _LIST:
        inner, count = _numbers(file, "IQ")
        if inner == _LIST or count > _LONGEST:
            raise ValueError("a list that makes no sense")
        for _ in range(count):
            _value(file, inner)
        return ""
    if kind not in _NUMBERS:
        raise ValueError(f"a value of the unknown type {kind}")
    (number,) = _numbers(file, _NUMBERS[kind])
    return str(number)


def _tensor(file: IO[bytes]) -> _Tensor:
    name = _text(file)
    (count,) = _numbers(file, "I")
    if count > 8:
        raise ValueError("a tensor with too many sides")
    sides = _numbers(file, f"{count}Q")
    kind, offset = _numbers(file, "IQ")
    if kind not in _BLOCKS:
        raise ValueError(f"tensor {name} is of the type {kind}, which cannot be read; take a file with Q2_K to Q8_0")
    weights, size = _BLOCKS[kind]
    return _Tensor(name, tuple(reversed(sides)), kind, offset, math.prod(sides) // weights * size)


def _text(file: IO[bytes]) -> str:
    (length,) = _numbers(file, "Q")
    if length > _LONGEST:
        raise ValueError("a text that makes no sense")
    return _exactly(file, length).decode("utf-8", "replace")


def _numbers(file: IO[bytes], form: str) -> tuple[int, ...]:
    return struct.unpack(f"<{form}", _exactly(file, struct.calcsize(f"<{form}")))


def _exactly(file: IO[bytes], length: int) -> bytes:
    data = file.read(length)
    if len(data) != length:
        raise ValueError("the header is cut off")
    return data
