"""Max-norm regularisation of LoRAs, as sd-scripts has it (``scale_weight_norms``): no layer changes by more than so
much.
"""

from __future__ import annotations

import torch
from torch import Tensor


@torch.no_grad()
def limit_norm(down: Tensor, up: Tensor, scale: float, longest: float) -> None:
    """Shorten both matrices alike, in place, where the Frobenius norm of ``scale`` times their product is above
    ``longest``; else not a bit changes.

    Args:
        down: (rank, ...). up: (out, rank, ...), of a convolution with kernels of 1x1.
    """
    ratio = longest / product_norm(down, up, scale).clamp(min=longest)
    root = ratio.sqrt()
    down.mul_(root)
    up.mul_(root)


def product_norm(down: Tensor, up: Tensor, scale: float) -> Tensor:
    """() Frobenius norm of ``scale`` times the product; the product itself, which is as large as the layer, is not
    computed.
    """
    rows, columns = down.detach().flatten(1).float(), up.detach().flatten(1).float()
    # |UD|^2 = sum of (U^T U) * (D D^T), where rounding may leave a little less than nothing
    return abs(scale) * torch.sum((columns.T @ columns) * (rows @ rows.T)).clamp(min=0.0).sqrt()
