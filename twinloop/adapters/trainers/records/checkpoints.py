"""Checkpoints of a training: whole, verified, and the one before as a spare."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from twinloop.store.atomic import write_bytes

KEPT = 2
_DIGEST = 32


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """The state after ``step``: tensors by name."""

    step: int
    tensors: dict[str, Tensor]


class Checkpoints:
    """The checkpoint files of one folder: sha256 of the rest, then safetensors."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def save(self, step: int, tensors: Mapping[str, Tensor]) -> None:
        """Write a new checkpoint, then drop all but the newest two."""
        data = save({name: tensor.detach().contiguous().cpu() for name, tensor in tensors.items()})
        write_bytes(self._folder / f"step_{step:08d}.checkpoint", hashlib.sha256(data).digest() + data)
        for old in self._files()[KEPT:]:
            with contextlib.suppress(OSError):  # open in another program, say: the next one to be saved drops it
                old.unlink()

    @property
    def are_there(self) -> bool:
        """Whether there is any, damaged or not."""
        return bool(self._files())

    @property
    def last_step(self) -> int:
        """The step of the newest one, damaged or not; 0 = there is none."""
        return max((_step(path) for path in self._files()), default=0)

    def newest(self, last: int | None = None) -> Checkpoint | None:
        """The newest checkpoint that is undamaged, of step ``last`` at the latest, or None."""
        for path in self._files():
            step = _step(path)
            if last is not None and step > last:
                continue
            data = path.read_bytes()
            if hashlib.sha256(data[_DIGEST:]).digest() == data[:_DIGEST]:
                with contextlib.suppress(SafetensorError):
                    return Checkpoint(step, dict(load(data[_DIGEST:])))
        return None

    def _files(self) -> list[Path]:
        return sorted(self._folder.glob("step_*.checkpoint"), reverse=True)


def _step(path: Path) -> int:
    return int(path.stem.removeprefix("step_"))
