"""Commands: start, watch, pause, go on."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from twinloop.config import load_settings
from twinloop.errors import InputError, Locked
from twinloop.store.lock import holder
from twinloop.web.api.shared import Sent, TheJobs, TheSite

router = APIRouter(prefix="/jobs")


class Start(Sent):
    config: str


class Key(Sent):
    key: str


@router.get("")
def jobs(jobs: TheJobs, key: str | None = None) -> list[dict[str, Any]]:
    """The latest command on each thing, in the order of their start; ``key``: on that alone."""
    return [job.to_json() for job in jobs.all() if key in (None, job.key)]


@router.post("/run")
def start_run(body: Start, site: TheSite, jobs: TheJobs) -> dict[str, Any]:
    """Start the loop of a configuration, or let it go on."""
    configs = site.configs()
    if body.config not in configs:
        raise InputError(f"No configuration {body.config}. Known: {', '.join(configs) or 'none'}.")
    settings = load_settings(configs[body.config])
    folder = site.show(site.home / settings.output_dir)
    held = holder(site.home / settings.output_dir)
    working = jobs.of(folder)
    if held is not None and (working is None or working.state not in ("running", "stopping")):
        raise Locked(
            f"{folder} is in use by {held.holder}. Nothing was started; wait until that has ended, or stop it."
        )
    return jobs.start(
        folder,
        ["run", "--config", f"./{body.config}" if body.config.startswith("-") else body.config],
    ).to_json()


@router.post("/pause")
def pause(body: Key, jobs: TheJobs) -> dict[str, Any]:
    """Stop a command as Ctrl-C does; what is finished is kept."""
    return jobs.pause(body.key).to_json()
