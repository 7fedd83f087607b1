"""TensorFloat-32: the numbers of 10 bits of precision, instead of float32's 23, with which NVIDIA cards from the RTX 30
series on compute products of float32 where they may.

PyTorch lets convolutions take them and matrix products not.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def without_tensor_float32() -> Iterator[None]:
    """Inside, convolutions and matrix products of float32 are computed in float32; afterwards as before."""
    # not PyTorch 2.9's `fp32_precision`: with that on convolutions alone the older switch, which PyTorch's compiler
    # reads, is an error, and 2.8 lacks it
    convolutions, products = torch.backends.cudnn.allow_tf32, torch.get_float32_matmul_precision()
    torch.backends.cudnn.allow_tf32 = False
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = convolutions
        torch.set_float32_matmul_precision(products)
