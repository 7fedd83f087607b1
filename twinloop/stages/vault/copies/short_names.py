"""Short names of files that tell them apart: cameras begin their numbers anew, and phones copy names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path


class ShortNames:
    """The name of each of these files; with as many folders before it as tell it from the others of that name."""

    def __init__(self, paths: Iterable[str]) -> None:
        self._paths = tuple(dict.fromkeys(paths))

    @cached_property
    def _alike(self) -> dict[str, list[str]]:
        counted = Counter(Path(path).name for path in self._paths)
        found: dict[str, list[str]] = {}
        for path in self._paths:
            if counted[name := Path(path).name] > 1:
                found.setdefault(name, []).append(path)
        return found

    def of(self, path: str) -> str:
        parts = Path(path).parts
        others = [Path(other).parts for other in self._alike.get(Path(path).name, ()) if other != path]
        for count in range(1, len(parts)):
            if all(other[-count:] != parts[-count:] for other in others):
                return "/".join(parts[-count:])
        return path
