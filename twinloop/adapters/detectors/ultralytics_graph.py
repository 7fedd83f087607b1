"""From the module tree of an Ultralytics detection checkpoint to an ONNX file, block by block, without its author's
code.

Layouts of YOLOv5u, v8, v9, v10, 11 and 26, whose blocks follow their published architectures. Segmentation and pose
checkpoints carry the same detection head and are read for their boxes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

import numpy as np

from twinloop.adapters.detectors.module_tree import Module
from twinloop.adapters.detectors.onnx_writer import NOTES
from twinloop.adapters.detectors.torch_blocks import COMMON, IMAGE, Block, Builder, sources
from twinloop.errors import ModelFileError
from twinloop.pickles import Inert, TensorRef

HEADS = frozenset({"Detect", "Segment", "Pose", "v10Detect"})
_CLASSIFIES = "Classify"
_MAX_LAYERS = 400
_MAX_REPEATS = 16


class IsClassifier(ModelFileError):
    """The network tells whole pictures apart: it finds nothing in them, in whatever format it is written."""


def _add(b: Builder, x: str, y: str) -> str:
    return b.graph.one("Add", [x, y])


def _chain(b: Builder, m: Module, grown: list[str], parts: list[Module], last: str) -> str:
    """Each part reads the output before it; the block ``last`` reads all of them."""
    for part in parts:
        grown.append(b.module(part, grown[-1]))
    return b.child(m, last, b.concat(grown))


def _c2f(b: Builder, m: Module, x: str) -> str:
    """C2f and C3k2: two halves, and a chain of bottlenecks on the second."""
    return _chain(b, m, list(b.halves(b.child(m, "cv1", x))), list(m.child("m").children().values()), "cv2")


def _elan(b: Builder, m: Module, x: str) -> str:
    return _chain(b, m, list(b.halves(b.child(m, "cv1", x))), [m.child("cv2"), m.child("cv3")], "cv4")


def _spp_elan(b: Builder, m: Module, x: str) -> str:
    return _chain(b, m, [b.child(m, "cv1", x)], [m.child(f"cv{i}") for i in (2, 3, 4)], "cv5")


def _sppf(b: Builder, m: Module, x: str) -> str:
    """One pool applied again and again."""
    repeats = m.number("n", 3)
    if not 1 <= repeats <= _MAX_REPEATS:
        raise m.wrong("an impossible number of pools")
    y = _chain(b, m, [b.child(m, "cv1", x)], [m.child("m")] * repeats, "cv2")
    return _add(b, x, y) if m.value("add") is True else y


def _attention(b: Builder, m: Module, x: str) -> str:
    """Every cell looks at every other; the values also pass a convolution that knows where they lie."""
    heads, key, value = m.number("num_heads"), m.number("key_dim"), m.number("head_dim")
    if min(heads, key, value) < 1:
        raise m.wrong("an impossible number of heads")
    scale = m.value("scale")
    factor = float(scale) if isinstance(scale, int | float) else float(key) ** -0.5
    flat = b.graph.one("Reshape", [b.child(m, "qkv", x), b.constant(1, heads, 2 * key + value, -1)])
    q, k, v = b.graph.node("Split", [flat, b.constant(key, key, value)], 3, axis=2)
    turned = b.graph.one("Transpose", [q], perm=[0, 1, 3, 2])
    scaled = b.graph.one("Mul", [turned, b.graph.weight(np.array([factor], dtype=np.float32))])
    weights = b.graph.one("Softmax", [b.graph.one("MatMul", [scaled, k])], axis=-1)
    seen = b.graph.one("MatMul", [v, b.graph.one("Transpose", [weights], perm=[0, 1, 3, 2])])
    shape = b.graph.one("Shape", [x])  # the block keeps number of channels and size
    here = b.child(m, "pe", b.graph.one("Reshape", [v, shape]))
    return b.child(m, "proj", _add(b, b.graph.one("Reshape", [seen, shape]), here))


def _attend(b: Builder, m: Module, x: str, adds: bool) -> str:
    for name in ("attn", "ffn"):
        y = b.child(m, name, x)
        x = _add(b, x, y) if adds else y
    return x


def _psa_block(b: Builder, m: Module, x: str) -> str:
    return _attend(b, m, x, m.value("add", True) is True)


def _psa(b: Builder, m: Module, x: str) -> str:
    kept, seen = b.halves(b.child(m, "cv1", x))
    return b.child(m, "cv2", b.concat([kept, _attend(b, m, seen, True)]))


def _c2psa(b: Builder, m: Module, x: str) -> str:
    kept, seen = b.halves(b.child(m, "cv1", x))
    return b.child(m, "cv2", b.concat([kept, b.child(m, "m", seen)]))


def _rep_conv(b: Builder, m: Module, x: str) -> str:
    """Parallel convolutions, one once they are fused."""
    parts = m.children()
    branches = [name for name in (("conv",) if "conv" in parts else ("conv1", "conv2", "bn")) if name in parts]
    made = [b.child(m, name, x) for name in branches]
    if not made:
        raise m.wrong("has no convolution")
    y = made[0]
    for other in made[1:]:
        y = _add(b, y, other)
    return b.child(m, "act", y) if "act" in parts else y


def _a_down(b: Builder, m: Module, x: str) -> str:
    x = b.graph.one("AveragePool", [x], kernel_shape=[2, 2], strides=[1, 1], count_include_pad=1)
    left, right = b.halves(x)
    pooled = b.graph.one("MaxPool", [right], kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    return b.concat([b.child(m, "cv1", left), b.child(m, "cv2", pooled)])


def _a_conv(b: Builder, m: Module, x: str) -> str:
    x = b.graph.one("AveragePool", [x], kernel_shape=[2, 2], strides=[1, 1], count_include_pad=1)
    return b.child(m, "cv1", x)


def _down(b: Builder, m: Module, x: str) -> str:
    return b.child(m, "cv2", b.child(m, "cv1", x))


def _rep_dw(b: Builder, m: Module, x: str) -> str:
    y = b.child(m, "conv", x)
    if "conv1" in m.children():
        y = _add(b, y, b.child(m, "conv1", x))
    return b.child(m, "act", y)


def _cib(b: Builder, m: Module, x: str) -> str:
    y = b.child(m, "cv1", x)
    return _add(b, x, y) if m.value("add") is True else y


_BLOCKS: Mapping[str, Block] = {
    **COMMON,
    "C2f": _c2f,
    "C3k2": _c2f,
    "C3k": COMMON["C3"],
    "SPPF": _sppf,
    "C2PSA": _c2psa,
    "PSABlock": _psa_block,
    "Attention": _attention,
    "PSA": _psa,
    "SCDown": _down,
    "C2fCIB": _c2f,
    "CIB": _cib,
    "RepVGGDW": _rep_dw,
    "RepNCSPELAN4": _elan,
    "ELAN1": _elan,
    "SPPELAN": _spp_elan,
    "RepCSP": COMMON["C3"],
    "RepBottleneck": COMMON["Bottleneck"],
    "RepConv": _rep_conv,
    "ADown": _a_down,
    "AConv": _a_conv,
}


def convert(model: Inert) -> bytes:
    """Rebuild the network as an ONNX file.

    Its outputs are one (1, 4 * bins + classes, rows, columns) per scale: raw distances to the four sides of the box,
    raw class scores. Its notes hold ``strides``, ``bins`` and ``names``.

    Args:
        model: the network of the checkpoint.

    Raises:
        ModelFileError: a block that is not known here, or no detection head. IsClassifier: a classifier's head.
    """
    layers = list(Module(model, "model").child("model").children().values())
    if not 2 <= len(layers) <= _MAX_LAYERS or layers[-1].kind not in HEADS:
        kind = layers[-1].kind if layers else "nothing"
        wrong = IsClassifier if kind == _CLASSIFIES else ModelFileError
        raise wrong(f"no detection head at its end but {kind}: this checkpoint does not detect")
    builder = Builder(_BLOCKS)
    head = layers[-1]
    made = builder.layers(layers[:-1])
    inputs = [made[i] for i in sources(head, len(layers) - 1)]
    outputs = [builder.concat(pair) for pair in _heads(builder, head, inputs)]
    notes = {"strides": _strides(head, len(outputs)), "bins": head.number("reg_max", 16), "names": _names(model, head)}
    return builder.graph.finish("ultralytics", IMAGE, outputs, {NOTES: json.dumps(notes)})


def _heads(builder: Builder, head: Module, inputs: list[str]) -> Iterator[tuple[str, str]]:
    """Distances and class scores of each scale.

    Networks without a second head for training (v10, 26) may have lost the first one.
    """
    parts = head.children()
    prefix = "" if "cv2" in parts else "one2one_"
    boxes, classes = (list(head.child(f"{prefix}{name}").children().values()) for name in ("cv2", "cv3"))
    if not len(boxes) == len(classes) == len(inputs):
        raise head.wrong("its scales do not fit together")
    for box, kind, x in zip(boxes, classes, inputs, strict=True):
        yield builder.module(box, x), builder.module(kind, x)


def _strides(head: Module, scales: int) -> list[int]:
    """Pixels per cell of each scale."""
    stored = head.value("stride")
    values = stored.numpy().ravel().tolist() if isinstance(stored, TensorRef) else []
    strides = [int(v) for v in values if isinstance(v, int | float) and v in (4, 8, 16, 32, 64, 128)]
    if len(strides) != scales or len(values) != scales:
        raise head.wrong("does not say how large its cells are")
    return strides


def _names(model: Inert, head: Module) -> list[str]:
    """What the classes are called, in order; their numbers where the file does not say."""
    count = head.number("nc")
    stored = model.attributes.get("names")
    pairs = stored.items() if isinstance(stored, dict) else enumerate(stored if isinstance(stored, list) else ())
    names = {key: str(name)[:60] for key, name in pairs if isinstance(key, int)}
    return [names.get(index, str(index)) for index in range(max(0, min(count, 10_000)))]
