"""That nothing of another kind lies where a run writes, told before it works: not after hours, in its third round."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from twinloop.errors import InputError
from twinloop.stages import pick
from twinloop.store.models.lora_file import kohya_path, metrics_path
from twinloop.store.run.owner import OWNER
from twinloop.store.run.workspace import Workspace


def check_places(workspace: Workspace) -> None:
    """Raises InputError where a folder lies in the place of a file of a run, or a file in that of a folder."""
    there = [path for folder in (workspace.root, workspace.lora_dir) if folder.is_dir() for path in folder.iterdir()]
    numbers = sorted({int(digits) for path in there for digits in re.findall(r"\d{1,9}", path.name)})
    for path in _files(workspace, numbers):
        if path.is_dir():
            raise InputError(f"{path} is a folder, and a file belongs there. Move it away, or name another folder.")
    for path in _folders(workspace, numbers):
        if path.is_file():
            raise InputError(f"{path} is a file, and a folder belongs there. Move it away, or name another folder.")


def _files(space: Workspace, numbers: list[int]) -> Iterator[Path]:
    """``numbers``: of rounds and of versions."""
    yield from (space.run_record, space.started_with, space.versions, space.journal, space.catalog, space.history)
    yield from (space.identity, space.panel, space.checkpoint_panel, space.sources, space.report)
    yield from (space.lora_dir / OWNER, space.lora_dir / pick.RECORD, space.final_lora, kohya_path(space.final_lora))
    for number in numbers:
        yield from (space.gaps(number), space.shots(number), space.verdicts(number), space.review(number))
        yield from (space.dataset(number), space.panel_score(number), space.checkpoint_choice(number))
        lora = space.lora(number)
        yield from (lora, space.lora_record(number), kohya_path(lora), metrics_path(lora))


def _folders(space: Workspace, numbers: list[int]) -> Iterator[Path]:
    for number in numbers:
        yield from (space.synthetic(number), space.approved(number), space.rejected(number), space.unsure(number))
        yield from (space.panel_images(number), space.training_work(number))
