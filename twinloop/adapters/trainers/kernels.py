"""Steps on GPU kernels that sum in a fixed order, as long as every operation has one."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path

from twinloop.adapters.diffusion.compute import Compute
from twinloop.adapters.diffusion.messages import first_line
from twinloop.adapters.diffusion.repeatability import any_order, fixed_order, lacks_fixed_order
from twinloop.adapters.trainers.until import Until

KERNELS = "kernels_{}.json"
"""With the number of the process."""


class Kernels:
    """Which kernels the steps of a training take: up to the step at which an operation had none, only those that sum in a fixed order.

    Args:
        path: where that step is kept.

    Raises:
        StateError: the file is damaged.
    """

    def __init__(self, compute: Compute, path: Path) -> None:
        self._compute = compute
        self._ordered = Until(path, wanted=True)

    def ready(self, step: int) -> AbstractContextManager[None]:
        """The kernels as this step takes them, inside."""
        return fixed_order(self._compute) if self._ordered.at(step) else any_order(self._compute)

    def give_up(self, step: int, error: BaseException) -> str:
        """Take any kernels from ``step`` on, where that helps; what the user should know of it, "" where the error is another."""
        if not self._ordered.at(step) or not lacks_fixed_order(error):
            return ""
        self._ordered.end(step)
        return (
            f"This GPU cannot take step {step} with sums in a fixed order ({first_line(error)}). It is taken without: if this training is "
            "interrupted and resumed, its LoRA may differ in the last digits from that of an undisturbed one."
        )
