"""The beginning of a run, and what makes a folder the same run when it is started again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from twinloop.config import Settings
from twinloop.domain.flattened import flattened
from twinloop.domain.json_fields import entry, table
from twinloop.domain.wording import agree
from twinloop.errors import StateError
from twinloop.stages import analyze
from twinloop.stages.rounds import RunResult
from twinloop.stages.toolbox import Toolbox
from twinloop.steps.finished_run import ended
from twinloop.steps.places import check_places
from twinloop.steps.run import Run
from twinloop.store.atomic import read_as, remove_leftovers, write_json
from twinloop.store.models.lora_file import kohya_path
from twinloop.store.models.part_hashes import hashes_of_parts
from twinloop.store.run.owner import check_own, is_marked_own
from twinloop.store.run.put_aside import halves, restart_was_stopped
from twinloop.store.run.workspace import Workspace, shown_path
from twinloop.store.versions import versions

_OBSERVER = "observer"
_PUT_BACK = (
    "Put it back from a copy; or, if the configuration is still the one that the run began with, delete it: it is"
    " written anew."
)
_OTHERS = "other detectors, or with a version of this program whose detectors measure differently"


def begin(run: Run) -> RunResult | None:
    """Clear away what a killed run was just writing, and note what this folder is for, or make sure that it is for the
    same.

    Returns:
        What the run came to, where it has ended and was measured otherwise than today's detectors would: there is
        nothing to do, and nothing of it may be looked at again. None = go on.

    Raises:
        StateError: other settings; names the fields. Or other detectors, and the run has not ended. Or the folder of
            LoRAs is another run's.
    """
    for folder in (run.workspace.root, run.workspace.lora_dir):
        remove_leftovers(folder)
    record = _record(run.settings, run.toolbox)
    analyze.check_shares(run.toolbox.observer.facets, run.settings.analysis.shares, run.settings.validation.faces)
    check_own(run.workspace)
    if not run.workspace.run_record.exists():
        _check_nothing_in_the_way(run.settings, run.workspace)
    # compared field by field, so that what is other is named
    run.artefact("run", run.workspace.run_record, lambda: record, editable=True)
    kept = _kept(run.workspace)
    if not run.workspace.versions.exists():
        write_json(run.workspace.versions, versions())
    over = _check_same(kept, run.settings, run.toolbox, run.workspace)
    if run.config is not None:  # last: a start that is refused names no other one
        write_json(run.workspace.started_with, {"config": shown_path(run.config)})
    return over


def check_same_run(settings: Settings, toolbox: Toolbox, workspace: Workspace) -> None:
    """Whether the folder is new or holds a run of these settings. Nothing is written.

    Raises:
        StateError: as `begin`. InputError: as `check_places`.
    """
    check_places(workspace)
    check_own(workspace)
    if workspace.run_record.exists():
        _check_same(_kept(workspace), settings, toolbox, workspace)
    else:
        _check_nothing_in_the_way(settings, workspace)


def same_settings(settings: Settings, kept: Mapping[str, Any]) -> bool:
    """Whether a run that was begun with the settings ``kept``, as run.json has them, goes on with these."""
    return not other_settings(settings, kept)


def other_settings(settings: Settings, kept: Mapping[str, Any]) -> tuple[str, ...]:
    """Names of the settings that decide results and are other than those of a run that was begun with ``kept``."""
    return tuple(_changes(kept, settings.identity_fields()))


def _check_nothing_in_the_way(settings: Settings, space: Workspace) -> None:
    """Whether a new run would write over LoRAs that no run made, the one that it starts with included, or over what a
    run that is gone has left of its own.

    Raises:
        StateError: it would; names them.
    """
    if restart_was_stopped(space):
        raise StateError(
            f"A --restart was stopped before it had put aside all LoRAs of the run that was in {space.root}:"
            f" {space.lora_dir} still holds them. Run again with --restart: it keeps them under a new name."
        )
    given = settings.training.initial_lora
    given_file = Path(given).resolve() if given else None
    own = is_marked_own(space)
    # the given LoRA may be version 1 already: it is taken where it lies
    made = (space.final_lora,) if given_file == space.lora(1).resolve() else (space.final_lora, space.lora(1))
    found = [path for lora in made for path in (lora, kohya_path(lora)) if path.exists()]
    if space.lora_record(1).exists():
        found = []
    left = [path for path in halves(space) if own and path.resolve() != given_file]
    if not (found or left):
        return
    names = " and ".join(path.name for path in dict.fromkeys([*found, *left]))
    if own:
        raise StateError(
            f"{space.lora_dir} holds {names} of an earlier run in {space.root}, which is not there any more (a"
            " --restart that was stopped half-way leaves it so). Run again with --restart: it keeps them under a new"
            " name."
        )
    correct = ", and correct training.initial_lora" if given_file in [path.resolve() for path in found] else ""
    raise StateError(
        f"{space.lora_dir} holds {names}, which no run made and this one would write over. Give"
        f" {agree(len(found), 'the file another name', 'the files other names')} or name another"
        f" lora_output_dir{correct}."
    )


def _record(settings: Settings, toolbox: Toolbox) -> dict[str, Any]:
    """What a folder is for."""
    parts = hashes_of_parts(settings.base_parts.given)
    return {
        "settings": settings.identity_fields(),
        _OBSERVER: toolbox.observer.fingerprint,
        **({"base_parts": parts} if parts else {}),
    }


def _kept(workspace: Workspace) -> Mapping[str, Any]:
    """What a folder says that it is for.

    Raises:
        StateError: its record is damaged.
    """

    def record(data: Any) -> Mapping[str, Any]:
        entry(data, "settings", table)
        return table(data)

    return read_as(workspace.run_record, record, _PUT_BACK)


def _check_same(
    kept: Mapping[str, Any], settings: Settings, toolbox: Toolbox, workspace: Workspace
) -> RunResult | None:
    """As `begin`. ``kept``: as `_kept`."""
    changed = _changes(kept, _record(settings, toolbox))
    if not changed:
        return None
    if changed.keys() == {_OBSERVER}:
        if (over := ended(settings, workspace)) is not None:
            return over
        raise StateError(
            f"{workspace.root} was begun with {_OTHERS}: its figures and new ones would not compare. Finish it with"
            " those, or start anew with --restart (the old folders are kept under new names)."
        )
    if _OBSERVER in changed:
        changed[_OBSERVER] = f"{_OTHERS}; its figures and new ones would not compare"
    listed = "\n".join(f"  - {name}: {change}" for name, change in changed.items())
    raise StateError(
        f"{workspace.root} was started with other settings:\n{listed}\nUse another output_dir and lora_output_dir, or"
        " start anew with --restart (the old folders are kept under new names)."
    )


def _changes(kept: Any, record: Mapping[str, Any]) -> dict[str, str]:
    """Every field in which two records differ -> the old and the new value as a configuration has them, in order of
    name.
    """
    # as it is read back: tuples are lists there
    old, new = flattened(kept), flattened(json.loads(json.dumps(record)))
    return {
        name: " -> ".join(json.dumps(values.get(name), ensure_ascii=False) for values in (old, new))
        for name in sorted({*old, *new})
        if old.get(name) != new.get(name)
    }
