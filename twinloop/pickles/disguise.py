"""Files that are one thing to one reader and a pickle to another: the same bytes read as a plain pickle, from the first
one on.

Where the reading stops tells the rest: bytes at which Python's unpickler stops as well are no pickle, and hide nothing.
What only we do not follow may hide anything.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import BinaryIO, cast

from twinloop.errors import ModelFileError
from twinloop.pickles.broken import BrokenPickle
from twinloop.pickles.machine import Beside, Refusal
from twinloop.pickles.opcodes import EXTENSION
from twinloop.pickles.reader import Reader
from twinloop.pickles.values import Global

PLACE = "the file read as a plain pickle"
LONGEST = 512 << 20
"""Bytes of one value that are read; genuine files of other kinds are no pickle after their first few opcodes."""


@dataclass
class _Capped:
    """A stream that reads no more than `LONGEST` at once."""

    stream: BinaryIO
    size: int

    def read(self, size: int = -1) -> bytes:
        if size < 0 or size > self.size - self.stream.tell():
            raise BrokenPickle("a value is longer than the file")
        if size > LONGEST:
            raise ModelFileError("a value is longer than any that is read")
        return self.stream.read(size)

    def readline(self) -> bytes:
        line = self.stream.readline(LONGEST)
        if len(line) == LONGEST:
            raise ModelFileError("a line is longer than any that is read")
        return line

    def tell(self) -> int:
        return self.stream.tell()

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self.stream.seek(offset, whence)


@dataclass(frozen=True)
class Disguise:
    """What ``pickle.load`` would do with bytes that are something else.

    Attributes:
        refused: what would act. names: other names that it would use. followed: nothing that it would do was left
            unread.
        whole: it is a pickle to its stop, behind which whoever loads twice goes on.
    """

    refused: tuple[Refusal, ...] = ()
    names: tuple[Global, ...] = ()
    followed: bool = True
    whole: bool = False


def acts_as_pickle(stream: BinaryIO, like: Reader, beside: Beside = Beside()) -> Disguise:  # noqa: B008 - frozen
    """What ``pickle.load`` would do with the bytes from here on; where it raises at once, nothing.

    ``beside``: what it may hold.
    """
    here = stream.tell()
    capped = _Capped(stream, stream.seek(0, io.SEEK_END))
    stream.seek(here)
    reader = Reader(like.source, like.policy, like.limits, tolerant=True)
    followed, whole = True, False
    try:
        reader.read(cast(BinaryIO, capped), beside, PLACE)
        whole = True
    except BrokenPickle:
        pass
    except ModelFileError:
        followed = False
    end = next((refusal.offset for refusal in reader.refused if refusal.target == EXTENSION), None)
    refused = tuple(refusal for refusal in reader.refused if end is None or refusal.offset < end)
    names = tuple(name for name in reader.names if _importable(name) and (end is None or name.offset < end))
    return Disguise(refused, names, followed or end is not None, whole)


def _importable(name: Global) -> bool:
    """Not two lines of noise."""
    return all(part.isidentifier() for part in name.path.split("."))
