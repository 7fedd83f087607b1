"""DoRAs: pairs of matrices, and beside them the length of each row of the adapted weights.

A file of the kohya dialect says them as ``dora_scale``. LyCORIS, OneTrainer and PEFT divide by the rows of the adapted
weights, W' = (W + dW) x length / |W + dW|; ComfyUI (comfy/weight_adapter/base.py) by those of the base's own,
(W + dW) x scale / |W|. A copy that is written here is in ComfyUI's form, and its header says so.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from twinloop.errors import ModelFileError
from twinloop.loras.adapter import Adapter, Place, understood
from twinloop.loras.lora import DORA, Layer, LoraFile
from twinloop.loras.tensors import AGAIN, RawTensor, encode

DORA_TEXT, BASE_NORM = "twinloop.dora_scale", "base_norm"
"""Header text and value of a file whose scales are divided by the lengths of the base's own rows."""


def check_outputs(path: Path, shapes: Mapping[str, Sequence[int]]) -> None:
    """Whether a DoRA's magnitudes, if the file has any, are of outputs.

    Raises:
        ModelFileError: they are of inputs, (1, inputs, ...), as OneTrainer writes them unless told otherwise.
    """
    wrong = (
        name
        for name, shape in shapes.items()
        if name.endswith(".dora_scale") and tuple(shape[:1]) != (math.prod(shape),)
    )
    if (name := next(wrong, "")) != "":
        raise ModelFileError(
            f"{path} is a DoRA whose magnitudes are of inputs, such as {name[:80]!r}; those of outputs alone can be"
            " applied here. Train it with the decomposition on the output axis (OneTrainer:"
            " lora_decompose_output_axis), or use it in the program that trained it."
        )


def understood_dora(file: LoraFile, known: str) -> tuple[Adapter, Mapping[Place, RawTensor]]:
    """The layers of a LoRA or DoRA as `understood` has them, and its lengths, (outputs, 1), by the same places.

    Raises:
        ModelFileError: as `understood`; lengths of inputs instead of outputs, or more than a DoRA in the file.
    """
    if file.method != DORA:
        return understood(file, known), {}
    if file.foreign:
        raise ModelFileError(
            f"{file.path}: the tensor {file.foreign[0][:80]!r} belongs neither to a LoRA nor to the magnitudes of its"
            " outputs."
        )
    pairs = replace(file, method="LoRA")
    adapter = understood(pairs, known)
    lengths = {name: _as_pair(name, tensor, file) for name, tensor in file.lengths.items()}
    rows = understood(replace(pairs, layers=lengths), adapter.family)
    return adapter, {place: layer.up for place, layer in rows.layers.items() if isinstance(layer, Layer)}


def _as_pair(name: str, lengths: RawTensor, file: LoraFile) -> Layer:
    """Lengths as the ``up`` of a pair, whose rows are shared out among layers as these are."""
    layer = file.layers.get(name)
    if not isinstance(layer, Layer) or len(lengths.bits) != layer.outputs:
        raise ModelFileError(f"{file.path}: the magnitudes of {name[:80]!r} do not fit its matrices. {AGAIN}")
    down = encode(np.zeros((1, layer.inputs)), lengths.dtype)
    return Layer(down, RawTensor(lengths.dtype, lengths.bits.reshape(-1, 1)), None)
