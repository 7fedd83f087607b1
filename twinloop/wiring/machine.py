"""What this machine has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twinloop.errors import InputError
from twinloop.ports import Reporter
from twinloop.system.collector import importing

if TYPE_CHECKING:
    from twinloop.adapters.diffusion.base_choice import BaseChoice


def device_name(device: str = "auto") -> str:
    """Where models would run: the GPU's name, ``mps``, or ``cpu``; says so when PyTorch is missing."""
    try:
        with importing():
            from twinloop.adapters.diffusion.compute import device_name as found
    except ModuleNotFoundError:
        return "cpu (PyTorch is not installed; needed for generating and training)"
    return found(device)


def unused_gpu(device: str = "auto") -> str:
    """Why the GPU of this machine is not used, and what to do; "" where that is not so, or PyTorch is missing."""
    try:
        from twinloop.adapters.diffusion.compute import unused_gpu as found
    except ModuleNotFoundError:
        return ""
    return found(device)


def tell_device(device: str, reporter: Reporter) -> None:
    """Say where models compute, and why not on the GPU that is here."""
    reporter.line(f"Computes on: {device_name(device)}")
    if unused := unused_gpu(device):
        reporter.warn(unused)


def trains_in_float16(choice: BaseChoice, overflows: bool) -> bool:
    """Whether other programs are told to train in float16 instead of in bfloat16: where that is asked for, or the GPU
    here has no other and the model does not overflow there (``overflows``).
    """
    if choice.precision != "auto":
        return choice.precision == "float16"
    try:
        from twinloop.adapters.diffusion.compute import choose_compute

        return choose_compute(choice.device, overflows_in_float16=overflows).in_float16
    except (ModuleNotFoundError, InputError):  # PyTorch is not here, or does not see that device: theirs may be another
        return False
