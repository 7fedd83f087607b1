"""Pickles that look like something else, and what the inspector says of bytes."""

from __future__ import annotations

import pickle

from twinloop.pickles import Blob, Policy
from twinloop.pickles.inspection import Inspection, inspect_blob

GETPID = b"cposix\ngetpid\n)R."
"""A pickle whose loading shows: it returns the number of this process."""


def look(data: bytes, *allowed: str) -> Inspection:
    return inspect_blob(Blob("model", data=data), Policy(frozenset(allowed)))


def record(dtype: bytes, shape: tuple[int, ...], **more: object) -> bytes:
    """What joblib writes before the numbers of an array."""
    about = {"order": "C", "allow_mmap": False, "subclass": None, "shape": shape, **more}
    parts = b"".join(pickle.dumps(one, 2)[2:-1].replace(b"q\x00", b"") for pair in about.items() for one in pair)
    return b"\x80\x02cjoblib.numpy_pickle\nNumpyArrayWrapper\n)\x81}(" + parts + b"X\x05\0\0\0dtype" + dtype + b"ub"


def dtype_of(code: str, size: int, fields: bytes = b"NN", flags: int = 0) -> bytes:
    """A numpy type by its code, with the size and flags that its state claims; ``fields`` = names and fields."""
    made = b"cnumpy\ndtype\n(X" + len(code).to_bytes(4, "little") + code.encode() + b"K\0K\x01tR"
    return (
        made
        + b"(K\x03X\x01\0\0\0|N"
        + fields
        + b"J"
        + size.to_bytes(4, "little", signed=True)
        + b"K\x01K"
        + bytes([flags])
        + b"tb"
    )


def polyglot(payload: bytes = GETPID) -> bytes:
    """A valid safetensors file of one tensor of bytes that ``pickle.loads`` takes for ``payload``.

    The length of its header, 0x558, is the opcode X for a text of five bytes, which leaps into the tensor's name; there
    short byte strings (C) leap on, the last one over the rest of the header.
    """
    size, leap = 0x558, 0x60
    entry = b'":{"dtype":"U8","shape":[%d],"data_offsets":[0,%d]}}' % (len(payload), len(payload))
    key = bytearray(b"a" * (size - 2 - len(entry)))
    at = 0
    while (left := size - 2 - at) > 2 + 0x7F:
        step = leap if left - 2 - leap > 2 + 0x30 else 0x30
        key[at : at + 2] = b"C" + bytes([step])
        at += 2 + step
    key[at : at + 2] = b"C" + bytes([left - 2])
    return size.to_bytes(8, "little") + b'{"' + bytes(key) + entry + payload
