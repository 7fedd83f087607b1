"""A run in progress."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twinloop.config import Settings
from twinloop.stages.toolbox import Toolbox
from twinloop.store.atomic import read_json, sha256_file, write_json
from twinloop.store.journal import Journal
from twinloop.store.run.catalog import Catalog
from twinloop.store.run.workspace import Workspace


@dataclass(frozen=True)
class Run:
    """One run in progress. ``config``: the file of its settings; None = they come from none."""

    settings: Settings
    toolbox: Toolbox
    workspace: Workspace
    journal: Journal
    catalog: Catalog
    config: Path | None = None

    def say(self, text: str) -> None:
        self.toolbox.reporter.line(text)

    def artefact(self, key: str, path: Path, make: Callable[[], Any], private: bool = False) -> Any:
        """The JSON at ``path``, made first when it is not there (``private``: for the owner only); its hash goes into
        the journal.
        """
        there = path.exists()
        if not there:
            write_json(path, make(), private)
        self.mark(key, path, anew=not there)
        return read_json(path)

    def mark(self, key: str, path: Path, anew: bool = False) -> None:
        """Note in the journal that a file is there, with its hash; the first one stays, unless the file was made
        ``anew``.
        """
        if key not in self.journal:
            self.journal.record(key, sha256_file(path))
        elif anew and self.journal.get(key) != (digest := sha256_file(path)):
            self.journal.replace({key: digest})


def sign(done: object) -> str:
    """What stands before a step's line: a tick where something was done, else a dash."""
    return "✓" if done else "-"
