"""Pick: the version that a person wants as the final LoRA, whatever was measured. The other versions stay."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twinloop.domain.json_fields import entry, whole
from twinloop.errors import InputError
from twinloop.stages.untouched import check_untouched
from twinloop.store.atomic import copy_whole, read_as, write_json
from twinloop.store.clock import utc_now
from twinloop.store.models.lora_file import kohya_path
from twinloop.store.models.step_saves import is_step_save
from twinloop.store.run.in_use import in_use
from twinloop.store.run.workspace import Workspace

RECORD = "final.json"
UNPICK = "Pick a version again on the page, or delete that file: then the best measured version is the final one."


def pick(space: Workspace, version: int) -> dict[str, Any]:
    """Copy a version over lora.safetensors (and its kohya copy), and write down that a person chose it.

    Raises:
        InputError: no such version. StateError: its file was damaged or exchanged. Locked: the run is going on.
    """
    chosen = space.lora(version)
    if not chosen.is_file():
        known = ", ".join(
            sorted(
                path.stem.removeprefix("lora_")
                for path in space.lora_dir.glob("lora_v*.safetensors")
                if "kohya" not in path.stem and not is_step_save(path)
            )
        )
        raise InputError(f"There is no version {version} in {space.lora_dir}. Known: {known or 'none'}.")
    with in_use(space):
        make_final(space, version)
        record = {"version": version, "picked_by": "person", "when": utc_now()}
        write_json(record_of(space), record)
    return record


def record_of(space: Workspace) -> Path:
    """Where it is written down that a person picked the final version."""
    return space.lora_dir / RECORD


def make_final(space: Workspace, version: int) -> None:
    """lora.safetensors becomes a copy of a version, and so does its kohya copy; of a version that has none, none is
    left of another.

    Raises:
        StateError: it is not the file that was trained.
    """
    check_untouched(space, version)
    chosen, final = space.lora(version), space.final_lora
    copy_whole(chosen, final)
    if kohya_path(chosen).is_file():
        copy_whole(kohya_path(chosen), kohya_path(final))
    else:
        kohya_path(final).unlink(missing_ok=True)


def picked(space: Workspace) -> dict[str, Any] | None:
    """What a person chose, or None: then the best measured version is the final one.

    Raises:
        StateError: the record of it is damaged.
    """
    path = record_of(space)
    return read_as(path, _chosen, UNPICK) if path.is_file() else None


def _chosen(data: Any) -> dict[str, Any]:
    entry(data, "version", whole)
    return dict(data)
