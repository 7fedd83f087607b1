"""The page in a real browser: its policy blocks nothing of its own, and it fits laptop and tablet."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.helpers.own_home import own_home
from tests.unit.report.conftest import workspace_in
from twinloop.report.page import write_report

CHROMIUM = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None
)
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--enable-logging=stderr",
)
DARK = "--blink-settings=preferredColorScheme=0"

pytestmark = pytest.mark.skipif(
    CHROMIUM is None,
    reason="Chromium is not installed, so the report was not opened in a browser (apt-get install chromium)",
)


def browse(page: Path, profile: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    assert CHROMIUM is not None
    return subprocess.run(
        [CHROMIUM, *FLAGS, f"--user-data-dir={profile}", *flags, page.as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
        env=own_home(profile / "home"),
    )


@pytest.fixture(scope="module")
def page(finished: Path) -> Path:
    return write_report(workspace_in(finished))


def measuring(page: Path, script: str, folder: Path) -> Path:
    """The page with one more script, which the page's own policy would not let run."""
    source = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page.read_text())
    probe = folder / "probe.html"
    probe.write_text(source.replace("</body>", f"<script>document.title = JSON.stringify({script})</script></body>"))
    return probe


def test_nothing_is_blocked_and_nothing_fails(page: Path, tmp_path: Path) -> None:
    done = browse(page, tmp_path, "--dump-dom")
    assert "Content Security Policy" not in done.stderr
    assert "CONSOLE" not in done.stderr
    assert "<h1>ana</h1>" in done.stdout


def test_the_browser_leaves_the_home_alone(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "ours"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    browse(page, tmp_path / "profile", "--dump-dom")
    assert not list(home.iterdir())


@pytest.mark.parametrize("width", [1280, 820])
def test_it_fits_the_window_and_shows_every_picture(width: int, page: Path, tmp_path: Path) -> None:
    script = (
        "[document.documentElement.scrollWidth, innerWidth, [...document.images].filter(i => !i.naturalWidth).length,"
        " document.images.length]"
    )
    done = browse(
        measuring(page, script, tmp_path),
        tmp_path / "profile",
        "--dump-dom",
        f"--window-size={width},900",
        "--virtual-time-budget=5000",
    )
    found = re.search(r"<title>\[(\d+),(\d+),(\d+),(\d+)\]</title>", done.stdout)
    assert found is not None
    scroll, inner, broken, pictures = map(int, found.groups())
    assert inner == width
    assert scroll <= width
    assert broken == 0
    assert pictures > 60


def test_nothing_of_where_the_photos_lacked_is_out_of_sight_in_a_narrow_window(page: Path, tmp_path: Path) -> None:
    script = (
        "[innerWidth, document.querySelectorAll('.lacking td').length,"
        " Math.ceil(Math.max(...[...document.querySelectorAll('.lacking td')].map(cell =>"
        " cell.getBoundingClientRect().right)))]"
    )
    done = browse(measuring(page, script, tmp_path), tmp_path / "profile", "--dump-dom", "--window-size=500,900")
    found = re.search(r"<title>\[(\d+),(\d+),(\d+)\]</title>", done.stdout)
    assert found is not None
    inner, cells, right = map(int, found.groups())
    assert inner <= 640 and cells > 4 and right <= inner


def test_light_and_dark_follow_the_system(page: Path, tmp_path: Path) -> None:
    brightness = {}
    for name, flags in {"light": (), "dark": (DARK,)}.items():
        picture = tmp_path / f"{name}.png"
        browse(page, tmp_path / name, *flags, f"--screenshot={picture}", "--window-size=820,1000")
        with Image.open(picture) as image:
            brightness[name] = float(np.asarray(image.convert("L")).mean())
    assert brightness["light"] > 180
    assert brightness["dark"] < 70
