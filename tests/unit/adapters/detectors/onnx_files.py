"""Small ONNX files."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from twinloop.adapters.detectors import onnx_writer
from twinloop.adapters.detectors.onnx_writer import GraphWriter


def quality_onnx(outputs: int = 1, gain: float = 1.0) -> bytes:
    """A stand-in for eDifFIQA, whose file is not here: 1x3x112x112 in, one number out: how bright the red channel is,
    0..1.

    Args:
        outputs: numbers for a face; more than one is another network. gain: that each is multiplied by.
    """
    graph = GraphWriter()
    red = np.zeros((outputs, 3 * 112 * 112), np.float32)
    red[:, : 112 * 112] = 0.5 / 112**2
    flat = graph.one("Flatten", ["input"], axis=1)
    score = graph.one("Gemm", [flat, graph.weight(red), graph.weight(np.full(outputs, 0.5, np.float32))], transB=1)
    out = graph.one("Mul", [score, graph.weight(np.array([gain], np.float32))])
    return graph.finish("quality", "input", [out])


def small_onnx(name: str = "test") -> bytes:
    """A whole file that adds one."""
    graph = GraphWriter()
    out = graph.one("Add", ["image", graph.weight(np.ones(1, np.float32))])
    return graph.finish(name, "image", [out])


def embedder_onnx(dimensions: int = 512, size: int = 112, seed: int = 0) -> bytes:
    """A whole file with the inputs and outputs of a face embedder: the brightness of 4x4 fields, mixed by random
    numbers.
    """
    graph, fields = GraphWriter(), size // 4
    small = graph.one("AveragePool", ["data"], kernel_shape=(fields, fields), strides=(fields, fields))
    mix = np.random.default_rng(seed).normal(size=(48, dimensions)).astype(np.float32)
    out = graph.one("MatMul", [graph.one("Flatten", [small], axis=1), graph.weight(mix)])
    return _with_shapes(graph, ("data", (1, 3, size, size)), (out, (1, dimensions)))


def _with_shapes(graph: GraphWriter, taken: tuple[str, Sequence[int]], made: tuple[str, Sequence[int]]) -> bytes:
    """As `GraphWriter.finish`, which leaves sizes open."""
    body = b"".join(onnx_writer._block(1, node) for node in graph._nodes) + onnx_writer._text(2, "test")
    body += b"".join(onnx_writer._block(5, weight) for weight in graph._weights)
    body += b"".join(onnx_writer._block(tag, onnx_writer._value_info(*info)) for tag, info in ((11, taken), (12, made)))
    opset = onnx_writer._block(8, onnx_writer._number(2, onnx_writer._OPSET))
    return onnx_writer._number(1, onnx_writer._IR_VERSION) + opset + onnx_writer._block(7, body)
