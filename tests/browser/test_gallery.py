"""Thousands of thumbnails stay smooth: only the rows in sight are in the page."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.browser.conftest import Watched, served
from tests.functional import loops

COUNT = 5000
LONGEST_MS = 100


@pytest.fixture(scope="module")
def crowded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose first round has five thousand images: its own ones, listed again and again under further names."""
    home = tmp_path_factory.mktemp("crowded")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        loops.write_photos(home / "photos")
        loops.run(loops.settings(output_dir="outputs/ana", lora_output_dir="outputs/loras", max_iterations=1))
    path = home / "outputs/ana/verdicts_iter1.json"
    data: dict[str, Any] = json.loads(path.read_text())
    own = data["verdicts"]
    folder = home / "outputs/ana/synthetic_iter1"
    data["verdicts"] = [{**own[n % len(own)], "image": f"copy_{n:05d}.png"} for n in range(COUNT)]
    for n in range(COUNT):
        (folder / f"copy_{n:05d}.png").hardlink_to(folder / own[n % len(own)]["image"])
    path.write_text(json.dumps(data))
    return home


WATCH = """() => { window.tasks = []; new PerformanceObserver((list) => window.tasks.push(...list.getEntries().map((e) => e.duration))).observe({type: 'longtask'}); }"""
SCROLL = """async () => {
  const list = document.querySelector('.grid');
  for (let top = 0; top < list.scrollHeight; top += 2400) { list.scrollTop = top; await new Promise(requestAnimationFrame); }
  await new Promise((done) => setTimeout(done, 200));
  return {tasks: window.tasks, tiles: document.querySelectorAll('.tile').length, last: document.querySelector('.tile:last-child').getAttribute('aria-posinset')};
}"""


def test_five_thousand_thumbnails_scroll_without_long_tasks(crowded: Path, visit: Callable[..., Watched]) -> None:
    with served(crowded) as address:
        watched = visit(address, "#/review?run=outputs/ana&iteration=1")
        page = watched.page
        page.get_by_text(f"{COUNT} of {COUNT} images").wait_for()
        page.wait_for_timeout(300)
        page.evaluate(WATCH)
        for _ in range(3):  # on a busy machine something else may hold the page up once
            page.evaluate("window.tasks.length = 0")
            found = page.evaluate(SCROLL)
            if max(found["tasks"], default=0) <= LONGEST_MS:
                break
        assert found["last"] == str(COUNT), "scrolled to the end"
        assert found["tiles"] < 100
        assert max(found["tasks"], default=0) <= LONGEST_MS, found["tasks"]
        watched.clean()
