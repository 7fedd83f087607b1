"""Whose the LoRAs of a folder are: runs of two output folders may name the same ``lora_output_dir``."""

from __future__ import annotations

from pathlib import Path

from twinloop.errors import StateError
from twinloop.store.atomic import read_object, write_json
from twinloop.store.run.workspace import Workspace, same_place, shown_path
from twinloop.system import shell

OWNER = ".run.json"
"""What says in a folder of LoRAs which run they are of, and that they are being put aside."""


def is_marked_own(workspace: Workspace) -> bool:
    """Whether the folder of LoRAs says that they are of a run in this output folder."""
    mark = workspace.lora_dir / OWNER
    return mark.is_file() and read_object(mark).get("output_dir") == shown_path(workspace.root)


def another_run(workspace: Workspace) -> Path | None:
    """The output folder of another run that is there and has its LoRAs in this one's folder of LoRAs."""
    mark = workspace.lora_dir / OWNER
    in_one = same_place(workspace.root, workspace.lora_dir)
    told = None if in_one or not mark.is_file() else read_object(mark).get("output_dir")
    if not isinstance(told, str) or not Workspace(Path(told), workspace.lora_dir).run_record.is_file():
        return None  # nobody's, or of a run that was deleted or moved
    return None if same_place(Path(told), workspace.root) else Path(told)


def check_own(workspace: Workspace) -> None:
    """Raises StateError: the folder of LoRAs is another run's."""
    other = another_run(workspace)
    if other is not None:
        raise StateError(
            f"{workspace.lora_dir} holds the LoRAs of the run in {other}, which this run would take for its own or"
            " write over. Name another lora_output_dir."
        )


def check_reads_own(workspace: Workspace, otherwise: str) -> None:
    """As `check_own`, for who only looks at the LoRAs of a configuration's run.

    Args:
        otherwise: what can be done instead of correcting the configuration; ``{other}`` in it is the other run's
            folder.

    Raises:
        StateError: the folder of LoRAs is another run's.
    """
    other = another_run(workspace)
    if other is not None:
        raise StateError(
            f"{workspace.lora_dir} holds the LoRAs of the run in {other}, and the run of this configuration is in"
            f" {workspace.root}. Give the configuration of the run that you mean, correct output_dir or lora_output_dir"
            f" in this one, or {otherwise.format(other=shell.quote(str(other)))}."
        )


def make_own(workspace: Workspace) -> None:
    """Note in the folder of LoRAs whose they are.

    Raises:
        StorageError: it cannot be written.
    """
    told, mark = {"output_dir": shown_path(workspace.root)}, workspace.lora_dir / OWNER
    if not workspace.in_one_folder and not (mark.is_file() and read_object(mark) == told):
        write_json(mark, told)
