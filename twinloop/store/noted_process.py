"""A process that works for this one, noted in the folder that it works in: where this one is killed, the next one finds
it.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twinloop.store.atomic import read_object, write_json
from twinloop.system.processes import Found, started

TRAINER = "trainer.pid"
"""The note of another program that trains, in the work folder of that training."""


@dataclass(frozen=True)
class Noted:
    """A noted process that still runs. ``owner``: who started it, where that lives and is another process than this
    one; else nobody waits for it any more.
    """

    process: Found
    owner: Found | None


def note_process(note: Path, pid: int) -> None:
    """Note a process that this one has just started."""
    write_json(note, {**_mark(pid), "owner": _mark(os.getpid())})


def noted_process(note: Path) -> Noted | None:
    """The process of a note; None = there is no note, or it has ended."""
    data = read_object(note)
    process, owner = _found(data), _found(data.get("owner"))
    if process is None:
        return None
    return Noted(process, None if owner is None or owner.pid == os.getpid() else owner)


def _mark(pid: int) -> dict[str, Any]:
    return {"pid": pid, "started": started(pid)}


def _found(mark: Any) -> Found | None:
    pid, began = (mark.get("pid"), mark.get("started")) if isinstance(mark, dict) else (None, None)
    if not (isinstance(pid, int) and isinstance(began, int | float)):
        return None
    found = Found(pid, began)
    return found if found.poll() is None else None
