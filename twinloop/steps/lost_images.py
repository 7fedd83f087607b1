"""Made images of a dataset that are gone or were changed."""

from __future__ import annotations

import glob
import os
from pathlib import Path

from twinloop.domain.records import Dataset, Member
from twinloop.steps.run import Run
from twinloop.store.atomic import copy_whole, sha256_file
from twinloop.store.run.workspace import Workspace


def put_back_images(run: Run, dataset: Dataset) -> None:
    """Copy made images of a dataset that are gone back from the folder of the approved ones, where they lie there."""
    for member in dataset.members:
        path = Path(member.path)
        if member.round and not os.path.lexists(path) and (copy := _approved_copy(run.workspace, member)) is not None:
            copy_whole(copy, path)
            run.say(f"    {path.name} was gone: copied back from {run.workspace.show(copy.parent)}")


def lost_image(space: Workspace, member: Member) -> str:
    """What is to be said of a made image that is gone or was changed."""
    told = f"{member.path}, an image that this run made and approved, "
    if (copy := _approved_copy(space, member)) is not None:
        return (
            f"{told}is gone or was changed since. Delete what is there, and run the same command again: it is copied"
            f" back from {space.show(copy.parent)}."
        )
    return (
        f"{told}is gone or was changed since. Put it back from a copy; without one, delete"
        f" {space.show(space.verdicts(member.round))} and what is left of the image, and run the same command again:"
        " it is made and judged once more."
    )


def _approved_copy(space: Workspace, member: Member) -> Path | None:
    """The copy of a made image among the approved ones of its round, whatever it is called there."""
    name = Path(member.path)
    found = sorted(space.approved(member.round).glob(f"{glob.escape(name.stem)}*{glob.escape(name.suffix)}"))
    return next((copy for copy in found if copy.is_file() and sha256_file(copy) == member.sha256), None)
