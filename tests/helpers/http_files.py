"""A web server for tests, on this machine, with the habits of good and bad servers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler

from tests.helpers.local_server import QuietHandler, listening


@dataclass
class Site:
    """What the server gives.

    Attributes:
        files: path -> bytes. ranges: whether it can continue. cut: how many bytes of each answer arrive before the
            connection breaks, per request, None = all. silent: does not say how long it is. shift: how far from the
            wanted place it continues. redirects: path -> address. failures: status codes of the first requests. asked:
            (path, Range header).
    """

    files: dict[str, bytes] = field(default_factory=dict)
    ranges: bool = True
    silent: bool = False
    shift: int = 0
    cut: list[int | None] = field(default_factory=list)
    redirects: dict[str, str] = field(default_factory=dict)
    failures: list[int] = field(default_factory=list)
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    url: str = ""


@contextmanager
def serving(site: Site) -> Iterator[Site]:
    """Serve ``site`` on a free port of this machine; its ``url`` says where."""

    class Handler(QuietHandler):
        def do_GET(self) -> None:
            _answer(self, site)

    with listening(Handler) as address:
        site.url = address
        yield site


def _answer(request: BaseHTTPRequestHandler, site: Site) -> None:
    wanted = request.headers.get("Range")
    site.asked.append((request.path, wanted))
    if site.failures:
        request.send_error(site.failures.pop(0))
        return
    if request.path in site.redirects:
        request.send_response(302)
        request.send_header("Location", site.redirects[request.path])
        request.send_header("Content-Length", "0")
        request.end_headers()
        return
    if request.path not in site.files:
        request.send_error(404)
        return
    data, start = site.files[request.path], 0
    if wanted and site.ranges and (match := re.fullmatch(r"bytes=(\d+)-", wanted)):
        start = int(match[1])
        if start >= len(data):
            request.send_error(416)
            return
        request.send_response(206)
        request.send_header("Content-Range", f"bytes {start + site.shift}-{len(data) - 1}/{len(data)}")
    else:
        request.send_response(200)
    body = data[start:]
    if not site.silent:
        request.send_header("Content-Length", str(len(body)))
    request.end_headers()
    cut = site.cut.pop(0) if site.cut else None
    request.wfile.write(body[:cut])
    if cut is not None:
        request.close_connection = True
