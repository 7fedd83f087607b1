"""``twinloop ui``: the local web page."""

from __future__ import annotations

import argparse
import socket
from pathlib import Path
from typing import Any

from twinloop.cli.command import Command
from twinloop.cli.terminal import Terminal
from twinloop.errors import InputError
from twinloop.store.vault.folder import DEFAULT
from twinloop.system import interruption


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--port", type=int, default=0, metavar="N", help="port on 127.0.0.1 (default: a free one)")
    parser.add_argument(
        "--vault", type=Path, default=DEFAULT, metavar="DIR", help=f"folder of the vault (default: {DEFAULT})"
    )
    parser.add_argument(
        "--run",
        type=Path,
        action="append",
        default=[],
        dest="runs",
        metavar="DIR",
        help="a run's folder beside those under outputs; may be given again",
    )
    parser.add_argument(
        "--config",
        type=Path,
        action="append",
        default=[],
        dest="configs",
        metavar="FILE",
        help="a configuration beside those found here; may be given again",
    )
    parser.add_argument("--open", action="store_true", help="open the page in the browser")


def run(args: argparse.Namespace, terminal: Terminal) -> Any:
    import uvicorn

    from twinloop.web.app import create_app
    from twinloop.web.site import HOST, Site, new_token

    for path in (*args.runs, *args.configs):
        if not path.exists():
            raise InputError(f"Nothing at {path}. Correct the path.")
    listening = _listen(HOST, args.port)
    site = Site(new_token(), Path.cwd(), args.vault, tuple(args.runs), tuple(args.configs))
    address = f"http://{HOST}:{listening.getsockname()[1]}/?token={site.token}"
    terminal.line(f"Open {address}\nOnly this machine can; the address holds the key. Ctrl-C ends it.")
    if args.open:
        import webbrowser

        webbrowser.open(address)
    server = uvicorn.Server(
        uvicorn.Config(create_app(site), log_level="warning", access_log=False, timeout_graceful_shutdown=2)
    )
    with listening:
        try:
            server.run(sockets=[listening])
        except KeyboardInterrupt:  # that is how the page is closed
            interruption.forget()
    return {"address": address}


def _listen(host: str, port: int) -> socket.socket:
    try:
        return socket.create_server((host, port))
    except (OSError, OverflowError) as error:
        raise InputError(
            f"Cannot listen on port {port}: {getattr(error, 'strerror', None) or error}. Leave --port out to take a"
            " free one."
        ) from error


COMMAND = Command("ui", "Open the local web page: people, dataset, review, runs.", configure, run)
