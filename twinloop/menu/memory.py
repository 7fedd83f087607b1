"""What the menu remembers between two starts: the answers of the last time, and a workflow that was not finished."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from twinloop.errors import InputError, StateError
from twinloop.store.atomic import read_json, write_json

PLACE = Path("outputs") / "menu.json"


@dataclass
class Unfinished:
    """A workflow under way: what was answered so far, and which commands are done."""

    workflow: str
    answers: dict[str, str] = field(default_factory=dict)
    done: list[list[str]] = field(default_factory=list)


class Memory:
    """Kept in one small file of the working directory. A damaged one is forgotten: it holds nothing that cannot be asked again."""

    def __init__(self, path: Path = PLACE) -> None:
        self._path = path
        data = _read(path)
        self._last: dict[str, str] = {str(key): str(value) for key, value in data.get("last", {}).items()}
        kept = data.get("unfinished")
        self.unfinished: Unfinished | None = (
            Unfinished(str(kept["workflow"]), dict(kept["answers"]), [list(argv) for argv in kept["done"]]) if kept else None
        )

    def begin(self, workflow: str) -> Unfinished:
        self.unfinished = Unfinished(workflow)
        return self.unfinished

    def last(self, key: str, default: str) -> str:
        """The answer of the last time."""
        return self._last.get(key, default)

    def answered(self, key: str, value: str) -> None:
        self._last[key] = value
        if self.unfinished is not None:
            self.unfinished.answers[key] = value
        self._write()

    def did(self, argv: Sequence[str]) -> None:
        if self.unfinished is not None:
            self.unfinished.done.append(list(argv))
            self._write()

    def finish(self) -> None:
        self.unfinished = None
        self._write()

    def _write(self) -> None:
        kept = self.unfinished
        waiting = None if kept is None else {"workflow": kept.workflow, "answers": kept.answers, "done": kept.done}
        write_json(self._path, {"last": self._last, "unfinished": waiting}, private=True)


def _read(path: Path) -> dict[str, Any]:
    try:
        data = read_json(path)
    except (InputError, StateError):
        return {}
    shaped = isinstance(data, dict) and isinstance(data.get("last", {}), dict)
    kept = data.get("unfinished") if shaped else None
    whole = kept is None or (isinstance(kept, dict) and kept.keys() >= {"workflow", "answers", "done"})
    return data if shaped and whole else {}
