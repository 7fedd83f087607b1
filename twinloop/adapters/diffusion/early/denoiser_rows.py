"""A denoiser that works for some pictures of a batch only, under a pipeline that does not know."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any

import torch
from torch import Tensor

_OF_NO_PICTURE = ("txt_ids", "img_ids")
"""Arguments that may be the same for the whole batch, without an axis of it: positions, (tokens, axes)."""


class DenoiserRows(AbstractContextManager["DenoiserRows"]):
    """While entered, a denoiser is called for the chosen pictures alone; the others' answers are zeros.

    The pipeline, its scheduler and its random numbers go on with the whole batch, so nothing else has to know how a
    family of models lays out its embeddings, and no scheduler loses its history. A batch may hold each picture several
    times (guidance).

    Args:
        denoiser: the module that a pipeline calls. pictures: of the batch.
    """

    def __init__(self, denoiser: torch.nn.Module, pictures: int) -> None:
        self._denoiser = denoiser
        self._pictures = pictures
        self._kept: tuple[int, ...] | None = None
        self._rows: list[int] = []
        self._of = 0
        self._hooks: list[Any] = []

    def keep(self, pictures: Sequence[int]) -> None:
        """From the next call on only these, at least one."""
        self._kept = tuple(pictures) if len(pictures) < self._pictures else None

    def __enter__(self) -> DenoiserRows:
        self._hooks = [
            self._denoiser.register_forward_pre_hook(self._before, with_kwargs=True),
            self._denoiser.register_forward_hook(self._after),
        ]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        for hook in self._hooks:
            hook.remove()

    def _before(
        self, _: Any, args: tuple[Any, ...], named: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
        if self._kept is None:
            return None
        latents = args[0] if args else named["hidden_states"] if "hidden_states" in named else named["sample"]
        self._of = len(latents)
        self._rows = [turn * self._pictures + row for turn in range(self._of // self._pictures) for row in self._kept]
        return tuple(self._cut(value) for value in args), {
            name: self._cut(value, name) for name, value in named.items()
        }

    def _cut(self, value: Any, name: str = "") -> Any:
        """The chosen rows of whatever has an axis of the batch."""
        if isinstance(value, Tensor):
            shared = value.ndim == 0 or len(value) != self._of or (name in _OF_NO_PICTURE and value.ndim == 2)
            return value if shared else value[self._rows]
        if isinstance(value, Mapping):
            return {key: self._cut(inner, str(key)) for key, inner in value.items()}
        if isinstance(value, list) and len(value) == self._of:
            return [value[row] for row in self._rows]
        return value

    def _after(self, _: Any, __: Any, made: Any) -> Any:
        return None if self._kept is None else (self._spread(made[0]), *made[1:])

    def _spread(self, made: Tensor | list[Tensor]) -> Tensor | list[Tensor]:
        """The answers in their places, zeros between them."""
        if isinstance(made, Tensor):
            whole = made.new_zeros(self._of, *made.shape[1:])
            whole[self._rows] = made
            return whole
        spread = [torch.zeros_like(made[0]) for _ in range(self._of)]
        for row, answer in zip(self._rows, made, strict=True):
            spread[row] = answer
        return spread
