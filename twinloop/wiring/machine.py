"""What this machine has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twinloop.errors import InputError

if TYPE_CHECKING:
    from twinloop.adapters.diffusion.base_choice import BaseChoice


def device_name() -> str:
    """Where models would run: the GPU's name, ``mps``, or ``cpu``; says so when PyTorch is missing."""
    try:
        from twinloop.adapters.diffusion.compute import device_name as found
    except ModuleNotFoundError:
        return "cpu (PyTorch is not installed; needed for generating and training)"
    return found()


def trains_in_float16(choice: BaseChoice) -> bool:
    """Whether other programs are told to train in float16 instead of in bfloat16: where that is asked for, or the GPU
    here has no other.
    """
    if choice.precision != "auto":
        return choice.precision == "float16"
    try:
        from twinloop.adapters.diffusion.compute import choose_compute

        return choose_compute(choice.device).in_float16
    except (ModuleNotFoundError, InputError):  # PyTorch is not here, or does not see that device: theirs may be another
        return False
