"""Opcodes of pickles, written one by one: what attacks and harmless models are made of."""

from __future__ import annotations

import struct

from twinloop.pickles import Blob, Policy
from twinloop.pickles.inspection import Inspection, inspect_blob


def look(data: bytes, *allowed: str) -> Inspection:
    return inspect_blob(Blob("model", data=data), Policy(frozenset(allowed)))


def text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value.encode())) + value.encode()


def name(path: str) -> bytes:
    module, _, last = path.rpartition(".")
    return f"c{module}\n{last}\n".encode()


def call(target: str, *args: bytes) -> bytes:
    return name(target) + b"(" + b"".join(args) + b"tR"


def new(target: str, *args: bytes) -> bytes:
    return name(target) + b"(" + b"".join(args) + b"t\x81"


def dictionary(**items: bytes) -> bytes:
    return b"(" + b"".join(text(key) + value for key, value in items.items()) + b"d"


def built(made: bytes, **state: bytes) -> bytes:
    return made + dictionary(**state) + b"b"


def namespace(**state: bytes) -> bytes:
    return built(new("types.SimpleNamespace"), **state)


MODEL = name("models.yolo.Model")


GETATTR = name("builtins.getattr")
