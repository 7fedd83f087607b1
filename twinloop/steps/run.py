"""A run in progress, and what makes a folder the same run when it is started again."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twinloop.config import SAYS_NOTHING_WITHOUT, Settings
from twinloop.domain.flattened import flattened
from twinloop.errors import StateError
from twinloop.stages import analyze
from twinloop.stages.toolbox import Toolbox
from twinloop.store.atomic import read_json, remove_leftovers, sha256_file, write_json
from twinloop.store.catalog import Catalog
from twinloop.store.journal import Journal
from twinloop.store.versions import versions
from twinloop.store.workspace import Workspace


@dataclass(frozen=True)
class Run:
    """One run in progress."""

    settings: Settings
    toolbox: Toolbox
    workspace: Workspace
    journal: Journal
    catalog: Catalog

    def say(self, text: str) -> None:
        self.toolbox.reporter.line(text)

    def artefact(self, key: str, path: Path, make: Callable[[], Any], private: bool = False) -> Any:
        """The JSON at ``path``, made first when it is not there (``private``: for the owner only); its hash goes into the journal once."""
        if not path.exists():
            write_json(path, make(), private)
        self.mark(key, path)
        return read_json(path)

    def mark(self, key: str, path: Path) -> None:
        if key not in self.journal:
            self.journal.record(key, sha256_file(path))


def sign(done: object) -> str:
    """What stands before a step's line: a tick where something was done, else a dash."""
    return "✓" if done else "-"


def settings_fingerprint(settings: Settings) -> str:
    """Of everything in the settings that decides results."""
    return hashlib.sha256(json.dumps(settings.identity_fields(), sort_keys=True).encode()).hexdigest()[:16]


def begin(run: Run) -> None:
    """Clear away what a killed run was just writing, and note what this folder is for, or make sure that it is for the same.

    Raises:
        StateError: other settings; names the fields.
    """
    for folder in (run.workspace.root, run.workspace.lora_dir):
        remove_leftovers(folder)
    record = _record(run.settings, run.toolbox)
    analyze.check_shares(run.toolbox.observer.facets, run.settings.analysis.shares)
    kept = run.artefact("run", run.workspace.run_record, lambda: record)
    if not run.workspace.versions.exists():
        write_json(run.workspace.versions, versions())
    _check_same(_with_limits_of_old(kept, run.settings, run.toolbox), record, run.workspace.root)


def check_same_run(settings: Settings, toolbox: Toolbox, workspace: Workspace) -> None:
    """Whether the folder is new or holds a run of these settings. Nothing is written.

    Raises:
        StateError: as `begin`.
    """
    if workspace.run_record.exists():
        kept = _with_limits_of_old(read_json(workspace.run_record), settings, toolbox)
        _check_same(kept, _record(settings, toolbox), workspace.root)


def _record(settings: Settings, toolbox: Toolbox) -> dict[str, Any]:
    """What a folder is for."""
    return {"settings": settings.identity_fields(), "observer": toolbox.observer.fingerprint}


def _with_limits_of_old(kept: Any, settings: Settings, toolbox: Toolbox) -> Any:
    """A record in which limits that nobody named stand as null, where it was written when they had one default for all detectors.

    Left as it is where today's detectors say something else than that default.
    """
    observer = toolbox.observer
    same = {
        "min_face_quality": (0.4, "face_quality" not in observer.measured or observer.least_face_quality == 0.4),
        "sharpness_share": (0.3, observer.least_sharpness == 0.3),
    }
    with contextlib.suppress(KeyError, TypeError):
        limits = dict(kept["settings"]["validation"])
        for name, (default, holds) in same.items():
            if holds and limits.get(name) == default and getattr(settings.validation, name) is None:
                limits[name] = None
        return {**kept, "settings": {**kept["settings"], "validation": limits}}
    return kept


def _check_same(kept: Any, record: dict[str, Any], folder: Path) -> None:
    old, new = flattened(_complete(kept)), flattened(json.loads(json.dumps(record)))
    changed = [
        f"{name}: {old.get(name)!r} -> {new.get(name)!r}"
        for name in sorted({*old, *new})
        if old.get(name) != new.get(name)
    ]
    if [line.partition(":")[0] for line in changed] == ["observer"]:
        raise StateError(
            f"{folder} was begun with other detectors, or with a version of this program whose detectors measure differently: its "
            "figures and new ones would not compare. Finish it with those, or start anew with --restart (the old folders are kept under new names)."
        )
    if changed:
        listed = "\n".join(f"  - {line}" for line in changed)
        raise StateError(
            f"{folder} was started with other settings:\n{listed}\n"
            "Use another output_dir and lora_output_dir, or start anew with --restart (the old folders are kept under new names)."
        )


def _complete(kept: Any) -> Any:
    """A run that an older version began: fields that are new since had their default, and what said nothing is left out."""
    try:
        settings = {"dataset_dir": "-", **kept["settings"]}
        training = dict(settings.get("training", {}))
    except (KeyError, TypeError, ValueError):
        return kept
    # fields that say nothing beside the others are refused now: the fewest of them that have to go
    for count in range(len(SAYS_NOTHING_WITHOUT) + 1):
        for names in itertools.combinations(SAYS_NOTHING_WITHOUT, count):
            told = {name: value for name, value in training.items() if name not in names}
            with contextlib.suppress(ValueError):
                valid = Settings.model_validate({**settings, "training": told}).identity_fields()
                return {**kept, "settings": json.loads(json.dumps(valid))}
    return kept
