"""Before a run starts anew: whether it may, and what of the one that is there is put away for it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from itertools import count, takewhile
from pathlib import Path

from twinloop.config import Settings
from twinloop.domain.wording import plural
from twinloop.errors import InputError
from twinloop.stages.history import ROUNDS, count_of
from twinloop.store.atomic import read_object
from twinloop.store.run.owner import another_run
from twinloop.store.run.put_aside import MOUNT_POINT, in_the_way, kept_as
from twinloop.store.run.workspace import Workspace, lies_in, shown_path


@dataclass(frozen=True)
class PutAway:
    """What a restart keeps under other names, and how much work that is.

    Attributes:
        places: as ``outputs/ana becomes outputs/ana.old1``, one for each folder.
        rounds: that are on record. images: that were made for gaps. loras: versions that were trained, where they go.
    """

    places: tuple[str, ...]
    rounds: int
    images: int
    loras: int

    @property
    def work(self) -> str:
        """As ``2 rounds, 12 images and 3 LoRAs``."""
        return f"{plural(self.rounds, 'round')}, {plural(self.images, 'image')} and {plural(self.loras, 'LoRA')}"


def check_restart(settings: Settings, workspace: Workspace, config: Path) -> None:
    """Raises InputError: a restart would move away what the new run starts from, or where this command runs; or cannot
    move a folder, which is a mount point.
    """
    moving = in_the_way(workspace)
    for field, place in (*settings.inputs(), ("--config", config)):
        if place.exists() and any(lies_in(place, folder) for folder in moving):
            raise InputError(
                f"--restart would move {field} ({place}) away with the old run. Name another output_dir, or move it out"
                " first."
            )
    for folder, _, _ in kept_as(workspace):
        if os.path.ismount(folder):
            field = "output_dir" if folder == workspace.root else "lora_output_dir"
            raise InputError(MOUNT_POINT.format(folder=folder, field=field))


def put_away(settings: Settings, workspace: Workspace, config: Path) -> PutAway:
    """What a restart would put away now; nothing is moved.

    Raises:
        InputError: as `check_restart`.
    """
    check_restart(settings, workspace, config)
    return PutAway(
        tuple(_place(old, new, whole) for old, new, whole in kept_as(workspace)),
        count_of(read_object(workspace.history), ROUNDS),
        sum(1 for _ in workspace.root.glob("synthetic_iter*/*.png")),
        0 if another_run(workspace) else sum(1 for _ in takewhile(Path.exists, map(workspace.lora_record, count(1)))),
    )


def _place(old: Path, new: Path, whole: bool) -> str:
    old_name, new_name = shown_path(old), shown_path(new)
    return f"{old_name} becomes {new_name}" if whole else f"the run's LoRAs of {old_name} go to {new_name}"
