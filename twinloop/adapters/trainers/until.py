"""Ways of taking steps that hold up to one of them."""

from __future__ import annotations

from pathlib import Path

from twinloop.errors import StateError
from twinloop.store.atomic import read_json, write_json


class Until:
    """A way of taking a training's steps that holds for all of them, or up to a step; kept in a file, so that a resumed training takes each as it was taken.

    Args:
        path: the file. wanted: whether the first step is taken so, where nothing is kept yet.

    Raises:
        StateError: the file is damaged.
    """

    def __init__(self, path: Path, wanted: bool) -> None:
        self._path = path
        self._end: int | None = None if wanted else 1
        if path.exists():
            self._end = _kept(path)

    def at(self, step: int) -> bool:
        """Whether a step is taken so."""
        return self._end is None or step < self._end

    def end(self, step: int) -> None:
        """Take ``step`` and those after it otherwise."""
        if self.at(step):
            self._end = step
        self.keep()

    def keep(self) -> None:
        """Write down what holds now, where the next start might decide otherwise."""
        write_json(self._path, {"until": self._end})


def _kept(path: Path) -> int | None:
    kept = read_json(path)
    try:
        until = kept["until"]
        return None if until is None else int(until)
    except (TypeError, KeyError, ValueError) as error:
        raise StateError(f"{path} is damaged ({error}). Delete its folder to train anew.") from error
