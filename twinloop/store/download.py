"""Fetching one file whose size and hash are known beforehand: goes on where it stopped, and appears whole or not at
all.

Only for addresses that the user asked for by a command. Redirects leave https only for this machine.
"""

from __future__ import annotations

import http.client
import os
import re
import socket
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from typing import IO, Any

from twinloop import __version__
from twinloop.errors import DownloadError, HostNotReached
from twinloop.store.atomic import fsync_folder, sha256_file, storage_errors
from twinloop.system.files import rename_over

_BLOCK = 1 << 18
_TIMEOUT = 30.0
_TRIES = 4
_LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})
Progress = Callable[[int, int], None]
"""Called with (bytes there, bytes in all)."""


@dataclass(frozen=True)
class Wanted:
    """What is fetched. size: bytes. sha256: hex."""

    url: str
    size: int
    sha256: str


def download(wanted: Wanted, target: Path, progress: Progress, pause: Callable[[float], None] = time.sleep) -> None:
    """Write ``target``. What a broken connection or a kill left in ``.<name>.<hash>.part`` is used by the next call.

    Args:
        pause: waits between tries, in seconds.

    Raises:
        DownloadError: the address is not allowed, breaks off, or gives something else. HostNotReached: there is no
            connection. StorageError: disk full, no permission.
    """
    check_address(wanted.url)
    part = part_of(target, wanted)
    with storage_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        _fetch_all(wanted, part, progress, pause)
        if sha256_file(part) != wanted.sha256:
            part.unlink()
            raise DownloadError(
                f"{wanted.url} gives another file than the one known as {target.name} (its sha256 differs). It was"
                " deleted; nothing was kept."
            )
        with part.open("rb+") as file:  # Windows syncs no file that was opened for reading
            os.fsync(file.fileno())
        rename_over(part, target)
        fsync_folder(target.parent)


def part_of(target: Path, wanted: Wanted) -> Path:
    """Where the beginning of an unfinished download lies."""
    return target.with_name(f".{target.name[:80]}.{wanted.sha256[:12]}.part")


def check_address(url: str) -> None:
    """Raises DownloadError unless the address is https, or this machine."""
    parts = urllib.parse.urlsplit(url)
    local = parts.scheme == "http" and parts.hostname in _LOCAL
    if not (parts.hostname and (parts.scheme == "https" or local)):
        raise DownloadError(f"{url}: only https addresses are fetched.")


def _fetch_all(wanted: Wanted, part: Path, progress: Progress, pause: Callable[[float], None]) -> None:
    """Ask for the missing bytes until they are all there; broken connections are tried again."""
    failure, reached = "", True
    for attempt in range(_TRIES):
        have = part.stat().st_size if part.exists() else 0
        if have > wanted.size:
            part.unlink()
            have = 0
        if have == wanted.size:
            return
        if attempt:
            pause(2.0**attempt)
        try:
            reached = True
            _fetch(wanted, part, have, progress)
            failure = "the connection broke off"
        except urllib.error.HTTPError as error:
            failure = f"the server answers {error.code} {error.reason}"
            if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
                part.unlink(missing_ok=True)
            elif error.code < 500:
                break
        except (urllib.error.URLError, http.client.HTTPException, ssl.SSLError, TimeoutError, ConnectionError) as error:
            failure = str(getattr(error, "reason", error)) or type(error).__name__
            # urllib wraps what fails before there is an answer, and nothing that fails later
            reached = not isinstance(error, urllib.error.URLError)
            cause = getattr(error, "reason", None)
            if isinstance(cause, socket.gaierror) and cause.errno == socket.EAI_NONAME:
                break  # not EAI_AGAIN, of a moment
    if part.exists() and part.stat().st_size == wanted.size:
        return
    have = part.stat().st_size if part.exists() else 0
    kept = f" {have:,} of {wanted.size:,} bytes are kept; the same command goes on there." if have else ""
    kind = DownloadError if reached else HostNotReached
    raise kind(f"{wanted.url}: {failure}.{kept} Or fetch the file elsewhere and run: twinloop models add FILE")


def _fetch(wanted: Wanted, part: Path, have: int, progress: Progress) -> None:
    headers = {"User-Agent": f"twinloop/{__version__}", "Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
    request = urllib.request.Request(wanted.url, headers=headers)
    with _OPENER.open(request, timeout=_TIMEOUT) as answer:
        start = _start(answer, have)
        told = answer.headers.get("Content-Length", "")
        if told.isdigit() and start + int(told) != wanted.size:
            part.unlink(missing_ok=True)
            raise DownloadError(
                f"{wanted.url} gives {start + int(told):,} bytes, the known file has {wanted.size:,}: it is another"
                " one. Nothing was kept."
            )
        with part.open("ab" if start else "wb") as file:
            progress(start, wanted.size)
            for block in iter(lambda: answer.read(_BLOCK), b""):
                start += len(block)
                if start > wanted.size:
                    file.close()
                    part.unlink()
                    raise DownloadError(
                        f"{wanted.url} gives more than the {wanted.size:,} bytes that were expected. Nothing was kept."
                    )
                file.write(block)
                progress(start, wanted.size)


def _start(answer: Any, have: int) -> int:
    """Where the answer begins: a server that cannot continue sends everything again."""
    if answer.status != http.HTTPStatus.PARTIAL_CONTENT:
        return 0
    place = re.match(r"bytes (\d+)-", answer.headers.get("Content-Range", ""))
    if place is None or int(place[1]) != have:
        raise http.client.HTTPException("the server continues at another place than was asked for")
    return have


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects to https and to this machine, and to nowhere else."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Message, newurl: str
    ) -> urllib.request.Request | None:
        try:
            check_address(newurl)
        except DownloadError:
            fp.close()
            raise
        return super().redirect_request(req, fp, code, msg, headers, newurl)  # type: ignore[arg-type]


_OPENER = urllib.request.build_opener(_Redirects)
