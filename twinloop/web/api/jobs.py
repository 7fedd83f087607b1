"""Commands: start, watch, pause, go on."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from fastapi import APIRouter

from twinloop.config import load_settings
from twinloop.errors import Locked, StateError
from twinloop.store.lock import holder
from twinloop.store.progress import progress_in
from twinloop.store.run.put_aside import restart_was_stopped
from twinloop.store.run.workspace import workspace_of
from twinloop.web.api.begun import Named, named_now
from twinloop.web.api.shared import Sent, TheJobs, TheSite, held_elsewhere, known_config

router = APIRouter(prefix="/jobs")


class Start(Sent):
    """``restart``: anew; what is there is kept under another name. ``named``: what the person was told of that
    (`begun.anew`); None = nobody was asked.
    """

    config: str
    restart: bool = False
    named: Named | None = None


class Key(Sent):
    key: str


@router.get("")
def jobs(jobs: TheJobs, key: str | None = None) -> list[dict[str, Any]]:
    """The latest command on each thing, in the order of their start; ``key``: on that alone."""
    return [job.to_json() for job in jobs.all() if key in (None, job.key)]


@router.get("/elsewhere")
def elsewhere(key: str, site: TheSite, jobs: TheJobs) -> dict[str, Any]:
    """The command of somebody else, in a terminal say, that works on a run or the vault: its process and how far it is;
    None = there is none, or it does not say.
    """
    held = held_elsewhere(site, jobs, key)
    progress = None if held is None else progress_in(site.home / key, held.pid)
    return {
        "process": None if held is None else held.pid,
        "progress": None if progress is None else asdict(progress),
    }


@router.post("/run")
def start_run(body: Start, site: TheSite, jobs: TheJobs) -> dict[str, Any]:
    """Start the loop of a configuration, let it go on, or begin anew; what a restart that was stopped has left of the
    old run makes way in any case.

    Raises:
        StateError: what would be put away is another run than the person was told of. Locked: something works there.
    """
    path = known_config(site, body.config)
    settings = load_settings(path)
    folder = site.show(site.home / settings.output_dir)
    held = holder(site.home / settings.output_dir)
    working = jobs.of(folder)
    if held is not None and (working is None or not working.works):
        raise Locked(
            f"{folder} is in use by {held.holder}. Nothing was started; wait until that has ended, or stop it."
        )
    if body.restart and body.named not in (None, named_now(settings, path)):
        raise StateError(
            f"{folder} is not what it was when you were asked: it has gone on or begun anew since. Nothing was put"
            " away; look at it and choose again."
        )
    anew = ["--restart"] if body.restart or restart_was_stopped(workspace_of(settings)) else []
    config = f"./{body.config}" if body.config.startswith("-") else body.config
    return jobs.start(folder, ["run", *anew, "--config", config]).to_json()


@router.post("/pause")
def pause(body: Key, jobs: TheJobs) -> dict[str, Any]:
    """Stop a command as Ctrl-C does; what is finished is kept."""
    return jobs.pause(body.key).to_json()
