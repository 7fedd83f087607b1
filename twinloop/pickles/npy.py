"""numpy's own files: numbers, or a pickle where their type holds objects."""

from __future__ import annotations

import re
from typing import BinaryIO

from twinloop.errors import ModelFileError
from twinloop.pickles.reader import Reader

NUMPY = b"\x93NUMPY"
# : What a header says besides the type; the letter o in what is left of it may be a type of objects, however it is
# spelt.
_EXPECTED = re.compile(rb"fortran_order|descr|shape|False|True")
_LARGEST_HEADER = 1 << 20


def read_npy(stream: BinaryIO, reader: Reader, place: str) -> bool:
    """Look into a .npy file from its start; gives whether it may hold objects, whose pickle is then read for what it
    would do.

    Raises:
        UnsafeModelFile: it would act, and the reader is not tolerant. ModelFileError: its header or its pickle is
            damaged.
    """
    start = stream.read(12)
    size, skipped = (start[8:12], 12) if start[6:7] >= b"\x02" else (start[8:10], 10)
    stream.seek(stream.tell() - len(start) + skipped)
    length = int.from_bytes(size, "little")
    header = stream.read(length) if length <= _LARGEST_HEADER else b""
    if len(header) != length or not header:
        raise ModelFileError("the header of a .npy file is damaged")
    if b"o" not in _EXPECTED.sub(b"", header).lower():
        return False
    reader.read(stream, place=place)
    return True
