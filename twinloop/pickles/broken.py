"""Where Python's own unpickler stops, too, and where only we do: what lies behind a stop of ours is not known to be
harmless.
"""

from __future__ import annotations

import re
from typing import BinaryIO

from twinloop.errors import ModelFileError

_LENIENT = {
    **dict.fromkeys((b"I", b"L", b"p", b"g"), re.compile(rb"\s*[+-]?[0-9][0-9a-zA-Z_]*\s*(\0.*)?", re.DOTALL)),
    b"F": re.compile(rb"\s*[+-]?(\.?[0-9][0-9_.eE+-]*|inf(inity)?|nan)(\0.*)?", re.DOTALL | re.IGNORECASE),
    b"S": re.compile(rb"(['\"]).*\1", re.DOTALL),
}  # fmt: skip
"""Opcode -> a line behind it that C may take although pickletools does not: C reads numbers in other bases and up to a
NUL, and text in whatever encoding its caller names."""
_NAMES = (b"c", b"i")
_NUMBER = re.compile(rb"-?(0|[1-9][0-9]*)\n|0[01]\n")


class BrokenPickle(ModelFileError):
    """These bytes are no pickle from here on: ``pickle.load`` raises at the same opcode, and nothing behind it runs."""


def breaks_for_all(stream: BinaryIO, start: int) -> bool:
    """Whether the opcode at ``start``, which pickletools cannot read, stops Python's unpickler as well."""
    stream.seek(start)
    code = stream.read(1)
    if code in _NAMES:
        return not all(_is_text(stream.readline()) for _ in range(2))
    if code not in _LENIENT:
        return True
    line = stream.readline()
    return not line.endswith(b"\n") or _LENIENT[code].fullmatch(line[:-1]) is None


def check_number(stream: BinaryIO, start: int) -> None:
    """Of the number in text at ``start``: C takes a leading zero for base 8, and a digit with a sign or a space for a
    truth value.

    Raises:
        ModelFileError: it is not spelt as pickle spells numbers.
    """
    here = stream.tell()
    stream.seek(start + 1)
    line = stream.readline()
    stream.seek(here)
    if not _NUMBER.fullmatch(line):
        raise ModelFileError("a number is spelt in a way that not everybody reads alike")


def _is_text(line: bytes) -> bool:
    try:
        return line.endswith(b"\n") and bool(line.decode("utf-8"))
    except UnicodeDecodeError:
        return False
