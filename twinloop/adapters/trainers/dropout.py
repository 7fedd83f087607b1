"""Leaving out parts of a LoRA in each step, as sd-scripts does: numbers between the down and the up matrix, whole ranks, whole layers.

What is left out is decided by a hash of (seed, step, picture, layer, place), computed where the numbers are. So a step that is computed
again on the way back, in other portions, by other processes or after a kill leaves out the same, and no generator has a state to keep.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from twinloop.domain.shots import derive_seed
from twinloop.ports import TrainingSettings

BITS = (1 << 32) - 1
_STRIDE = 0x9E3779B9
"""Between the counters of neighbouring places: 2^32 over the golden ratio."""


@dataclass(frozen=True)
class Dropout:
    """Shares that are left out. ``numbers``: of what lies between the matrices; ``ranks``: of the ranks of a picture; ``layers``: of the layers."""

    numbers: float = 0.0
    ranks: float = 0.0
    layers: float = 0.0

    @classmethod
    def of(cls, settings: TrainingSettings) -> Dropout:
        """As these settings ask for it."""
        return cls(settings.network_dropout, settings.rank_dropout, settings.module_dropout)

    def __bool__(self) -> bool:
        return any((self.numbers, self.ranks, self.layers))


NO_DROPOUT = Dropout()


class Thinning:
    """Leaves out parts of a LoRA's layers.

    Args:
        downs: the down matrices' layers (`nn.Linear`, `nn.Conv2d`) by name; what they make is thinned from now on.
    """

    def __init__(self, dropout: Dropout, downs: Mapping[str, nn.Module]) -> None:
        self._dropout = dropout
        self._step = self._pictures = torch.zeros(1, dtype=torch.int64)
        for name, down in downs.items():
            down.register_forward_hook(partial(self._thinned, derive_seed("layer", name) & BITS))

    def at(self, seed: int, step: int, places: Iterable[int], device: torch.device) -> None:
        """Which pictures of which step go through next. ``places``: their numbers in the step."""
        keys = [derive_seed(seed, "dropout", step, *place) & BITS for place in ((), *((place,) for place in places))]
        both = torch.tensor(keys, dtype=torch.int64, device=device)
        self._step, self._pictures = both[:1], both[1:]

    def _thinned(self, layer: int, down: nn.Module, inputs: Any, hidden: Tensor) -> Tensor:
        """What goes on to the up matrix, (n, ..., rank), after a convolution (n, rank, h, w)."""
        last = hidden.movedim(1, -1) if isinstance(down, nn.Conv2d) else hidden
        # some models have rows that all pictures share, or several in a row for each
        pictures = self._pictures if len(last) % len(self._pictures) == 0 else self._step
        rows = last.reshape(len(pictures), -1, last.shape[-1])
        thinned = self._of_rows(rows, pictures, layer).reshape(last.shape)
        return thinned.movedim(-1, 1) if isinstance(down, nn.Conv2d) else thinned

    def _of_rows(self, rows: Tensor, pictures: Tensor, layer: int) -> Tensor:
        """(n, places, rank) -> the same."""
        asked, (_, places, rank) = self._dropout, rows.shape
        if asked.layers:  # one lot for all pictures of the step; sd-scripts makes up for it no more than this
            rows = rows * kept(self._step, layer, "layer", (), asked.layers).view(1, 1, 1)
        if asked.ranks:
            rows = rows * kept(pictures, layer, "rank", (rank,), asked.ranks)[:, None] / (1 - asked.ranks)
        if asked.numbers:
            rows = rows * kept(pictures, layer, "number", (places, rank), asked.numbers) / (1 - asked.numbers)
        return rows


def kept(keys: Tensor, layer: int, what: str, shape: Sequence[int], share: float) -> Tensor:
    """(n, *shape) whether each place stays, when ``share`` of them goes: a function of its key, the layer and the place alone.

    Args:
        keys: (n,) of 32 bits. A place has the same lot whatever comes after it along the first axis.
    """
    own = _mixed(keys ^ (derive_seed(layer, what) & BITS))
    count = torch.Size(shape).numel()
    counters = torch.arange(count, dtype=torch.int64, device=keys.device).mul_(_STRIDE)
    lots = _mixed((own[:, None] + counters).bitwise_and_(BITS))
    return (lots >= round(share * (BITS + 1))).view(len(keys), *shape)


def _mixed(numbers: Tensor) -> Tensor:
    """32 bits, each of which depends on all of those that went in (the finisher known as lowbias32)."""
    numbers = numbers ^ (numbers >> 16)
    numbers = (numbers * 0x7FEB352D).bitwise_and_(BITS)
    numbers = numbers ^ (numbers >> 15)
    numbers = (numbers * 0x846CA68B).bitwise_and_(BITS)
    return numbers ^ (numbers >> 16)
