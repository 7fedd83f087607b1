"""Which of the files that guides name lie in a models folder, and what serves where one does not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twinloop.domain.model_roles import AUTO, PACKS, WORK
from twinloop.domain.usual_files import USUAL_FILES, UsualFile
from twinloop.domain.wording import agree
from twinloop.ports import FilledPort
from twinloop.store.models.folder import ModelsReport, resolve_models_dir


@dataclass(frozen=True)
class Usual:
    """One of them.

    Attributes:
        path: None where it is not there. problem: why it cannot be used; "" = it can, or is not there.
        instead: names of the files that do its work there, or could; () = none.
        opened: whether these are the ones that a pack opened for this work; otherwise they lie there and no more is
            known. refused: a pack tried the file, and could not use it.
    """

    file: UsualFile
    path: Path | None
    problem: str
    instead: tuple[str, ...]
    opened: bool = False
    refused: bool = False

    @property
    def state(self) -> str:
        """``there``, ``broken``, ``unusable`` or ``missing``."""
        if self.path is None:
            return "missing"
        if self.problem:
            return "broken"
        return "unusable" if self.refused else "there"

    @property
    def line(self) -> str:
        """State, and what serves or would serve instead, as one sentence part."""
        if self.state == "there":
            return "there"
        if self.instead:
            verb = agree(len(self.instead), "does", "do") if self.opened else "could do"
            return f"{self.state}; {' and '.join(self.instead)} {verb} its work"
        return f"{self.state}, and nothing does its work; {self.file.get} would"

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.file.name,
            "state": self.state,
            "path": None if self.path is None else str(self.path),
            "source": self.file.source,
            "licence": self.file.licence,
            "instead": list(self.instead),
            "detail": self.line,
        }


def usual_files(folder: Path, choices: Sequence[FilledPort] = (), pack: str = AUTO) -> Iterator[Usual]:
    """Each of `USUAL_FILES` as it is in this folder, which need not be there. Opens no model.

    Args:
        choices: what a pack of detectors opened there; of those it is said that they do the work. pack: its key in
            `PACKS`.
    """
    report = resolve_models_dir(folder) if folder.is_dir() else ModelsReport(folder, ())
    for file in USUAL_FILES:
        found = next((model for model in report.found if model.path.name.lower() == file.name), None)
        problem = "" if found is None or found.problem is None else found.problem
        path = None if found is None else found.path
        taken = next((choice.files for choice in choices if choice.port == WORK[file.role]), ())
        opened = bool(taken) and path not in taken
        # of files that do the same work a pack tries one after the other until one can be used
        refused = path is not None and bool(choices) and not taken and file.role in PACKS[pack]
        instead = () if refused else tuple(one.name for one in taken) if opened else _instead(file, report)
        yield Usual(file, path, problem, instead, opened, refused)


def _instead(file: UsualFile, report: ModelsReport) -> tuple[str, ...]:
    """Names of usable files that do the same work: of another name, else of another kind."""
    alike = [path.name for path in report.usable(file.role) if path.name.lower() != file.name]
    if alike:
        return (alike[0],)
    for roles in file.others:
        there = [report.usable(role) for role in sorted(roles)]
        if all(there):
            return tuple(paths[0].name for paths in there)
    return ()
