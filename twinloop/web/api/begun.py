"""A run that has begun, before it goes on: what is other since, and what beginning anew would put away."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from twinloop import steps
from twinloop.config import load_settings
from twinloop.errors import TwinLoopError
from twinloop.store.run.workspace import workspace_of
from twinloop.web.api.shared import TheSite, known_config

router = APIRouter(prefix="/run")


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
def anew(config: str, site: TheSite) -> dict[str, Any]:
    """What beginning anew would put away, and where it is kept."""
    path = known_config(site, config)
    settings = load_settings(path)
    found = steps.put_away(settings, workspace_of(settings), path)
    return {"places": list(found.places), "work": found.work}
