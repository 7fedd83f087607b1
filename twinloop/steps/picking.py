"""A person's choice of the final LoRA, and the page that tells of it."""

from __future__ import annotations

from typing import Any

from twinloop.report.page import write_report
from twinloop.stages.pick import pick
from twinloop.store.run.workspace import Workspace


def pick_final(space: Workspace, version: int) -> dict[str, Any]:
    """Make a version the final one; report.html, where the run has one, is written anew.

    Raises:
        InputError: no such version. Locked: the run is going on. StateError: an artefact is damaged, so the page stays
            as it was; the version is picked all the same.
    """
    record = pick(space, version)
    if space.report.exists():
        write_report(space)
    return record
