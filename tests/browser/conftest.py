"""A real browser on a real server. Without Chromium these tests are skipped, and say so.

With ``TWINLOOP_SCREENSHOTS=DIR`` they write the pictures of the README there.
"""

from __future__ import annotations

import os
import shutil
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from filelock import FileLock

from tests.functional import vaults
from tests.helpers.own_home import own_home
from twinloop.nano.world.photos import write_photo_set
from twinloop.web.app import create_app
from twinloop.web.site import Site, new_token

CHROMIUM = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None
)
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]


FAILED = pytest.StashKey[bool]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    report: Any = yield
    if report.when == "call":
        item.stash[FAILED] = report.failed
    return report


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "tests/browser" in item.nodeid and CHROMIUM is None:
            item.add_marker(
                pytest.mark.skip(
                    reason=(
                        "Chromium is not installed, so the page was not opened in a browser (apt-get install chromium)"
                    )
                )
            )


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=FLAGS, env=own_home(tmp_path_factory.mktemp("browser_home"))
        )
        yield browser
        browser.close()


_PORTS: set[int] = set()
"""Of all servers so far. A window that was used before may still know what came from them."""
_ENDING: list[threading.Thread] = []
"""Servers that were told to end. They look only every tenth of a second whether they were."""


def _listening() -> socket.socket:
    """A socket on a port that no server had before."""
    while True:
        listening = socket.create_server(("127.0.0.1", 0))
        port = listening.getsockname()[1]
        if port not in _PORTS:
            _PORTS.add(port)
            return listening
        listening.close()


def _wait_for_ending() -> None:
    while _ENDING:
        _ENDING.pop().join(15)


@contextmanager
def served(home: Path, **folders: Any) -> Iterator[str]:
    """A server for ``home`` on a free port; gives the address with the key. It ends by itself afterwards, at the latest
    when the next one starts.
    """
    _wait_for_ending()
    listening = _listening()
    site = Site(new_token(), home, **folders)
    server = uvicorn.Server(uvicorn.Config(create_app(site), log_level="error", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.02)
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/?token={site.token}"
    finally:
        server.should_exit = True  # it closes the socket, too
        _ENDING.append(thread)


class Watched:
    """A page that notes every request and every complaint.

    Attributes:
        page: Playwright's. hosts: of all requests. complaints: errors of scripts and of the console.
        open_requests: those that were not answered yet.
    """

    def __init__(self, page: Any) -> None:
        self.page = page
        self.hosts: set[str] = set()
        self.complaints: list[str] = []
        self.open_requests: list[str] = []
        self._listeners: list[tuple[str, Callable[[Any], None]]] = [
            ("request", self._began),
            ("requestfinished", self._ended),
            ("requestfailed", self._ended),
            ("console", self._told),
            ("pageerror", lambda error: self.complaints.append(str(error))),
        ]
        for event, listener in self._listeners:
            page.on(event, listener)

    def _began(self, request: Any) -> None:
        self.hosts.add(request.url.split("/")[2].split(":")[0] if "//" in request.url else "")
        self.open_requests.append(f"{request.method} {request.url}")

    def _told(self, message: Any) -> None:
        if message.type == "error":
            self.complaints.append(message.text)

    def _ended(self, request: Any) -> None:
        known = f"{request.method} {request.url}"
        if known in self.open_requests:
            self.open_requests.remove(known)

    def seen(self) -> str:
        """What the page shows and waits for, to be printed where a test fails."""
        text = self.page.inner_text("body")
        return f"{self.page.url}\nopen requests: {self.open_requests}\ncomplaints: {self.complaints}\n{text}"

    def forget(self) -> None:
        """Note nothing more."""
        for event, listener in self._listeners:
            self.page.remove_listener(event, listener)

    def clean(self) -> None:
        """Nothing left this machine, nothing went wrong."""
        assert self.hosts <= {"127.0.0.1", ""}, self.hosts
        assert self.complaints == []


SIZE = {"width": 1366, "height": 820}


@pytest.fixture(scope="session")
def windows(chromium: Any) -> Iterator[list[Any]]:
    """Empty pages that tests have left, each in a context of its own: to open one takes longer than most tests."""
    yield []
    _wait_for_ending()


def _window(chromium: Any, windows: list[Any]) -> Any:
    if windows:
        return windows.pop()
    context = chromium.new_context(viewport=SIZE)
    # Requests go through Playwright from the first one on: switched on later, it may miss some under way.
    context.route("**/no-such-address", lambda route: route.abort())
    return context.new_page()


def _emptied(page: Any) -> Any:
    """The page as a new one: what it showed, knew and was told is gone, and nothing points at it."""
    page.mouse.move(0, 0)
    page.goto("about:blank")
    page.context.clear_cookies()
    page.set_viewport_size(SIZE)
    return page


@pytest.fixture
def visit(chromium: Any, windows: list[Any], request: pytest.FixtureRequest) -> Iterator[Callable[..., Watched]]:
    """``visit(address, "#/review")`` -> a `Watched` page on that part."""
    pages: list[Watched] = []

    def open_page(address: str, part: str = "", color_scheme: str = "light") -> Watched:
        page = _window(chromium, windows)
        page.emulate_media(color_scheme=color_scheme)
        pages.append(Watched(page))
        page.goto(address + part)
        return pages[-1]

    yield open_page
    failed = request.node.stash.get(FAILED, False)
    for watched in pages:
        if failed:
            sys.stdout.write(watched.seen())
        for page in watched.page.context.pages:
            page.unroute_all(behavior="ignoreErrors")  # a question under way would end in the next test
        watched.forget()
        if failed or watched.page.context.pages != [watched.page]:
            watched.page.context.close()
        else:
            windows.append(_emptied(watched.page))


def settled(watched: Watched) -> None:
    """Wait until all that the page has asked for is there, and is drawn."""
    deadline = time.monotonic() + 30
    while True:
        watched.page.evaluate("new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn)))")
        if not watched.open_requests:
            return
        assert time.monotonic() < deadline, watched.open_requests


def command_that_ends(page: Any, path: str, state: str) -> None:
    """The command that the page starts with ``path`` runs until it is asked about, and has ended then; nothing is
    really started.
    """
    argv = ["twinloop", "vault", path.rsplit("/", 1)[-1]]
    job = {
        "id": 99,
        "key": "outputs/facevault",
        "command": argv,
        "progress": None,
        "lines": ["said"],
        "exit_code": None,
    }
    page.route(f"**{path}", lambda route: route.fulfill(json={**job, "state": "running"}))
    page.route("**/api/jobs*", lambda route: route.fulfill(json=[{**job, "state": state}]))


def left_before_it_came(page: Any, part: str, asks: str, other: str) -> Any:
    """Go to ``part``, whose first request (a pattern of addresses) is held back, and on to ``other`` meanwhile; the
    request, to be let go.
    """
    late: list[Any] = []
    page.route(asks, lambda route: late.append(route))
    page.evaluate(f"location.hash = '#/{part}'")
    deadline = time.monotonic() + 30
    while not late:
        assert time.monotonic() < deadline, f"{part} asked for nothing like {asks}"
        page.wait_for_timeout(20)
    page.evaluate(f"location.hash = '#/{other}'")
    page.locator(f".part.{other.split('?')[0]} h1").wait_for()
    return late[0]


def picture(page: Any, name: str) -> None:
    """A screenshot for the README, when somebody asked for it."""
    folder = os.environ.get("TWINLOOP_SCREENSHOTS")
    if folder:
        page.screenshot(path=str(Path(folder) / f"{name}.png"))


@pytest.fixture(scope="session")
def rendered_vault(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working directory with a vault of rendered photos of three people; the one with most is
    ``mira``, and prepared. One for all processes of tests, which only copy it.
    """
    base = tmp_path_factory.getbasetemp()
    root = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "rendered"
    with FileLock(f"{root}.lock"):
        if not (root / "made").exists():
            shutil.rmtree(root, ignore_errors=True)
            _make_vault(root)
            (root / "made").touch()
    return root / "home"


def _make_vault(root: Path) -> None:
    for name, seed, count in (("holiday", 7, 24), ("phone", 11, 12), ("old", 23, 12)):
        write_photo_set(root / "photos" / name, seed=seed, count=count, size=320)
    home = root / "home"
    home.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        vaults.command("scan", root / "photos", "--models-dir", "nano", "--workers", 0)
        vaults.command("cluster")
        vaults.command("dedup")
        vaults.command(
            "label", "p001", "--trigger", "ohwx mira", "--class", "woman", "--name", "mira", "--consent", "fictional"
        )
        vaults.command("prep", "mira", "--size", 320)


@pytest.fixture
def vault_home(rendered_vault: Path, tmp_path: Path) -> Path:
    """A copy of `rendered_vault` to work in; the photos are shared."""
    return vaults.copied(rendered_vault, tmp_path / "album")
