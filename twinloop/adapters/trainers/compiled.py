"""A training's steps on compiled blocks: decided once and kept, because compiled ones round otherwise."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from twinloop.adapters.diffusion.memory import ran_out_of_memory
from twinloop.adapters.diffusion.regions import Regions
from twinloop.adapters.trainers.until import Until

COMPILED = "compiled_{}.json"
"""With the number of the process."""


class CompiledBlocks:
    """The denoiser's repeated blocks as the steps of a training take them: compiled up to the step at which the compiler failed, or never.

    Args:
        path: where that step is kept. wanted: whether to compile, where nothing is kept yet.

    Raises:
        StateError: the file is damaged.
    """

    def __init__(self, regions: Regions, path: Path, wanted: bool, notice: Callable[[str], None]) -> None:
        self._regions, self._notice = regions, notice
        self._until = Until(path, wanted=wanted and not regions.failure)
        self._until.keep()

    def at(self, step: int) -> bool:
        """Whether they are compiled at a step."""
        return self._until.at(step)

    def ready(self, step: int) -> AbstractContextManager[None]:
        """The blocks as this step takes them, inside."""
        if self._regions.failure and self.at(step):  # found out by whoever used the base before
            self._until.end(step)
        return self._regions.compiled(self.at(step), self._notice, retry=False)

    def give_up(self, step: int, error: BaseException) -> str:
        """Go on without from ``step``, where that may help; what the user should know of it, "" where it is no matter of compiling."""
        if not self.at(step) or ran_out_of_memory(error):
            return ""
        self._until.end(step)
        return self._regions.give_up(error)
