"""Parts of a model that wait in main memory while others compute."""

from __future__ import annotations

from twinloop.adapters.diffusion.compute import Compute
from twinloop.errors import InputError

OFFLOADS = ("none", "model", "sequential")


def check_offload(how: str, compute: Compute) -> None:
    """Whether this machine can keep parts of a model in main memory while others compute.

    Raises:
        InputError: unknown, or there is no GPU.
    """
    if how not in OFFLOADS:
        raise InputError(f"generation.offload: unknown value '{how}'. Known: {', '.join(OFFLOADS)}.")
    if how != "none" and compute.device.type != "cuda":
        raise InputError(
            f'generation.offload: "{how}" moves parts between main memory and a CUDA GPU, but this run computes on {compute.device.type}. '
            'Set it to "none", or run on a machine with such a GPU.'
        )
    if how == "sequential" and compute.quantization is not None:
        raise InputError(
            f'generation.offload: "sequential" takes layers apart, which quantised ones ("quantization": "{compute.quantization}") do not survive. '
            'Set it to "model", or leave quantization out.'
        )
