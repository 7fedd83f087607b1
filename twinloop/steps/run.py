"""A run in progress."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twinloop.config import Settings
from twinloop.errors import StateError
from twinloop.stages.history import NOTHING_EARLIER, Earlier
from twinloop.stages.toolbox import Toolbox
from twinloop.store.atomic import json_bytes, read_json, sha256_file, write_bytes
from twinloop.store.journal import Journal
from twinloop.store.run.catalog import Catalog
from twinloop.store.run.workspace import Workspace


@dataclass(frozen=True)
class Run:
    """One run in progress.

    Attributes:
        config: the file of its settings; None = they come from none. earlier: what the run had come to before.
    """

    settings: Settings
    toolbox: Toolbox
    workspace: Workspace
    journal: Journal
    catalog: Catalog
    config: Path | None = None
    earlier: Earlier = NOTHING_EARLIER

    def say(self, text: str) -> None:
        self.toolbox.reporter.line(text)

    def artefact(
        self,
        key: str,
        path: Path,
        make: Callable[[], Any],
        *,
        private: bool = False,
        editable: bool = False,
        fixed: bool = False,
    ) -> Any:
        """The JSON at ``path``, made first when it is not there; its hash goes into the journal, and one that is there
        has to be what was written.

        Args:
            private: for the owner only. editable: people may change it.
            fixed: made again, it has to come out as it was: what is there already was made by it.

        Raises:
            StateError: it was changed since, or comes out otherwise.
        """
        if not path.exists():
            self._write(key, path, json_bytes(make()), private, fixed)
        elif not editable:
            self.check(key, path)
        found = read_json(path)
        self.mark(key, path)
        return found

    def _write(self, key: str, path: Path, data: bytes, private: bool, fixed: bool) -> None:
        digest, known = hashlib.sha256(data).hexdigest(), self._hash(key)
        if known not in (None, digest):
            if fixed:
                raise StateError(MADE_OTHERWISE.format(path=path))
            # before the file: killed in between, the run makes it once more, and does not take it for a changed one
            self.journal.replace({key: digest})
        write_bytes(path, data, private)

    def check(self, key: str, path: Path) -> None:
        """Whether a file that is there is what was written, where the journal knows its hash.

        Raises:
            StateError: it was changed since.
        """
        known = self._hash(key)
        if known is not None and path.is_file() and sha256_file(path) != known:
            raise StateError(CHANGED.format(path=path))

    def make_way(self, key: str) -> None:
        """Before a file is made once more by others than `artefact`: killed right after it was written, the run does
        not take it for a changed one.
        """
        if self._hash(key) is not None:
            self.journal.replace({key: None})

    def _hash(self, key: str) -> str | None:
        """What the journal knows a file by; None = nothing."""
        known = self.journal.get(key)
        return known if isinstance(known, str) else None

    def mark(self, key: str, path: Path, anew: bool = False) -> None:
        """Note in the journal that a file is there, with its hash; the first one stays, unless the file was made
        ``anew``.
        """
        if key not in self.journal:
            self.journal.record(key, sha256_file(path))
        elif (anew or self._hash(key) is None) and self.journal.get(key) != (digest := sha256_file(path)):
            self.journal.replace({key: digest})


CHANGED = (
    "{path} is not what this run wrote: it was edited or damaged since. Put it back from a copy, or delete it and run"
    " the same command again: it is made anew."
)
MADE_OTHERWISE = (
    "{path} is gone, and made again it comes out otherwise than it is on record: this program's version or the facets"
    " are others, and figures would not compare. Put it back from a copy, or start anew with --restart (the old folders"
    " are kept under new names)."
)


def sign(done: object) -> str:
    """What stands before a step's line: a tick where something was done, else a dash."""
    return "✓" if done else "-"
