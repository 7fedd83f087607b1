"""Parts of a model that wait in main memory while others compute."""

from __future__ import annotations

from twinloop.adapters.diffusion.compute import Compute
from twinloop.domain.choices import OFFLOADS
from twinloop.errors import InputError, MissingDevice
from twinloop.ports import GenerationSettings


def check_offload(how: str, compute: Compute) -> None:
    """Whether this machine can keep parts of a model in main memory while others compute.

    Raises:
        InputError: unknown, or not with quantised weights. MissingDevice: there is no GPU.
    """
    if how not in OFFLOADS:
        raise InputError(f"generation.offload: unknown value '{how}'. Known: {', '.join(OFFLOADS)}.")
    if how != "none" and compute.device.type != "cuda":
        raise MissingDevice(
            f'generation.offload: "{how}" moves parts between main memory and a CUDA GPU, but this run computes on'
            f' {compute.device.type}. Set it to "none", or run on a machine with such a GPU.'
        )
    if how == "sequential" and compute.quantization is not None:
        raise InputError(
            'generation.offload: "sequential" takes layers apart, which quantised ones ("quantization":'
            f' "{compute.quantization}") do not survive. Set it to "blocks", or leave quantization out.'
        )


def less_memory(settings: GenerationSettings, compute: Compute, whole_layers: bool) -> str:
    """What to do where images of these settings do not fit: first what a run that was begun may change, then what makes
    it another run.

    Args:
        whole_layers: a LoKr or DoRA is worn, whose layers do not come one by one.
    """
    whole = whole_layers or compute.quantization is not None
    known = [how for how in OFFLOADS if how != "sequential" or not whole] if compute.device.type == "cuda" else []
    later = [f'"{how}"' for how in known[known.index(settings.offload) + 1 :]] if settings.offload in known else []
    smaller = "generation.width and height"
    if settings.batch_size > 1:
        smaller = f"generation.batch_size (1 needs least) or {smaller}"
    advice = f"Lower {smaller}: in a run that was begun that takes another output folder, or --restart."
    if later:
        advice = (
            f"Set generation.offload to {', then '.join(later)}, which costs time and may be changed in a run that was"
            f" begun. {advice}"
        )
    return advice
