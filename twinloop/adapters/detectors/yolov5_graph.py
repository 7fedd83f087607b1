"""From the module tree of a YOLOv5-face checkpoint to an ONNX file, block by block, without its author's code.

The blocks follow the published architectures: YOLOv5 (Conv, C3, SPP, Focus), ShuffleNetV2 (Ma et al. 2018), PeleeNet's stem
(Wang et al. 2018). `yolov5n-0.5-face` uses Stem + ShuffleV2, `yolov5s/m/l-face` Stem + C3 + SPP.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from twinloop.adapters.detectors.module_tree import Module
from twinloop.adapters.detectors.onnx_writer import GraphWriter
from twinloop.domain.faces import FloatArray
from twinloop.errors import ModelFileError
from twinloop.pickles import Inert

VALUES_PER_ANCHOR = 16
_MAX_DEPTH = 16
_MAX_LAYERS = 400
_MAX_BLOCKS = 20_000
_IMAGE = "image"


@dataclass(frozen=True, eq=False)
class YoloFaceGraph:
    """A converted detector.

    Attributes:
        onnx: the file's bytes; one output (1, A*16, rows, columns) per scale, in the order of ``strides``.
        strides: pixels per cell. anchors: (scales, A, 2) width and height in pixels.
    """

    onnx: bytes
    strides: tuple[int, ...]
    anchors: FloatArray


@dataclass
class _Builder:
    graph: GraphWriter = field(default_factory=GraphWriter)
    depth: int = 0
    blocks: int = 0

    def module(self, module: Module, x: str) -> str:
        """Append one module with one input."""
        block = _BLOCKS.get(module.kind)
        if block is None:
            raise module.wrong("this kind of block is not known here")
        self.depth += 1
        self.blocks += 1
        if self.depth > _MAX_DEPTH or self.blocks > _MAX_BLOCKS:  # shared parts could multiply without end
            raise module.wrong("more blocks than any network has")
        result = block(self, module, x)
        self.depth -= 1
        return result

    def child(self, module: Module, name: str, x: str) -> str:
        return self.module(module.child(name), x)

    def concat(self, inputs: Sequence[str], axis: int = 1) -> str:
        return self.graph.one("Concat", list(inputs), axis=axis)

    def constant(self, *values: int) -> str:
        return self.graph.weight(np.array(values, dtype=np.int64))


def _conv2d(b: _Builder, m: Module, x: str) -> str:
    weight, bias = m.needed("weight", 4), m.tensor("bias")
    if m.value("padding_mode", "zeros") != "zeros":
        raise m.wrong("padding other than zeros is not known here")
    rows, columns = m.pair("padding")
    inputs = [x, b.graph.weight(weight)] + ([b.graph.weight(bias)] if bias is not None else [])
    return b.graph.one(
        "Conv", inputs, kernel_shape=list(weight.shape[2:]), strides=list(m.pair("stride")), group=m.number("groups", 1),
        dilations=list(m.pair("dilation")), pads=[rows, columns, rows, columns],
    )  # fmt: skip


def _batch_norm(b: _Builder, m: Module, x: str) -> str:
    names = ("weight", "bias", "running_mean", "running_var")
    epsilon = m.value("eps", 1e-5)
    if not isinstance(epsilon, float):
        raise m.wrong("eps is not a number")
    weights = [b.graph.weight(m.needed(name, 1)) for name in names]
    return b.graph.one("BatchNormalization", [x, *weights], epsilon=epsilon)


def _conv(b: _Builder, m: Module, x: str) -> str:
    """Convolution, batch norm (absent once fused), activation."""
    parts = m.children()
    x = b.child(m, "conv", x)
    if "bn" in parts:
        x = b.child(m, "bn", x)
    return b.child(m, "act", x) if "act" in parts else x


def _silu(b: _Builder, m: Module, x: str) -> str:
    return b.graph.one("Mul", [x, b.graph.one("Sigmoid", [x])])


def _leaky(b: _Builder, m: Module, x: str) -> str:
    slope = m.value("negative_slope", 0.01)
    return b.graph.one("LeakyRelu", [x], alpha=float(slope) if isinstance(slope, int | float) else 0.01)


def _max_pool(b: _Builder, m: Module, x: str) -> str:
    rows, columns = m.pair("padding")
    return b.graph.one(
        "MaxPool", [x], kernel_shape=list(m.pair("kernel_size")), strides=list(m.pair("stride")),
        pads=[rows, columns, rows, columns], ceil_mode=int(bool(m.value("ceil_mode", False))),
    )  # fmt: skip


def _upsample(b: _Builder, m: Module, x: str) -> str:
    factor = m.value("scale_factor")
    if (
        m.value("mode") != "nearest"
        or not isinstance(factor, int | float)
        or factor != int(factor)
        or not 1 <= factor <= 8
    ):
        raise m.wrong("only nearest upsampling by a whole factor is known here")
    scales = b.graph.weight(np.array([1, 1, factor, factor], dtype=np.float32))
    return b.graph.one(
        "Resize",
        [x, "", scales],
        mode="nearest",
        coordinate_transformation_mode="asymmetric",
        nearest_mode="floor",
    )


def _sequential(b: _Builder, m: Module, x: str) -> str:
    for part in m.children().values():
        x = b.module(part, x)
    return x


def _stem(b: _Builder, m: Module, x: str) -> str:
    x = b.child(m, "stem_1", x)
    narrow = b.child(m, "stem_2b", b.child(m, "stem_2a", x))
    return b.child(m, "stem_3", b.concat([narrow, b.child(m, "stem_2p", x)]))


def _bottleneck(b: _Builder, m: Module, x: str) -> str:
    inner = b.child(m, "cv2", b.child(m, "cv1", x))
    return b.graph.one("Add", [x, inner]) if m.value("add") is True else inner


def _c3(b: _Builder, m: Module, x: str) -> str:
    deep = b.child(m, "m", b.child(m, "cv1", x))
    return b.child(m, "cv3", b.concat([deep, b.child(m, "cv2", x)]))


def _spp(b: _Builder, m: Module, x: str) -> str:
    x = b.child(m, "cv1", x)
    pooled = [b.module(pool, x) for pool in m.child("m").children().values()]
    return b.child(m, "cv2", b.concat([x, *pooled]))


def _focus(b: _Builder, m: Module, x: str) -> str:
    """Every second pixel of rows and columns: even-even, odd-even, even-odd, odd-odd (row, column)."""
    ends, axes, steps = b.constant(2**31, 2**31), b.constant(2, 3), b.constant(2, 2)
    starts = [b.constant(row, column) for row, column in ((0, 0), (1, 0), (0, 1), (1, 1))]
    slices = [b.graph.one("Slice", [x, start, ends, axes, steps]) for start in starts]
    return b.child(m, "conv", b.concat(slices))


def _channels(m: Module, branch: str) -> int:
    """Output channels of a branch: those of its last convolution."""
    sizes = [part.needed("weight", 4).shape[0] for part in m.child(branch).children().values() if part.kind == "Conv2d"]
    if not sizes:
        raise m.wrong(f"{branch} has no convolution")
    return int(sizes[-1])


def _shuffle(b: _Builder, m: Module, x: str) -> str:
    half = _channels(m, "branch2")
    if m.child("branch1").children():  # the shrinking block runs both branches on everything
        left, right = b.child(m, "branch1", x), b.child(m, "branch2", x)
    else:
        left, second = b.graph.node("Split", [x, b.constant(half, half)], 2, axis=1)
        right = b.child(m, "branch2", second)
    # interleave the halves' channels
    joined = b.concat([left, right])
    order = np.arange(2 * half).reshape(2, half).T.ravel()
    return b.graph.one("Gather", [joined, b.graph.weight(order.astype(np.int64))], axis=1)


_BLOCKS: dict[str, Callable[[_Builder, Module, str], str]] = {
    "Conv2d": _conv2d, "BatchNorm2d": _batch_norm, "Conv": _conv, "SiLU": _silu, "Sequential": _sequential,
    "ReLU": lambda b, m, x: b.graph.one("Relu", [x]), "LeakyReLU": _leaky, "Identity": lambda b, m, x: x,
    "Hardswish": lambda b, m, x: b.graph.one(
        "Mul", [x, b.graph.one("HardSigmoid", [x], alpha=1.0 / 6.0, beta=0.5)]),
    "MaxPool2d": _max_pool, "Upsample": _upsample, "StemBlock": _stem, "Bottleneck": _bottleneck, "C3": _c3,
    "SPP": _spp, "Focus": _focus, "ShuffleV2Block": _shuffle,
}  # fmt: skip


def convert(model: Inert) -> YoloFaceGraph:
    """Rebuild the network.

    Args:
        model: the ``model`` entry of the checkpoint.

    Raises:
        ModelFileError: a block that is not known here, or no YOLOv5-face detection head.
    """
    layers = list(Module(model, "model").child("model").children().values())
    if not 2 <= len(layers) <= _MAX_LAYERS or layers[-1].kind != "Detect":
        raise ModelFileError("no YOLOv5 detection head at its end: this is not a YOLOv5-face checkpoint")
    builder = _Builder()
    made: list[str] = []
    for index, layer in enumerate(layers[:-1]):
        sources = [made[i] if made else _IMAGE for i in _sources(layer, index)]
        made.append(builder.concat(sources) if layer.kind == "Concat" else builder.module(layer, sources[0]))
    head = layers[-1]
    strides, anchors = _head_geometry(head)
    inputs = [made[i] for i in _sources(head, len(layers) - 1)]
    convolutions = list(head.child("m").children().values())
    if len(inputs) != len(convolutions) or len(inputs) != len(strides):
        raise head.wrong("its scales do not fit together")
    outputs = [builder.module(c, x) for c, x in zip(convolutions, inputs, strict=True)]
    return YoloFaceGraph(builder.graph.finish("yolov5-face", _IMAGE, outputs), strides, anchors)


def _sources(layer: Module, index: int) -> list[int]:
    """Indices of the layers it reads; -1 is the one before."""
    wanted = layer.value("f")
    listed = wanted if isinstance(wanted, list) else [wanted]
    found = []
    for item in listed:
        if type(item) is not int:
            raise layer.wrong("does not say which layers it reads")
        position = item if item >= 0 else index + item
        if not (0 <= position < index or (index == 0 and item == -1)):
            raise layer.wrong("reads a layer that comes later")
        found.append(position)
    return found


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
