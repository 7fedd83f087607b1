"""Small ONNX files."""

from __future__ import annotations

import numpy as np

from twinloop.adapters.detectors.onnx_writer import GraphWriter


def small_onnx(name: str = "test") -> bytes:
    """A whole file that adds one."""
    graph = GraphWriter()
    out = graph.one("Add", ["image", graph.weight(np.ones(1, np.float32))])
    return graph.finish(name, "image", [out])
