"""What the menu remembers between two starts: the answers of the last time, and the workflows that are unfinished."""

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
    """Kept in one small file of the working directory.

    A damaged one is forgotten: it holds nothing that cannot be asked again.
    """

    def __init__(self, path: Path = PLACE) -> None:
        self._path = path
        data = _read(path)
        self._last: dict[str, str] = {str(key): str(value) for key, value in data.get("last", {}).items()}
        self._waiting = [
            Unfinished(kept["workflow"], dict(kept["answers"]), [list(argv) for argv in kept["done"]])
            for kept in data.get("unfinished", [])
        ]

    @property
    def unfinished(self) -> Unfinished | None:
        """The workflow under way, or the one left last."""
        return self._waiting[0] if self._waiting else None

    def begin(self, workflow: str) -> Unfinished:
        """A workflow from its start; the others that wait go on waiting."""
        begun = Unfinished(workflow)
        self._waiting = [begun, *(kept for kept in self._waiting if kept.workflow != workflow)]
        return begun

    def left(self) -> None:
        """The workflow under way was left; without an answer or a command there is nothing to go on with."""
        if self._waiting and not (self._waiting[0].answers or self._waiting[0].done):
            self._waiting.pop(0)

    def last(self, key: str, default: str) -> str:
        """The answer of the last time."""
        return self._last.get(key, default)

    def answered(self, key: str, value: str) -> None:
        self._last[key] = value
        if self._waiting:
            self._waiting[0].answers[key] = value
        self._write()

    def did(self, argv: Sequence[str]) -> None:
        if self._waiting:
            self._waiting[0].done.append(list(argv))
            self._write()

    def undone(self, command: str) -> None:
        """All runs of the command in the workflow under way are to be done again."""
        if self._waiting:
            done = self._waiting[0].done
            done[:] = [argv for argv in done if argv[:1] != [command]]
            self._write()

    def finish(self) -> None:
        del self._waiting[:1]
        self._write()

    def _write(self) -> None:
        waiting = [{"workflow": kept.workflow, "answers": kept.answers, "done": kept.done} for kept in self._waiting]
        write_json(self._path, {"last": self._last, "unfinished": waiting}, private=True)


def _read(path: Path) -> dict[str, Any]:
    try:
        data = read_json(path)
    except (InputError, StateError):
        return {}
    shaped = isinstance(data, dict) and isinstance(data.get("last", {}), dict)
    waiting = data.get("unfinished", []) if shaped else []
    whole = isinstance(waiting, list) and all(_is_unfinished(kept) for kept in waiting)
    return data if shaped and whole else {}


def _is_unfinished(kept: Any) -> bool:
    """Whether this is what `Memory` writes of a workflow under way."""
    if not (isinstance(kept, dict) and isinstance(kept.get("workflow"), str)):
        return False
    answers, done = kept.get("answers"), kept.get("done")
    return (
        isinstance(answers, dict)
        and all(isinstance(answer, str) for answer in answers.values())
        and isinstance(done, list)
        and all(isinstance(argv, list) and all(isinstance(word, str) for word in argv) for argv in done)
    )
