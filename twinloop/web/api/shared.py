"""What every part of the interface needs."""

from __future__ import annotations

import contextlib
import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

from fastapi import Depends, Request, Response
from pydantic import BaseModel, model_validator

from twinloop.errors import InputError, Locked
from twinloop.stages.vault.opened import OpenVault
from twinloop.stages.vault.opening import open_vault
from twinloop.store.lock import holder
from twinloop.web.jobs import Jobs
from twinloop.web.site import Site

FOREVER = "private, max-age=31536000, immutable"
"""Of images that are addressed by their content: the browser need not ask again."""


def _site(request: Request) -> Site:
    found: Site = request.app.state.site
    return found


def _jobs(request: Request) -> Jobs:
    found: Jobs = request.app.state.jobs
    return found


TheSite = Annotated[Site, Depends(_site)]
TheJobs = Annotated[Jobs, Depends(_jobs)]


def known_config(site: Site, name: str) -> Path:
    """The file of a configuration that this server shows.

    Raises:
        InputError: there is none of that name.
    """
    configs = site.configs()
    if name not in configs:
        raise InputError(f"No configuration {name}. Known: {', '.join(configs) or 'none'}.")
    return configs[name]


class Sent(BaseModel):
    """What the page sends. Every text in it can be written down: JSON knows halves of characters, files do not."""

    @model_validator(mode="before")
    @classmethod
    def _is_text(cls, data: Any) -> Any:
        try:
            json.dumps(data, ensure_ascii=False).encode()
        except UnicodeEncodeError as error:
            raise ValueError("it holds half of a character") from error
        return data


def held_elsewhere(site: Site, jobs: Jobs, key: str) -> Locked | None:
    """Who works in a run or the vault and is no command of this server; None = nobody.

    Raises:
        InputError: there is no such run.
    """
    vault, job = key == site.show(site.vault.root), jobs.of(key)
    folder = site.vault.root if vault else site.run(key).root
    held = None if job is not None and job.works else holder(folder)
    # this server itself holds the vault while it writes a decision down
    return None if vault and held is not None and held.pid == str(os.getpid()) else held


def made(data: bytes, by_content: bool) -> Response:
    """An image that a run made; one whose address does not name its content is asked for again, since a later run may
    write another one there.
    """
    return Response(data, media_type="image/webp", headers={"Cache-Control": FOREVER} if by_content else None)


def private(data: bytes) -> Response:
    """A photo, or a part of one. The browser keeps no copy: what the vault has forgotten must not stay in its files."""
    return Response(data, media_type="image/webp", headers={"Cache-Control": "no-store"})


_changing = threading.Lock()
"""Requests come at the same time; the vault takes one writer."""


@contextmanager
def changing(site: Site) -> Iterator[OpenVault]:
    """The vault, to write decisions down in. Raises Locked while a command works in it."""
    with _changing, contextlib.ExitStack() as held:
        try:
            opened = held.enter_context(open_vault(site.vault.root))
        except Locked as error:
            held_by = f"{site.vault.root} is in use by {error.holder}"
            raise Locked(f"{held_by}. Nothing was changed; wait until that has ended, or stop it.") from error
        yield opened
