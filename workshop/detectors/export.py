"""Write the networks as ONNX; weights are kept as fp16 and widened when the file is loaded."""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from twinloop.adapters.detectors import nano_layout as layout
from twinloop.adapters.detectors.nano import FACE, IDENTITY, WHOLE
from workshop import checkpoint
from workshop.detectors.nets import FaceNet, IdentityNet, WholeNet

_LARGE = 256
"""Tensors of fewer numbers stay fp32."""


def _weights(path: Path, prefix: str = "") -> dict[str, Tensor]:
    stored = checkpoint.load(path)[1]["net"]
    return {name.removeprefix(prefix): value for name, value in stored.items() if name.startswith(prefix)}


def _write(net: nn.Module, size: int, outputs: list[str], to: Path) -> None:
    buffer = io.BytesIO()
    names = {"input_names": ["image"], "output_names": outputs, "opset_version": 17}
    torch.onnx.export(net.eval(), (torch.zeros(1, 3, size, size),), buffer, dynamo=False, **names)  # type: ignore[arg-type]
    model = _halved(onnx.load_from_string(buffer.getvalue()))
    onnx.checker.check_model(model)
    partial = to.with_name(f".{to.name}.partial")
    partial.write_bytes(model.SerializeToString())
    os.replace(partial, to)


def _halved(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same graph with its large weights in fp16, each widened by a Cast that the runtime folds away."""
    casts = []
    for weight in model.graph.initializer:
        values = numpy_helper.to_array(weight)
        if values.dtype != np.float32 or values.size < _LARGE:
            continue
        narrow = f"{weight.name}.fp16"
        casts.append(helper.make_node("Cast", [narrow], [weight.name], to=TensorProto.FLOAT))
        weight.CopyFrom(numpy_helper.from_array(values.astype(np.float16), narrow))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    model.producer_name, model.producer_version = "twinloop", ""
    return model


def export_detectors(work: Path, to: Path, whole: str, face: str, identity: str) -> None:
    """Write the three files of the pack from the named checkpoints of ``work``; those that are missing are left out."""
    to.mkdir(parents=True, exist_ok=True)
    jobs: tuple[tuple[nn.Module, str, str, int, list[str], str], ...] = (
        (WholeNet(), whole, "", layout.WHOLE_SIZE, ["grid", "looks"], WHOLE),
        (FaceNet(), face, "", layout.FACE_SIZE, ["values"], FACE),
        (IdentityNet(), identity, "net.", layout.HEAD_SIZE, ["identity"], IDENTITY),
    )
    for net, name, prefix, size, outputs, file in jobs:
        path = work / f"{name}.safetensors"
        if not path.exists():
            print(f"{path} is not there: {file} stays as it is")
            continue
        net.load_state_dict(_weights(path, prefix))
        _write(net, size, outputs, to / file)
        print(f"{to / file}: {(to / file).stat().st_size / 1e6:.2f} MB")
