"""Segmentation networks of the published forms that mark what is red: the files themselves are large, or not here."""

from __future__ import annotations

from collections.abc import Sequence

import flatbuffers
import numpy as np

from twinloop.adapters.detectors.onnx_writer import GraphWriter, _block, _number, _text, _value_info
from twinloop.domain.segmenters import SegmenterKind

_SLOPE, _MIDDLE = 40.0, 0.5
"""Red of 0..1 is marked from the middle on, and surely a few hundredths beside it."""


def red_onnx(
    kind: SegmenterKind, size: tuple[int | str, int | str] | None = None, *, colours_first: bool = True,
    outputs: int = 1, maps: int = 1, broken: float = 0.0,
) -> bytes:  # fmt: skip
    """A network with that kind's input: 1x3xHxW (or 1xHxWx3) colours as it prepares them; 1x1xHxW out.

    Args:
        size: (width, height) that the file fixes, or words that leave them open; None = the kind's own.
        outputs: the first is the map, the others are upside down. maps: in each output.
        broken: added to every number; NaN for a network that breaks down.
    """
    width, height = kind.size if size is None else size
    weights = np.zeros((maps, 3, 1, 1), np.float32)
    weights[:, 0, 0, 0] = _SLOPE * kind.std[0]
    bias = np.full(maps, _SLOPE * (kind.mean[0] - _MIDDLE) + broken, np.float32)
    graph = GraphWriter()
    colours = "picture" if colours_first else graph.one("Transpose", ["picture"], perm=(0, 3, 1, 2))
    found = graph.one("Conv", [colours, graph.weight(weights), graph.weight(bias)], kernel_shape=(1, 1))
    made = []
    for number in range(outputs):
        signed = found if number == 0 else graph.one("Neg", [found])
        made.append(graph.one("Identity", [signed]) if kind.logits else graph.one("Sigmoid", [signed]))
    shape: Sequence[int | str] = (1, 3, height, width) if colours_first else (1, height, width, 3)
    body = b"".join(_block(1, node) for node in graph._nodes) + _text(2, "segmenter")
    body += b"".join(_block(5, weight) for weight in graph._weights) + _block(11, _value_info("picture", shape))
    body += b"".join(_block(12, _value_info(name, (1, maps, height, width))) for name in made)
    return _number(1, 8) + _block(8, _number(2, 13)) + _block(7, body)


def grey_onnx() -> bytes:
    """A network that takes pictures of one colour: no segmentation network, whatever it is called."""
    graph = GraphWriter()
    out = graph.one("Identity", ["picture"])
    body = _block(1, graph._nodes[0]) + _text(2, "grey")
    body += _block(11, _value_info("picture", (1, 1, 320, 320))) + _block(12, _value_info(out, (1, 1, 320, 320)))
    return _number(1, 8) + _block(8, _number(2, 13)) + _block(7, body)


def red_tflite(width: int = 256, height: int = 256) -> bytes:
    """The same in the form of MediaPipe's selfie segmentation: 1xHxWx3 of 0..1 in, 1xHxWx1 of 0..1 out."""
    builder = flatbuffers.Builder(1024)
    weights = np.array([[[[_SLOPE, 0, 0]]]], np.float32)
    data = [b"", weights.tobytes(), np.array([-_SLOPE * _MIDDLE], np.float32).tobytes()]
    buffers = _tables(builder, [_buffer(builder, one) for one in data])
    shapes = [(1, height, width, 3), (1, 1, 1, 3), (1,), (1, height, width, 1), (1, height, width, 1)]
    names = ["picture", "weights", "bias", "raw", "mask"]
    held = [0, 1, 2, 0, 0]
    tensors = _tables(builder, [_tensor(builder, *one) for one in zip(shapes, held, names, strict=True)])
    conv = _operator(builder, 0, [0, 1, 2], [3], _conv_options(builder))
    logistic = _operator(builder, 1, [3], [4], None)
    graph = _table(
        builder, 5, {0: tensors, 1: _ints(builder, [0]), 2: _ints(builder, [4]),
                     3: _tables(builder, [conv, logistic])},
    )  # fmt: skip
    codes = _tables(builder, [_code(builder, number) for number in (3, 14)])  # CONV_2D, LOGISTIC
    graphs = _tables(builder, [graph])
    builder.StartObject(5)
    builder.PrependUint32Slot(0, 3, 0)
    for slot, offset in ((1, codes), (2, graphs), (4, buffers)):
        builder.PrependUOffsetTRelativeSlot(slot, offset, 0)
    builder.Finish(builder.EndObject(), file_identifier=b"TFL3")
    return bytes(builder.Output())


def _table(builder: flatbuffers.Builder, slots: int, offsets: dict[int, int]) -> int:
    builder.StartObject(slots)
    for slot, offset in offsets.items():
        builder.PrependUOffsetTRelativeSlot(slot, offset, 0)
    return int(builder.EndObject())


def _tables(builder: flatbuffers.Builder, offsets: Sequence[int]) -> int:
    builder.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    return int(builder.EndVector())


def _ints(builder: flatbuffers.Builder, values: Sequence[int]) -> int:
    builder.StartVector(4, len(values), 4)
    for value in reversed(values):
        builder.PrependInt32(value)
    return int(builder.EndVector())


def _buffer(builder: flatbuffers.Builder, data: bytes) -> int:
    if not data:
        return _table(builder, 1, {})
    builder.StartVector(1, len(data), 16)
    for value in reversed(data):
        builder.PrependByte(value)
    return _table(builder, 1, {0: int(builder.EndVector())})


def _tensor(builder: flatbuffers.Builder, shape: Sequence[int], buffer: int, name: str) -> int:
    sizes, called = _ints(builder, shape), builder.CreateString(name)
    builder.StartObject(4)
    builder.PrependUOffsetTRelativeSlot(0, sizes, 0)
    builder.PrependInt8Slot(1, 0, 0)  # FLOAT32
    builder.PrependUint32Slot(2, buffer, 0)
    builder.PrependUOffsetTRelativeSlot(3, called, 0)
    return int(builder.EndObject())


def _conv_options(builder: flatbuffers.Builder) -> int:
    builder.StartObject(6)
    builder.PrependInt8Slot(0, 0, 0)  # SAME
    for slot in (1, 2):
        builder.PrependInt32Slot(slot, 1, 0)  # strides
    for slot in (4, 5):
        builder.PrependInt32Slot(slot, 1, 1)  # dilations
    return int(builder.EndObject())


def _operator(
    builder: flatbuffers.Builder, code: int, taken: Sequence[int], made: Sequence[int], options: int | None
) -> int:
    inputs, outputs = _ints(builder, taken), _ints(builder, made)
    builder.StartObject(5)
    builder.PrependUint32Slot(0, code, 0)
    builder.PrependUOffsetTRelativeSlot(1, inputs, 0)
    builder.PrependUOffsetTRelativeSlot(2, outputs, 0)
    if options is not None:
        builder.PrependUint8Slot(3, 1, 0)  # Conv2DOptions
        builder.PrependUOffsetTRelativeSlot(4, options, 0)
    return int(builder.EndObject())


def _code(builder: flatbuffers.Builder, number: int) -> int:
    builder.StartObject(4)
    builder.PrependInt8Slot(0, number, 0)
    builder.PrependInt32Slot(2, 1, 1)
    builder.PrependInt32Slot(3, number, 0)
    return int(builder.EndObject())
