"""The header of a safetensors file: names and sizes of its tensors, without reading them.

Format: 8 bytes little-endian length, a JSON header of that length, then the tensors' bytes without gaps.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_LENGTH = 8
_LARGEST_HEADER = 100 << 20


@dataclass(frozen=True)
class Header:
    """What a safetensors file says about itself.

    Attributes:
        shapes: tensor -> sizes. texts: what its maker wrote into it. missing: bytes by which the file is shorter than its tensors.
    """

    shapes: dict[str, tuple[int, ...]]
    texts: dict[str, str]
    missing: int


def read_header(path: Path) -> Header:
    """The header of a file.

    Raises:
        OSError: it cannot be read. ValueError: it is no safetensors file.
    """
    with open(path, "rb") as file:
        size = int.from_bytes(file.read(_LENGTH), "little")
        if not 2 <= size <= _LARGEST_HEADER:
            raise ValueError("the header's length makes no sense")
        header: Any = json.loads(file.read(size))
    if not isinstance(header, dict):
        raise ValueError("the header is no JSON object")
    texts = header.pop("__metadata__", {})
    try:
        shapes = {str(name): tuple(int(side) for side in entry["shape"]) for name, entry in header.items()}
        end = max((int(entry["data_offsets"][1]) for entry in header.values()), default=0)
        said = {str(key): str(value) for key, value in texts.items()}
    except (KeyError, TypeError, IndexError, AttributeError) as error:
        raise ValueError(f"the header is damaged: {error}") from error
    return Header(shapes, said, max(0, _LENGTH + size + end - path.stat().st_size))


def tensor_names(path: Path) -> list[str] | None:
    """Names of a file's tensors; None when it cannot be read as safetensors."""
    try:
        return list(read_header(path).shapes)
    except (OSError, ValueError):
        return None
