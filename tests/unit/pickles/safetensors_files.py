"""safetensors files with every mistake that a header can hold."""

from __future__ import annotations

import json
from typing import Any

ONE: dict[str, Any] = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
BODY = b"12345678"


def whole(header: dict[str, Any] | bytes, body: bytes = b"") -> bytes:
    head = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(head).to_bytes(8, "little") + head + body


def one(body: bytes = BODY, **changes: Any) -> bytes:
    return whole({"a": {**ONE, **changes}}, body)


GOOD: dict[str, bytes] = {
    "one tensor": one(),
    "no tensor": whole({}),
    "texts": whole({"__metadata__": {"a": "ü\U0001f600"}, "a": ONE}, BODY),
    "texts that are null": whole({"__metadata__": None, "a": ONE}, BODY),
    "no numbers": one(b"", shape=[0, 3], data_offsets=[0, 0]),
    "one number": one(b"1234", shape=[], data_offsets=[0, 4]),
    "something more in an entry": one(more=1),
    "padded": whole(json.dumps({"a": ONE}).encode() + b"   ", BODY),
    "another order": whole({"b": {**ONE, "data_offsets": [8, 16]}, "a": ONE}, BODY * 2),
}

BAD: dict[str, bytes] = {
    "cut short": one(BODY[:-1]),
    "longer": one(BODY + b"1"),
    "nested deeply": whole(b'{"a":' + b"[" * 200_000 + b"]" * 200_000 + b"}"),
    "texts that are a list": whole({"__metadata__": []}),
    "a text that is a number": whole({"__metadata__": {"a": 1}}),
    "a text with half a character": whole(b'{"__metadata__":{"a":"\\udcff"}}'),
    "a name with half a character": whole(b'{"\\udcff":%b}' % json.dumps(ONE).encode(), BODY),
    "negative offsets": one(b"", shape=[1], data_offsets=[-4, 0]),
    "offsets that are texts": one(data_offsets=["0", "8"]),
    "three offsets": one(data_offsets=[0, 8, 8]),
    "offsets the other way round": one(b"1234", shape=[1], data_offsets=[4, 0]),
    "an entry that is a text": whole({"a": "F32"}, BODY),
    "an entry without a shape": whole({"a": {"dtype": "F32", "data_offsets": [0, 8]}}, BODY),
    "a shape of fractions": one(shape=[2.0]),
    "a shape of truths": one(b"1234", shape=[True], data_offsets=[0, 4]),
    "a shape that is a number": one(shape=2),
    "a negative side": one(shape=[-2]),
    "a side without end": one(b"", shape=[1 << 70, 0], data_offsets=[0, 0]),
    "a product without end": one(b"", shape=[1 << 63, 1 << 63, 0], data_offsets=[0, 0]),
    "another size than the shape's": one(shape=[3]),
    "an unknown type": one(dtype="F7"),
    "a type that is a list": one(dtype=["F32"]),
    "half a byte": one(b"12", dtype="F4", shape=[3], data_offsets=[0, 2]),
    "overlapping": whole({"a": ONE, "b": {**ONE, "data_offsets": [4, 12]}}, b"0" * 12),
    "the same bytes twice": whole({"a": ONE, "b": ONE}, BODY),
    "a hole": whole({"a": ONE, "b": {**ONE, "data_offsets": [12, 20]}}, b"0" * 20),
    "a hole in front": one(b"0" * 12, data_offsets=[4, 12]),
    "no JSON": whole(b"{not json"),
    "not a number": whole(b'{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8],"x":NaN}}', BODY),
    "a zero behind": whole(b"{}\0"),
    "UTF-16": whole("{}".encode("utf-16-le")),
    "Latin-1": whole(b'{"__metadata__":{"a":"\xfc"}}'),
}
