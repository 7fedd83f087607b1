"""How many pictures go through the denoiser at once (the micro-batch); fewer after memory ran out, with the same
pictures per step.
"""

from __future__ import annotations

from pathlib import Path

from twinloop.errors import StateError
from twinloop.store.atomic import read_json, write_json

MICRO_BATCHES_FILE = "micro_batches_{}.json"
"""File name, with the rank of the process."""


class MicroBatches:
    """The size of the micro-batches in which a step's pictures go through the denoiser; their gradients are
    accumulated.

    A smaller size is recorded with the step from which it holds, so that a resumed training adds up the same sums.

    Args:
        path: the file of that record. size: the size to begin with.

    Raises:
        StateError: the file is damaged.
    """

    def __init__(self, path: Path, size: int) -> None:
        self._path = path
        self._changes: list[tuple[int, int]] = [(1, size)]
        if path.exists():
            try:
                self._changes = [(int(step), int(kept)) for step, kept in read_json(path)]
            except (TypeError, ValueError) as error:
                raise StateError(f"{path} is damaged ({error}). Delete its folder to train anew.") from error

    def at(self, step: int) -> int:
        """The size that holds at a step."""
        return [size for first, size in self._changes if first <= step][-1]

    def halve(self, step: int) -> int:
        """Halve the size from ``step`` on; the new size, or 0 when it was 1 already.

        Later steps that had a smaller one keep it.
        """
        size = self.at(step) // 2
        if size:
            before = [(first, kept) for first, kept in self._changes if first < step]
            after = [(first, kept) for first, kept in self._changes if first > step and kept < size]
            self._changes = [*before, (step, size), *after]
            write_json(self._path, self._changes)
        return size
