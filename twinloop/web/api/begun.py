"""A run that has begun, before it goes on: what is other since, and what beginning anew would put away."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fastapi import APIRouter

from twinloop import steps
from twinloop.config import Settings, load_settings
from twinloop.errors import TwinLoopError
from twinloop.store.run.workspace import workspace_of
from twinloop.web.api.shared import Sent, TheSite, known_config

router = APIRouter(prefix="/run")


class Named(Sent):
    """The run that makes way for a new one: ``places`` as ``outputs/ana becomes outputs/ana.old1``, ``work`` as
    ``2 rounds, 12 images and 3 LoRAs``.
    """

    places: list[str]
    work: str


@router.get("/since")
def since(config: str, site: TheSite) -> dict[str, Any]:
    """What is other than when the run of a configuration began, as the menu says it; reads all photos of the run.

    ``changes``: None = nothing, or it cannot be told, which the command itself says. ``refused``: it does not go on
    like this.
    """
    path = known_config(site, config)
    try:
        settings = load_settings(path)
        found = steps.since_begun(settings, workspace_of(settings))
    except (TwinLoopError, OSError):
        found = None
    return {"changes": found.text if found else None, "refused": bool(found and found.refused)}


@router.get("/anew")
def anew(config: str, site: TheSite) -> Named:
    """What beginning anew would put away, and where it is kept."""
    path = known_config(site, config)
    return named_now(load_settings(path), path)


def named_now(settings: Settings, config: Path) -> Named:
    """What is said before a run begins anew.

    Raises:
        InputError: as `steps.put_away`.
    """
    found = steps.put_away(settings, workspace_of(settings), config)
    return Named(places=list(found.places), work=found.work)
