"""What the header of a file with weights says: names and sizes of its tensors, without reading them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from twinloop.pickles import safetensors_header


@dataclass(frozen=True)
class Header:
    """What a file with weights says about itself.

    Attributes:
        shapes: tensor -> sizes. texts: what its maker wrote into it. missing: bytes by which the file is shorter than
            its tensors.
        types: tensor -> type of its numbers, as safetensors calls it; empty for files of another kind.
    """

    shapes: Mapping[str, tuple[int, ...]]
    texts: Mapping[str, str]
    missing: int
    types: Mapping[str, str] = field(default_factory=dict)


def read_header(path: Path) -> Header:
    """The header of a safetensors file.

    Raises:
        OSError: it cannot be read. ValueError: it is no safetensors file, or a damaged one; one that was cut short has
            something missing.
    """
    found = safetensors_header.of_file(path)
    return Header(
        {name: entry.shape for name, entry in found.entries.items()},
        found.texts,
        found.missing,
        {name: entry.dtype for name, entry in found.entries.items()},
    )


def tensor_names(path: Path) -> list[str] | None:
    """Names of a file's tensors; None when it cannot be read as safetensors."""
    try:
        return list(read_header(path).shapes)
    except (OSError, ValueError):
        return None
