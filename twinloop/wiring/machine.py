"""What this machine has."""

from __future__ import annotations

import os

from twinloop.errors import InputError


def device_name() -> str:
    """Where models would run: the GPU's name, ``mps``, or ``cpu``; says so when PyTorch is missing."""
    try:
        import torch
    except ModuleNotFoundError:
        return "cpu (PyTorch is not installed; needed for generating and training)"
    if torch.cuda.is_available():
        memory = torch.cuda.get_device_properties(0).total_memory / 2**30
        return f"cuda ({torch.cuda.get_device_name(0)}, {memory:.0f} GiB)"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def trains_in_float16(device: str, precision: str) -> bool:
    """Whether other programs are told to train in float16 instead of in bfloat16: where that is asked for, or the GPU here has no other."""
    if precision != "auto":
        return precision == "float16"
    try:
        from twinloop.adapters.diffusion.compute import choose_compute

        return choose_compute(device).in_float16
    except (ModuleNotFoundError, InputError):  # PyTorch is not here, or does not see that device: theirs may be another
        return False


def usable_cores() -> int:
    """Cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
