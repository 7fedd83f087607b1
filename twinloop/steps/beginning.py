"""The beginning of a run, and what makes a folder the same run when it is started again."""

from __future__ import annotations

from typing import Any

from twinloop.config import Settings
from twinloop.errors import StateError
from twinloop.stages import analyze
from twinloop.stages.rounds import RunResult
from twinloop.stages.toolbox import Toolbox
from twinloop.steps.finished_run import ended
from twinloop.steps.run import Run
from twinloop.steps.same_run import OBSERVER, changes, old_default, with_limits_of_old
from twinloop.store.atomic import read_json, remove_leftovers, write_json
from twinloop.store.versions import versions
from twinloop.store.workspace import Workspace

_OTHERS = "other detectors, or with a version of this program whose detectors measure differently"


def begin(run: Run) -> RunResult | None:
    """Clear away what a killed run was just writing, and note what this folder is for, or make sure that it is for the
    same.

    Returns:
        What the run came to, where it has ended and was measured otherwise than today's detectors would: there is
        nothing to do, and nothing of it may be looked at again. None = go on.

    Raises:
        StateError: other settings; names the fields. Or other detectors, and the run has not ended.
    """
    for folder in (run.workspace.root, run.workspace.lora_dir):
        remove_leftovers(folder)
    record = _record(run.settings, run.toolbox)
    analyze.check_shares(run.toolbox.observer.facets, run.settings.analysis.shares)
    kept = run.artefact("run", run.workspace.run_record, lambda: record)
    if not run.workspace.versions.exists():
        write_json(run.workspace.versions, versions())
    return _check_same(kept, run.settings, run.toolbox, run.workspace)


def check_same_run(settings: Settings, toolbox: Toolbox, workspace: Workspace) -> None:
    """Whether the folder is new or holds a run of these settings. Nothing is written.

    Raises:
        StateError: as `begin`.
    """
    if workspace.run_record.exists():
        _check_same(read_json(workspace.run_record), settings, toolbox, workspace)


def _record(settings: Settings, toolbox: Toolbox) -> dict[str, Any]:
    """What a folder is for."""
    return {"settings": settings.identity_fields(), OBSERVER: toolbox.observer.fingerprint}


def _check_same(kept: Any, settings: Settings, toolbox: Toolbox, workspace: Workspace) -> RunResult | None:
    """As `begin`. ``kept``: what the folder says that it is for."""
    changed = changes(with_limits_of_old(kept, settings, toolbox.observer), _record(settings, toolbox))
    defaults = {name for name in changed if old_default(name, kept, settings)}
    if not changed:
        return None
    if changed.keys() <= {OBSERVER, *defaults} and (over := ended(settings, workspace)) is not None:
        return over
    if changed.keys() == {OBSERVER}:
        raise StateError(
            f"{workspace.root} was begun with {_OTHERS}: its figures and new ones would not compare. Finish it with"
            " those, or start anew with --restart (the old folders are kept under new names)."
        )
    changed |= {OBSERVER: f"{_OTHERS}; its figures and new ones would not compare"} if OBSERVER in changed else {}
    lines = [old_default(name, kept, settings) or f"{name}: {change}" for name, change in changed.items()]
    listed = "\n".join(f"  - {line}" for line in lines)
    began = "when other defaults held" if changed.keys() == defaults else "with other settings"
    raise StateError(
        f"{workspace.root} was started {began}:\n{listed}\n{'Or use' if changed.keys() == defaults else 'Use'} another"
        " output_dir and lora_output_dir, or start anew with --restart (the old folders are kept under new names)."
    )
