"""A very small writer of ONNX files: just the protobuf fields that a plain convolution net needs, so that the ``onnx``
package is not needed to read other people's checkpoints. Field numbers: onnx.proto3 of the ONNX specification."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from twinloop.errors import ModelFileError

AttributeValue = int | float | str | Sequence[int]
_FLOAT, _INT64 = 1, 7
_IR_VERSION = 8
_OPSET = 13
NOTES = "twinloop"
"""Key under which a converted file keeps what is not in its graph, as JSON."""
_MAX_BYTES = 1_500_000_000
"""Protobuf files end at 2 GiB; no detector comes near."""


def _varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _number(tag: int, value: int) -> bytes:
    return _varint(tag << 3) + _varint(value)


def _block(tag: int, data: bytes) -> bytes:
    return _varint(tag << 3 | 2) + _varint(len(data)) + data


def _text(tag: int, value: str) -> bytes:
    return _block(tag, value.encode())


def _attribute(name: str, value: AttributeValue) -> bytes:
    head = _text(1, name)
    if isinstance(value, str):
        return head + _text(4, value) + _number(20, 3)
    if isinstance(value, float):
        return head + _varint(2 << 3 | 5) + struct.pack("<f", value) + _number(20, 1)
    if isinstance(value, int):
        return head + _number(3, value) + _number(20, 2)
    return head + b"".join(_number(8, item) for item in value) + _number(20, 7)


def _value_info(name: str, shape: Sequence[int | str]) -> bytes:
    dims = b"".join(_block(1, _text(2, d) if isinstance(d, str) else _number(1, d)) for d in shape)
    tensor = _number(1, _FLOAT) + _block(2, dims)
    return _text(1, name) + _block(2, _block(1, tensor))


@dataclass
class GraphWriter:
    """Collects nodes and weights in running order, then gives the file's bytes."""

    _nodes: list[bytes] = field(default_factory=list)
    _weights: list[bytes] = field(default_factory=list)
    _count: int = 0
    _size: int = 0

    def weight(self, value: npt.NDArray[np.generic]) -> str:
        """Store a constant (float32, or int64 for shapes); returns its name.

        Raises:
            ModelFileError: all constants together are larger than a file may be.
        """
        whole = value.dtype.kind in "iu"
        data = np.ascontiguousarray(value, dtype="<i8" if whole else "<f4")
        self._size += data.nbytes
        if self._size > _MAX_BYTES:
            raise ModelFileError("its weights are larger than any detector's")
        name = f"w{len(self._weights)}"
        dims = b"".join(_number(1, size) for size in data.shape)
        kind = _number(2, _INT64 if whole else _FLOAT)
        self._weights.append(dims + kind + _text(8, name) + _block(9, data.tobytes()))
        return name

    def node(self, kind: str, inputs: Sequence[str], outputs: int = 1, **attributes: AttributeValue) -> tuple[str, ...]:
        """Append one operator (opset 13); returns the names of its outputs."""
        names = tuple(f"x{self._count + index}" for index in range(outputs))
        self._count += outputs
        body = b"".join(_text(1, name) for name in inputs) + b"".join(_text(2, name) for name in names)
        body += _text(4, kind) + b"".join(_block(5, _attribute(k, v)) for k, v in attributes.items())
        self._nodes.append(body)
        return names

    def one(self, kind: str, inputs: Sequence[str], **attributes: AttributeValue) -> str:
        """Append one operator with a single output; returns its name."""
        return self.node(kind, inputs, 1, **attributes)[0]

    def finish(
        self, name: str, image: str, outputs: Sequence[str], notes: Mapping[str, str] = MappingProxyType({})
    ) -> bytes:
        """The ONNX file: input ``image`` (1, 3, height, width) float32, outputs of any size in the given order, texts
        beside them.
        """
        graph = b"".join(_block(1, node) for node in self._nodes) + _text(2, name)
        graph += b"".join(_block(5, weight) for weight in self._weights)
        graph += _block(11, _value_info(image, (1, 3, "height", "width")))
        for index, output in enumerate(outputs):
            sizes = (1, f"channels{index}", f"height{index}", f"width{index}")
            graph += _block(12, _value_info(output, sizes))
        opset = _block(8, _number(2, _OPSET))
        texts = b"".join(_block(14, _text(1, key) + _text(2, value)) for key, value in sorted(notes.items()))
        return _number(1, _IR_VERSION) + _text(2, "twinloop") + opset + _block(7, graph) + texts
