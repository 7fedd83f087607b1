"""A training's steps on compiled blocks: decided once and kept, because compiled ones round otherwise."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from twinloop.adapters.diffusion.memory import ran_out_of_memory
from twinloop.adapters.diffusion.regions import Regions
from twinloop.errors import StateError
from twinloop.store.atomic import read_json, write_json

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
        self._regions, self._path, self._notice = regions, path, notice
        self._until: int | None = None if wanted and not regions.failure else 1
        if path.exists():
            self._until = _kept(path)
        else:
            self._keep(self._until)

    def at(self, step: int) -> bool:
        """Whether they are compiled at a step."""
        return self._until is None or step < self._until

    def ready(self, step: int) -> AbstractContextManager[None]:
        """The blocks as this step takes them, inside."""
        if self._regions.failure and self.at(step):  # found out by whoever used the base before
            self._keep(step)
        return self._regions.compiled(self.at(step), self._notice, retry=False)

    def give_up(self, step: int, error: BaseException) -> str:
        """Go on without from ``step``, where that may help; what the user should know of it, "" where it is no matter of compiling."""
        if not self.at(step) or ran_out_of_memory(error):
            return ""
        self._keep(step)
        return self._regions.give_up(error)

    def _keep(self, until: int | None) -> None:
        self._until = until
        write_json(self._path, {"until": until})


def _kept(path: Path) -> int | None:
    kept = read_json(path)
    try:
        until = kept["until"]
        return None if until is None else int(until)
    except (TypeError, KeyError, ValueError) as error:
        raise StateError(f"{path} is damaged ({error}). Delete its folder to train anew.") from error
