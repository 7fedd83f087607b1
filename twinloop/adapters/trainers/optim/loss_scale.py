"""The factor on the loss of a training in float16, whose smallest number gradients would fall below without it."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from twinloop.adapters.diffusion.compute import Compute

SCALE = "loss_scale"
GOOD_STEPS = "loss_scale_good_steps"

FACTOR = 2.0
GROWTH_INTERVAL = 2000
"""Steps in a row without an overflow after which the scale grows; this and the factor are those of
`torch.amp.GradScaler`."""
MOST = 2.0**24
"""The scale grows no further, as NVIDIA's Apex has it: gradients that are all zero would let it grow without an end."""


class LossScale:
    """Halved where gradients overflow, doubled after `GROWTH_INTERVAL` steps in a row in which they did not.

    `torch.amp.GradScaler` does the same, but keeps its numbers on the device, has no largest scale, and looks for
    overflows in the gradients of one process.

    Attributes:
        value: of now.
        is_used: whether the precision needs one; without, the value stays as it is.
    """

    def __init__(self, compute: Compute) -> None:
        self.value = compute.loss_scale
        self.is_used = compute.loss_scale != 1.0
        self._good_steps = 0

    @property
    def can_fall(self) -> bool:
        """Whether a smaller one may help where gradients overflow."""
        return self.value > 1.0

    def overflowed(self) -> None:
        """After a step whose gradients did."""
        self.value /= FACTOR
        self._good_steps = 0

    def held(self) -> None:
        """After a step whose gradients did not."""
        if not self.is_used:
            return
        self._good_steps += 1
        if self._good_steps >= GROWTH_INTERVAL:
            # one that began above the largest stays
            self.value = max(self.value, min(self.value * FACTOR, MOST))
            self._good_steps = 0

    def state(self) -> dict[str, Tensor]:
        """For a checkpoint; nothing where none is used."""
        if not self.is_used:
            return {}
        scale = torch.tensor([self.value], dtype=torch.float64)
        return {SCALE: scale, GOOD_STEPS: torch.tensor([self._good_steps], dtype=torch.int64)}

    def restore(self, named: Mapping[str, Tensor]) -> None:
        """Take up what `state` gave; checkpoints that were written before steps were counted begin at 0."""
        if SCALE in named:
            self.value = float(named[SCALE])
            self._good_steps = int(named.get(GOOD_STEPS, torch.tensor(0)))
