"""What every part of the interface needs."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request, Response

from twinloop.web.jobs import Jobs
from twinloop.web.site import Site

FOREVER = "private, max-age=31536000, immutable"
"""Pictures are addressed by content: the browser need not ask again."""


def _site(request: Request) -> Site:
    found: Site = request.app.state.site
    return found


def _jobs(request: Request) -> Jobs:
    found: Jobs = request.app.state.jobs
    return found


TheSite = Annotated[Site, Depends(_site)]
TheJobs = Annotated[Jobs, Depends(_jobs)]


def webp(data: bytes) -> Response:
    return Response(data, media_type="image/webp", headers={"Cache-Control": FOREVER})
