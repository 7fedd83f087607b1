"""numpy's own files: numbers, or a pickle where their type holds objects."""

from __future__ import annotations

import re
from typing import BinaryIO

from twinloop.errors import ModelFileError
from twinloop.pickles.reader import Reader

NUMPY = b"\x93NUMPY"
_LARGEST_HEADER = 1 << 20
_SHAPE = rb"\((?:\d{1,19}L?(?:, ?\d{1,19}L?)*,?)?\)"
_TYPE = rb"'[<>|=]?(?:b1|[iufc]\d{1,2}|[SUV]\d{1,9}|[Mm]8(?:\[\d{0,9}[a-zA-Z]{1,2}\])?)'"
_FIELD = rb"\('[\w .-]*', ?%b(?:, ?%b)?\)" % (_TYPE, _SHAPE)
_HEADER = re.compile(
    rb"\{'descr': ?(?:%b|\[%b(?:, ?%b)*,?\]), ?'fortran_order': ?(?:False|True), ?'shape': ?%b,? ?\} *\n?"
    % (_TYPE, _FIELD, _FIELD, _SHAPE)
)
"""A header of numbers, texts and dates as numpy writes it. A type of objects can be spelt in many ways, among them with
escapes and in types that later versions add: everything else is taken for one."""


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
    if _HEADER.fullmatch(header):
        return False
    reader.read(stream, place=place)
    return True
