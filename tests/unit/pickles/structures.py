"""Structured arrays inside pickles."""

from __future__ import annotations

from tests.unit.pickles.disguises import dtype_of
from tests.unit.pickles.gadgets import call, dictionary, name, text

OBJECT = dtype_of("O8", -1, flags=63)


FLAGS = 27
"""Of a structure that holds an object."""


def structure(size: int, names: str, **fields: tuple[bytes, int]) -> bytes:
    described = dictionary(**{key: b"(" + dtype + b"K" + bytes([at]) + b"t" for key, (dtype, at) in fields.items()})
    told = b"(" + b"".join(text(key) for key in names) + b"t"
    return dtype_of(f"V{size}", size, told + described, FLAGS)


def array_of(dtype: bytes, element: bytes) -> bytes:
    empty = call("numpy.core.multiarray._reconstruct", name("numpy.ndarray"), b"K\0\x85", b"C\x01b")
    return b"\x80\x04" + empty + b"(K\x01K\x01\x85" + dtype + b"\x89(" + element + b"ltb."
