"""Leaving out parts of a LoRA in each step, as sd-scripts does: numbers between the down and the up matrix, whole
ranks, whole layers.

What is left out is decided by a hash of (seed, step, picture, layer, place), computed where the numbers are. So a step
that is computed again on the way back, in other micro-batches, by other processes or after a kill leaves out the same,
and no generator has a state to keep.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
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
CROSSING = ("attn2.to_k", "attn2.to_v")
"""Ends of the names of a U-Net's layers that take the words of a caption."""


@dataclass(frozen=True)
class Dropout:
    """Shares that are left out.

    ``numbers``: of what lies between the matrices; ``ranks``: of the ranks of a picture; ``layers``: of the layers.
    """

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


@dataclass(frozen=True)
class _Rows:
    """Whose the rows are that a layer sees.

    Attributes:
        keys: (n,) of the rows' pictures. first: (n,) number of each row's first place, in rows of a picture that come
            one after the other.
        said: (n,) how often a row says the same over again, which then loses the same each time.
    """

    keys: Tensor
    first: Tensor | None = None
    said: Tensor | None = None

    def places(self, count: int) -> Tensor | None:
        """(n, count) numbers of a row's places within its picture; None = the first so many."""
        here = torch.arange(count, dtype=torch.int64, device=self.keys.device)
        if self.first is not None:
            return here + self.first[:, None] * count
        return None if self.said is None else here % (count // self.said[:, None])


class Thinning:
    """Leaves out parts of a LoRA's layers.

    Args:
        downs: the down matrices' layers (`nn.Linear`, `nn.Conv2d`) by name; what they make is thinned from now on.
        of_encoders: whether a layer of that name lies in a text encoder.
    """

    def __init__(
        self, dropout: Dropout, downs: Mapping[str, nn.Module], of_encoders: Callable[[str], bool] = lambda name: False
    ) -> None:
        self._dropout, self._rests = dropout, False
        self._step = torch.zeros(1, dtype=torch.int64)
        self._pictures = self._texts = self._words = _Rows(self._step)
        for name, down in downs.items():
            whose = self._of_words if name.endswith(CROSSING) else self._of_pictures
            whose = self._of_texts if of_encoders(name) else whose
            down.register_forward_hook(partial(self._thinned, derive_seed("layer", name) & BITS, whose))

    def at(self, seed: int, step: int, places: Iterable[int], device: torch.device) -> None:
        """Which pictures of which step go through next. ``places``: their numbers in the step."""
        keys = [derive_seed(seed, "dropout", step, *place) & BITS for place in ((), *((place,) for place in places))]
        both = torch.tensor(keys, dtype=torch.int64, device=device)
        self._step, self._pictures = both[:1], _Rows(both[1:])
        self._texts = self._words = self._pictures

    def reads(self, chunks: Sequence[int], length: int) -> None:
        """Of which texts of these pictures it is computed next: text encoders see their chunks as rows, one after the
        other.

        Args:
            chunks: of each text. length: in chunks, of what the denoiser sees of each, which says a shorter text over
                again.
        """
        if self._rests:
            return
        keys, device = self._pictures.keys, self._pictures.keys.device
        counts = torch.tensor(chunks, dtype=torch.int64, device=device)
        order = torch.tensor([number for count in chunks for number in range(count)], dtype=torch.int64, device=device)
        self._texts = _Rows(keys.repeat_interleave(counts), first=order)
        self._words = _Rows(keys, said=length // counts)

    @contextmanager
    def resting(self) -> Iterator[None]:
        """Nothing is left out inside."""
        self._rests = True
        try:
            yield
        finally:
            self._rests = False

    def _of_pictures(self) -> _Rows:
        return self._pictures

    def _of_texts(self) -> _Rows:
        return self._texts

    def _of_words(self) -> _Rows:
        return self._words

    def _thinned(self, layer: int, whose: Callable[[], _Rows], down: nn.Module, inputs: Any, hidden: Tensor) -> Tensor:
        """What goes on to the up matrix, (n, ..., rank), after a convolution (n, rank, h, w)."""
        if self._rests:
            return hidden
        last = hidden.movedim(1, -1) if isinstance(down, nn.Conv2d) else hidden
        seen = whose()
        # some models have rows that all pictures share, or several in a row for each
        seen = seen if len(last) % len(seen.keys) == 0 else _Rows(self._step)
        rows = last.reshape(len(seen.keys), -1, last.shape[-1])
        thinned = self._of_rows(rows, seen, layer).reshape(last.shape)
        return thinned.movedim(-1, 1) if isinstance(down, nn.Conv2d) else thinned

    def _of_rows(self, rows: Tensor, seen: _Rows, layer: int) -> Tensor:
        """(n, places, rank) -> the same."""
        asked, (_, places, rank) = self._dropout, rows.shape
        if asked.layers:  # one lot for all pictures of the step; sd-scripts makes up for it no more than this
            rows = rows * kept(self._step, layer, "layer", (), asked.layers).view(1, 1, 1)
        if asked.ranks:
            rows = rows * kept(seen.keys, layer, "rank", (rank,), asked.ranks)[:, None] / (1 - asked.ranks)
        if asked.numbers:
            lots = kept(seen.keys, layer, "number", (places, rank), asked.numbers, seen.places(places))
            rows = rows * lots / (1 - asked.numbers)
        return rows


def kept(
    keys: Tensor, layer: int, what: str, shape: Sequence[int], share: float, places: Tensor | None = None
) -> Tensor:
    """(n, *shape) whether each place stays, when ``share`` of them goes: a function of its key, the layer and the place
    alone.

    Args:
        keys: (n,) of 32 bits. A place has the same lot whatever comes after it along the first axis.
        places: (n, first axis) numbers of the places along the first axis; None = from 0.
    """
    own = _mixed(keys ^ (derive_seed(layer, what) & BITS))
    counters = torch.arange(torch.Size(shape).numel(), dtype=torch.int64, device=keys.device).view(1, -1)
    if places is not None:
        wide = torch.Size(shape[1:]).numel()
        counters = (places[..., None] * wide + counters[:, :wide]).flatten(1)
    lots = _mixed((own[:, None] + counters * _STRIDE).bitwise_and_(BITS))
    return (lots >= round(share * (BITS + 1))).view(len(keys), *shape)


def _mixed(numbers: Tensor) -> Tensor:
    """32 bits, each of which depends on all of those that went in (the finisher known as lowbias32)."""
    numbers = numbers ^ (numbers >> 16)
    numbers = (numbers * 0x7FEB352D).bitwise_and_(BITS)
    numbers = numbers ^ (numbers >> 15)
    numbers = (numbers * 0x846CA68B).bitwise_and_(BITS)
    return numbers ^ (numbers >> 16)
