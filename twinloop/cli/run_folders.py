"""Whose run lies in a folder: one folder takes one person's run."""

from __future__ import annotations

from pathlib import Path

USUAL = "outputs/bootstrap"


def runs_person(folder: Path) -> str:
    """The person that the run in a folder is about; "" where there is none, or its record cannot be read."""
    from twinloop.errors import InputError, StateError
    from twinloop.store.atomic import read_json
    from twinloop.store.run.workspace import Workspace

    try:
        record = read_json(Workspace(folder, folder).run_record)
    except (InputError, StateError):
        return ""
    settings = record.get("settings") if isinstance(record, dict) else None
    return str(settings.get("person_name", "")) if isinstance(settings, dict) else ""


def output_dir_for(name: str) -> str:
    """The usual folder for a person's run; one by the name where another person's run lies in that one."""
    return USUAL if runs_person(Path(USUAL)) in ("", name) else f"{USUAL}_{name.replace(' ', '_')}"
