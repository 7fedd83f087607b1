"""Torch modules as ONNX operators: the layers of ``torch.nn`` and the blocks that all YOLO packages share.

A `Builder` walks a tree of inert records with a table from class name to a function that appends the operators of one
block. What the table does not name is refused by its place; nothing of the checkpoint's author is run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from twinloop.adapters.detectors.module_tree import Module
from twinloop.adapters.detectors.onnx_writer import GraphWriter

IMAGE = "image"
"""The name of the network's input."""
_MAX_DEPTH = 16
_MAX_BLOCKS = 20_000


@dataclass
class Builder:
    """Appends modules to a graph.

    Attributes:
        blocks: class name -> what appends it.
    """

    blocks: Mapping[str, Block]
    graph: GraphWriter = field(default_factory=GraphWriter)
    depth: int = 0
    count: int = 0

    def module(self, module: Module, x: str) -> str:
        """Append one module with one input; returns the name of its output.

        Raises:
            ModelFileError: a block that is not known here, or more of them than any network has.
        """
        block = self.blocks.get(module.kind)
        if block is None:
            raise module.wrong("this kind of block is not known here")
        self.depth += 1
        self.count += 1
        if self.depth > _MAX_DEPTH or self.count > _MAX_BLOCKS:  # shared parts could multiply without end
            raise module.wrong("more blocks than any network has")
        result = block(self, module, x)
        self.depth -= 1
        return result

    def child(self, module: Module, name: str, x: str) -> str:
        """Append a part of ``module``."""
        return self.module(module.child(name), x)

    def layers(self, layers: Sequence[Module]) -> list[str]:
        """Append the layers of a YOLO network, each reading the outputs that its ``f`` names; returns all their
        outputs.
        """
        made: list[str] = []
        for index, layer in enumerate(layers):
            inputs = [made[i] if made else IMAGE for i in sources(layer, index)]
            made.append(self.concat(inputs) if layer.kind == "Concat" else self.module(layer, inputs[0]))
        return made

    def concat(self, inputs: Sequence[str]) -> str:
        """Join along the channels."""
        return self.graph.one("Concat", list(inputs), axis=1)

    def halves(self, x: str) -> tuple[str, ...]:
        """The two halves of the channels."""
        return self.graph.node("Split", [x], 2, axis=1)

    def constant(self, *values: int) -> str:
        """Whole numbers: shapes, indices."""
        return self.graph.weight(np.array(values, dtype=np.int64))


Block = Callable[[Builder, Module, str], str]


def sources(layer: Module, index: int) -> list[int]:
    """Indices of the layers that layer ``index`` reads; -1 is the one before.

    Raises:
        ModelFileError: it does not say so, or names one that comes later.
    """
    wanted = layer.value("f")
    found = []
    for item in wanted if isinstance(wanted, list) else [wanted]:
        if type(item) is not int:
            raise layer.wrong("does not say which layers it reads")
        position = item if item >= 0 else index + item
        if not (0 <= position < index or (index == 0 and item == -1)):
            raise layer.wrong("reads a layer that comes later")
        found.append(position)
    return found


# -- layers of torch.nn ------------------------------------------------------------------------------------------------


def conv2d(b: Builder, m: Module, x: str) -> str:
    weight, bias = m.needed("weight", 4), m.tensor("bias")
    if m.value("padding_mode", "zeros") != "zeros":
        raise m.wrong("padding other than zeros is not known here")
    rows, columns = m.pair("padding")
    inputs = [x, b.graph.weight(weight)] + ([b.graph.weight(bias)] if bias is not None else [])
    return b.graph.one(
        "Conv",
        inputs,
        kernel_shape=list(weight.shape[2:]),
        strides=list(m.pair("stride")),
        group=m.number("groups", 1),
        dilations=list(m.pair("dilation")),
        pads=[rows, columns, rows, columns],
    )


def batch_norm(b: Builder, m: Module, x: str) -> str:
    names = ("weight", "bias", "running_mean", "running_var")
    epsilon = m.value("eps", 1e-5)
    if not isinstance(epsilon, float):
        raise m.wrong("eps is not a number")
    weights = [b.graph.weight(m.needed(name, 1)) for name in names]
    return b.graph.one("BatchNormalization", [x, *weights], epsilon=epsilon)


def silu(b: Builder, m: Module, x: str) -> str:
    return b.graph.one("Mul", [x, b.graph.one("Sigmoid", [x])])


def leaky_relu(b: Builder, m: Module, x: str) -> str:
    slope = m.value("negative_slope", 0.01)
    return b.graph.one("LeakyRelu", [x], alpha=float(slope) if isinstance(slope, int | float) else 0.01)


def max_pool(b: Builder, m: Module, x: str) -> str:
    rows, columns = m.pair("padding")
    return b.graph.one(
        "MaxPool", [x], kernel_shape=list(m.pair("kernel_size")), strides=list(m.pair("stride")),
        pads=[rows, columns, rows, columns], ceil_mode=int(bool(m.value("ceil_mode", False))),
    )  # fmt: skip


def upsample(b: Builder, m: Module, x: str) -> str:
    factor = m.value("scale_factor")
    whole = isinstance(factor, int | float) and factor == int(factor) and 1 <= factor <= 8
    if m.value("mode") != "nearest" or not whole:
        raise m.wrong("only nearest upsampling by a whole factor is known here")
    scales = b.graph.weight(np.array([1, 1, factor, factor], dtype=np.float32))
    return b.graph.one(
        "Resize", [x, "", scales], mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor"
    )


def sequential(b: Builder, m: Module, x: str) -> str:
    for part in m.children().values():
        x = b.module(part, x)
    return x


# -- blocks of YOLOv5, which its descendants kept
# ------------------------------------------------------------------------


def conv(b: Builder, m: Module, x: str) -> str:
    """Convolution, batch norm (absent once fused), activation."""
    parts = m.children()
    x = b.child(m, "conv", x)
    if "bn" in parts:
        x = b.child(m, "bn", x)
    return b.child(m, "act", x) if "act" in parts else x


def bottleneck(b: Builder, m: Module, x: str) -> str:
    inner = b.child(m, "cv2", b.child(m, "cv1", x))
    return b.graph.one("Add", [x, inner]) if m.value("add") is True else inner


def c3(b: Builder, m: Module, x: str) -> str:
    deep = b.child(m, "m", b.child(m, "cv1", x))
    return b.child(m, "cv3", b.concat([deep, b.child(m, "cv2", x)]))


def spp(b: Builder, m: Module, x: str) -> str:
    x = b.child(m, "cv1", x)
    pooled = [b.module(pool, x) for pool in m.child("m").children().values()]
    return b.child(m, "cv2", b.concat([x, *pooled]))


COMMON: Mapping[str, Block] = {
    "Conv2d": conv2d,
    "BatchNorm2d": batch_norm,
    "SiLU": silu,
    "LeakyReLU": leaky_relu,
    "MaxPool2d": max_pool,
    "Upsample": upsample,
    "Sequential": sequential,
    "Identity": lambda b, m, x: x,
    "ReLU": lambda b, m, x: b.graph.one("Relu", [x]),
    "Hardswish": lambda b, m, x: b.graph.one("Mul", [x, b.graph.one("HardSigmoid", [x], alpha=1.0 / 6.0, beta=0.5)]),
    "Conv": conv,
    "DWConv": conv,
    "Bottleneck": bottleneck,
    "C3": c3,
    "SPP": spp,
}
"""Class name -> what appends it, whatever package the class lies in: packages move between versions, names do not."""
