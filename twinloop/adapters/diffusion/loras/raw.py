"""Tensors as `twinloop.loras` keeps them -> PyTorch's."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from twinloop.loras.tensors import RawTensor

TYPES = {torch.float16: "F16", torch.bfloat16: "BF16", torch.float32: "F32"}
"""Types of the weights of a trained LoRA -> their names in a file."""


def as_torch(raw: RawTensor) -> Tensor:
    """The same numbers in the type that the file has; 8-bit floats in float64."""
    if raw.dtype == "BF16":
        return torch.from_numpy(np.array(raw.bits).view(np.int16)).view(torch.bfloat16)
    if raw.dtype in ("F16", "F32", "F64"):
        return torch.from_numpy(np.array(raw.bits))
    return torch.from_numpy(raw.values())
