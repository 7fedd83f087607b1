"""An average over the LoRA's latest weights: steadier than the last ones, and what is written where it is kept."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from twinloop.errors import StateError

PREFIX = "ema/"


class Average:
    """Exponential moving average of parameters, in their own precision.

    Args:
        decay: share of the old average that stays at each step, 0 = no average is kept. It starts lower, at (1 + step)
            / (10 + step), so that the weights of the first steps are forgotten soon.
    """

    def __init__(self, parameters: Mapping[str, nn.Parameter], decay: float) -> None:
        self._parameters, self._decay = dict(parameters), decay
        self._kept = {name: parameter.detach().clone() for name, parameter in parameters.items()} if decay > 0 else {}

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the weights after ``step``, from 1."""
        decay = min(self._decay, (1 + step) / (10 + step))
        for name, kept in self._kept.items():
            kept.lerp_(self._parameters[name].detach(), 1 - decay)

    def state(self) -> dict[str, Tensor]:
        """``ema/<parameter>``."""
        return {PREFIX + name: kept for name, kept in self._kept.items()}

    @torch.no_grad()
    def restore(self, named: Mapping[str, Tensor]) -> None:
        """Take up what `state` gave.

        Raises:
            StateError: it holds no average of these parameters.
        """
        for name, kept in self._kept.items():
            found = named.get(PREFIX + name)
            if found is None or found.shape != kept.shape:
                raise StateError(f"The checkpoint holds no average of {name}. Delete its folder to train anew.")
            kept.copy_(found)

    @contextmanager
    @torch.no_grad()
    def applied(self) -> Iterator[None]:
        """The parameters hold the average inside, their own values again afterwards."""
        own = {name: self._parameters[name].detach().clone() for name in self._kept}
        for name, kept in self._kept.items():
            self._parameters[name].copy_(kept)
        try:
            yield
        finally:
            for name, value in own.items():
                self._parameters[name].copy_(value)
