"""From the module tree of a YOLOv5-face checkpoint to an ONNX file, block by block, without its author's code.

The blocks follow the published architectures: YOLOv5 (Conv, C3, SPP, Focus), ShuffleNetV2 (Ma et al. 2018), PeleeNet's
stem (Wang et al. 2018). `yolov5n-0.5-face` uses Stem + ShuffleV2, `yolov5s/m/l-face` Stem + C3 + SPP.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

import numpy as np

from twinloop.adapters.detectors.module_tree import Module
from twinloop.adapters.detectors.onnx_writer import NOTES
from twinloop.adapters.detectors.torch_blocks import COMMON, IMAGE, Block, Builder, sources
from twinloop.domain.faces import FloatArray
from twinloop.errors import ModelFileError
from twinloop.pickles import Inert

VALUES_PER_ANCHOR = 16
_MAX_LAYERS = 400


def _stem(b: Builder, m: Module, x: str) -> str:
    x = b.child(m, "stem_1", x)
    narrow = b.child(m, "stem_2b", b.child(m, "stem_2a", x))
    return b.child(m, "stem_3", b.concat([narrow, b.child(m, "stem_2p", x)]))


def _focus(b: Builder, m: Module, x: str) -> str:
    """Every second pixel of rows and columns: even-even, odd-even, even-odd, odd-odd (row, column)."""
    ends, axes, steps = b.constant(2**31, 2**31), b.constant(2, 3), b.constant(2, 2)
    starts = [b.constant(row, column) for row, column in ((0, 0), (1, 0), (0, 1), (1, 1))]
    slices = [b.graph.one("Slice", [x, start, ends, axes, steps]) for start in starts]
    return b.child(m, "conv", b.concat(slices))


def _channels(m: Module) -> int:
    """Output channels of the second branch: those of its last convolution."""
    branch = m.child("branch2").children().values()
    sizes = [part.needed("weight", 4).shape[0] for part in branch if part.kind == "Conv2d"]
    if not sizes:
        raise m.wrong("branch2 has no convolution")
    return int(sizes[-1])


def _shuffle(b: Builder, m: Module, x: str) -> str:
    half = _channels(m)
    if m.child("branch1").children():  # the shrinking block runs both branches on everything
        left, right = b.child(m, "branch1", x), b.child(m, "branch2", x)
    else:
        left, second = b.graph.node("Split", [x, b.constant(half, half)], 2, axis=1)
        right = b.child(m, "branch2", second)
    # interleave the halves' channels
    joined = b.concat([left, right])
    order = np.arange(2 * half).reshape(2, half).T.ravel()
    return b.graph.one("Gather", [joined, b.graph.weight(order.astype(np.int64))], axis=1)


_BLOCKS: Mapping[str, Block] = {**COMMON, "StemBlock": _stem, "Focus": _focus, "ShuffleV2Block": _shuffle}


def convert(model: Inert) -> bytes:
    """Rebuild the network as an ONNX file: one output (1, A*16, rows, columns) per scale.

    Its notes hold ``strides``, pixels per cell in the order of the outputs, and ``anchors``, (scales, A, 2) width and
    height in pixels.

    Args:
        model: the ``model`` entry of the checkpoint.

    Raises:
        ModelFileError: a block that is not known here, or no YOLOv5-face detection head.
    """
    layers = list(Module(model, "model").child("model").children().values())
    if not 2 <= len(layers) <= _MAX_LAYERS or layers[-1].kind != "Detect":
        raise ModelFileError("no YOLOv5 detection head at its end: this is not a YOLOv5-face checkpoint")
    builder = Builder(_BLOCKS)
    made = builder.layers(layers[:-1])
    head = layers[-1]
    strides, anchors = _head_geometry(head)
    inputs = [made[i] for i in sources(head, len(layers) - 1)]
    convolutions = list(head.child("m").children().values())
    if len(inputs) != len(convolutions) or len(inputs) != len(strides):
        raise head.wrong("its scales do not fit together")
    outputs = [builder.module(c, x) for c, x in zip(convolutions, inputs, strict=True)]
    notes = json.dumps({"strides": strides, "anchors": anchors.tolist()})
    return builder.graph.finish("yolov5-face", IMAGE, outputs, {NOTES: notes})


def _head_geometry(head: Module) -> tuple[tuple[int, ...], FloatArray]:
    scales, per_scale = head.number("nl"), head.number("na")
    if head.number("no") != VALUES_PER_ANCHOR or head.number("nc") != 1:
        raise head.wrong(f"{head.number('no')} values per anchor, a face head has {VALUES_PER_ANCHOR}")
    anchors = head.tensor("anchor_grid")
    if anchors is None or anchors.size != scales * per_scale * 2:
        raise head.wrong("has no readable anchors")
    cells = head.needed("anchors", 3)
    pixels = anchors.reshape(scales, per_scale, 2)
    strides = tuple(round(float(v)) for v in np.median(pixels / np.maximum(cells, 1e-6), axis=(1, 2)))
    if any(stride not in (4, 8, 16, 32, 64) for stride in strides):
        raise head.wrong("its strides cannot be told from its anchors")
    return strides, pixels
