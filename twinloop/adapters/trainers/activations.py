"""Whether a step keeps its activations for the way back, or computes them again (gradient checkpointing)."""

from __future__ import annotations

from pathlib import Path

from twinloop.adapters.trainers.until import Until

ACTIVATIONS = "activations_{}.json"
"""With the number of the process."""


class Activations:
    """Both ways add up the same sums; computing again takes a third longer and a fraction of the memory.

    Args:
        path: where the step is kept from which they are computed again. asked: by the user, for all steps; None = the program chooses.
        planned: whether they are computed again from the start, where it does.

    Raises:
        StateError: the file is damaged.
    """

    def __init__(self, path: Path, asked: bool | None, planned: bool) -> None:
        self._asked = asked
        self._held = Until(path, wanted=not planned)

    def again_at(self, step: int) -> bool:
        """Whether a step computes them again."""
        return not self._held.at(step) if self._asked is None else self._asked

    def step_back(self, step: int) -> str:
        """Compute them again from ``step`` on, where memory ran out; what the user should know of it, "" where that is so, or is not to be."""
        if self._asked is not None or self.again_at(step):
            return ""
        self._held.end(step)
        return f"Memory ran out at step {step}: activations are computed again on the way back from now on (gradient checkpointing), a third slower."
