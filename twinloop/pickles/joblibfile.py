"""joblib's files: a pickle whose arrays lie in the stream itself, right behind the record that describes each."""

from __future__ import annotations

import bz2
import io
import lzma
import math
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

from twinloop.errors import ModelFileError
from twinloop.pickles.arrays import ArrayShell, DTypeShell, as_sizes, shaped
from twinloop.pickles.names import ARRAY_RECORD
from twinloop.pickles.values import Global, Inert

_ALIGNMENT = "numpy_array_alignment_bytes"
_BLOCK = 1 << 20

_OPENERS: dict[bytes, Callable[[], Any]] = {
    b"\x1f\x8b": lambda: zlib.decompressobj(16 + zlib.MAX_WBITS),
    b"\x78": zlib.decompressobj,
    b"BZh": bz2.BZ2Decompressor,
    b"\xfd7zXZ": lzma.LZMADecompressor,
    b"\x5d\x00": lambda: lzma.LZMADecompressor(lzma.FORMAT_ALONE),
}


def is_compressed(head: bytes) -> bool:
    """Whether a file begins as one of the compressions of joblib (and plain gzip); zlib only with a valid header."""
    if head[:1] == b"\x78":
        return len(head) > 1 and int.from_bytes(head[:2], "big") % 31 == 0
    return any(head.startswith(magic) for magic in _OPENERS)


def decompress(stream: BinaryIO, limit: int, look_at_clock: Callable[[], None]) -> bytes:
    """The whole unpacked content.

    Raises:
        ModelFileError: damaged, cut short, or larger than ``limit``.
    """
    head = stream.read(6)
    stream.seek(0)
    unpacker = next(opener for magic, opener in _OPENERS.items() if head.startswith(magic))()
    pieces, size = [], 0
    try:
        for piece in _unpacked(unpacker, stream):
            size += len(piece)
            if size > limit:
                raise ModelFileError(f"it unpacks to more than {limit} bytes; no model file needs that")
            pieces.append(piece)
            look_at_clock()
    except (zlib.error, OSError, lzma.LZMAError) as error:
        raise ModelFileError(f"its compression is damaged ({str(error)[:60]}); download it again") from error
    if unpacker.unused_data or stream.read(1):
        raise ModelFileError("bytes follow its compressed part, which some readers unpack and others do not")
    return b"".join(pieces)


def _unpacked(unpacker: Any, stream: BinaryIO) -> Iterator[bytes]:
    """Blocks of bounded size. zlib hands back what it did not use; bz2 and lzma say whether they need more."""
    while not unpacker.eof:
        rest = getattr(unpacker, "unconsumed_tail", b"")
        block = rest or (stream.read(_BLOCK) if getattr(unpacker, "needs_input", True) else b"")
        piece = unpacker.decompress(block, _BLOCK)
        if not block and not piece and not unpacker.eof:
            raise ModelFileError("its compression is cut short; download it again")
        yield piece


@dataclass(frozen=True)
class Inline:
    """Takes arrays out of the stream, behind the records that describe them.

    ``nested`` reads the pickle that an array of objects is.
    """

    nested: Callable[[BinaryIO], object]

    def take(self, record: Inert, stream: BinaryIO, frame_end: int) -> object | None:
        """What ``record`` stands for; None for records of other classes.

        Args:
            frame_end: where the frame of opcodes ends; joblib has read it as a whole, and takes the bytes behind it.

        Raises:
            ModelFileError: an array that is described in an unknown way, or is longer than the file.
        """
        if record.cls.pair != ARRAY_RECORD:
            return None
        if stream.tell() < frame_end:
            raise ModelFileError("the numbers of an array lie within a frame of opcodes, where joblib does not look")
        about = record.attributes
        described, alignment, subclass = about.get("dtype"), about.get(_ALIGNMENT), about.get("subclass")
        if not (
            isinstance(described, DTypeShell)
            and isinstance(alignment, int | None)
            and isinstance(subclass, Global | None)
            and about.get("order") in ("C", "F")
            and isinstance(about.get("allow_mmap", False), bool)
        ):
            raise ModelFileError("an array is described in an unknown way")
        described.settle()
        sizes = as_sizes(about.get("shape"))
        if described.holds_objects:
            if about.get("allow_mmap", False):
                raise ModelFileError("an array of objects may be mapped, as joblib never writes it: as raw pointers")
            return self.objects(stream)
        if alignment is not None:
            padding = stream.read(1)
            stream.read(padding[0] if padding else 0)
        size = math.prod(sizes) * described.itemsize
        here = stream.tell()
        if size > stream.seek(0, io.SEEK_END) - here:
            raise ModelFileError("an array is longer than the file; it is cut short, download it again")
        stream.seek(here)
        data = stream.read(size)
        if described.opaque:
            return ArrayShell()
        return ArrayShell(shaped(data, described.dtype(), sizes, about.get("order") == "F"))

    def objects(self, stream: BinaryIO) -> ArrayShell:
        """An array of objects: a pickle of its own. joblib turns and shapes whatever comes out of it, so that it must
        be an array.
        """
        found = self.nested(stream)
        if not isinstance(found, ArrayShell):
            raise ModelFileError("what follows the record of an array is none; the file is damaged or made to do harm")
        return found
