"""Files that are one thing to one reader and a pickle to another: the same bytes read as a plain pickle, from the first one on."""

from __future__ import annotations

import contextlib
import io
from dataclasses import dataclass, field
from typing import BinaryIO, cast

from twinloop.errors import ModelFileError
from twinloop.pickles.machine import Refusal
from twinloop.pickles.reader import Reader

PLACE = "the file read as a plain pickle"
LONGEST = 512 << 20
"""Bytes of one value that are read; genuine files of other kinds are no pickle after their first few opcodes."""


@dataclass
class _Capped:
    """A stream that reads no more than `LONGEST` at once. ``leapt``: more was asked for, and was there."""

    stream: BinaryIO
    size: int
    leapt: bool = field(default=False, init=False)

    def read(self, size: int = -1) -> bytes:
        left = self.size - self.stream.tell()
        if LONGEST < size <= left:
            self.leapt = True
        if size < 0 or size > LONGEST:
            raise ModelFileError("a value is longer than any that is read")
        return self.stream.read(size)

    def readline(self) -> bytes:
        return self.stream.readline(LONGEST)

    def tell(self) -> int:
        return self.stream.tell()

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self.stream.seek(offset, whence)


def acts_as_pickle(stream: BinaryIO, like: Reader) -> tuple[tuple[Refusal, ...], bool]:
    """What ``pickle.load`` would do with the bytes from here on, and whether they leap further than was followed.

    Only what would act counts: of bytes that are no pickle, names and damage mean nothing.
    """
    here = stream.tell()
    capped = _Capped(stream, stream.seek(0, io.SEEK_END))
    stream.seek(here)
    reader = Reader(like.source, like.policy, like.limits, tolerant=True)
    with contextlib.suppress(ModelFileError):
        reader.read(cast(BinaryIO, capped), place=PLACE)
    return tuple(reader.refused), capped.leapt
