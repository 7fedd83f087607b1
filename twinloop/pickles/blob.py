"""The bytes of a file, or bytes in memory that are read as if they were one."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from twinloop.errors import ModelFileError


@dataclass(frozen=True)
class Blob:
    """Bytes that can be read again and again; a file is opened for each reading and never kept open."""

    source: str
    path: Path | None = None
    data: bytes = b""

    def open(self) -> BinaryIO:
        """A stream from the first byte.

        Raises:
            ModelFileError: the file cannot be opened.
        """
        if self.path is None:
            return io.BytesIO(self.data)
        try:
            return self.path.open("rb")
        except OSError as error:
            raise ModelFileError(f"{self.path}: cannot be read ({error.strerror or error})") from error

    def size(self) -> int:
        """Number of bytes."""
        with self.open() as stream:
            return stream.seek(0, io.SEEK_END)

    def part(self, start: int, size: int) -> bytes:
        """``size`` bytes from ``start``.

        Raises:
            ModelFileError: they are not there (any more).
        """
        with self.open() as stream:
            stream.seek(start)
            data = stream.read(size)
        if len(data) != size:
            raise ModelFileError(f"{self.source}: shorter than it says; it was cut short or changed while it was read")
        return data

    def head(self, size: int) -> bytes:
        """The first bytes, at most ``size`` of them."""
        with self.open() as stream:
            return stream.read(size)
