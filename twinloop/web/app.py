"""The server: one page, a JSON interface behind it, and a guard in front of both."""

from __future__ import annotations

import mimetypes
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse
from fastapi.staticfiles import StaticFiles

from twinloop.errors import InputError, NothingToDo, TwinLoopError
from twinloop.web.answers import Answer
from twinloop.web.api import begun as begun_api
from twinloop.web.api import dataset as dataset_api
from twinloop.web.api import jobs as jobs_api
from twinloop.web.api import people as people_api
from twinloop.web.api import review as review_api
from twinloop.web.api import runs as runs_api
from twinloop.web.api import vault as vault_api
from twinloop.web.jobs import Jobs
from twinloop.web.security import Guard
from twinloop.web.site import Site

STATIC = Path(__file__).parent / "static"


def create_app(site: Site) -> FastAPI:
    """The application; commands that it started end with it."""
    mimetypes.add_type("text/javascript", ".js")  # on Windows other programs' entries in the registry say otherwise
    jobs = Jobs(site.home)

    @asynccontextmanager
    async def life(_: FastAPI) -> AsyncIterator[None]:
        yield
        jobs.close()

    app = FastAPI(
        title="twinloop", docs_url=None, redoc_url=None, openapi_url=None, lifespan=life, default_response_class=Answer
    )
    app.state.site, app.state.jobs = site, jobs
    for router in (
        runs_api.router,
        begun_api.router,
        review_api.router,
        jobs_api.router,
        vault_api.router,
        people_api.router,
        dataset_api.router,
    ):
        app.include_router(router, prefix="/api")
    app.add_exception_handler(TwinLoopError, _told)
    app.add_exception_handler(RequestValidationError, _not_understood)
    app.mount("/static", StaticFiles(directory=STATIC), name="static")

    @app.get("/", include_in_schema=False)
    def page() -> FileResponse:
        return FileResponse(STATIC / "index.html")

    app.add_middleware(Guard, token=site.token)
    return app


def _told(_: Request, error: Exception) -> Answer:
    """An error that is the user's to correct, as the commands would print it."""
    status = 404 if isinstance(error, NothingToDo) else 400 if isinstance(error, InputError) else 409
    return Answer({"error": str(error)}, status)


def _not_understood(_: Request, error: Exception) -> Answer:
    """A request of another form than asked for, told without repeating what was sent."""
    assert isinstance(error, RequestValidationError)
    problems = [": ".join([*map(str, item["loc"][1:]), item["msg"]]) for item in error.errors()]
    return Answer({"error": "; ".join(problems)}, 422)
