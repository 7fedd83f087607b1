"""Thousands of thumbnails are scrolled through: only the rows in sight are in the page."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.browser.conftest import Watched, served
from tests.functional import loops

COUNT = 5000
TILES = 100
"""In the page at any time."""
NODES = 200
"""Built by one step of the scroll bar."""


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


SCROLL = """async () => {
  const list = document.querySelector('.grid'), built = [], shown = [];
  const count = (changes) => built.push(changes.reduce((sum, change) => sum + change.addedNodes.length, 0));
  new MutationObserver(count).observe(list, {childList: true, subtree: true});
  for (let top = 0; top < list.scrollHeight + 2400; top += 2400) {
    list.scrollTop = top;
    await new Promise(requestAnimationFrame);
    shown.push(document.querySelectorAll('.tile').length);
  }
  await new Promise((done) => setTimeout(done, 200));
  return {built: built, shown: shown, last: document.querySelector('.tile:last-child').getAttribute('aria-posinset')};
}"""


@pytest.mark.slow
def test_five_thousand_thumbnails_scroll_with_few_of_them_built_at_a_time(
    crowded: Path, visit: Callable[..., Watched]
) -> None:
    """Work is counted, not timed: on a busy machine anything may hold a page up."""
    with served(crowded) as address:
        watched = visit(address, "#/review?run=outputs/ana&iteration=1")
        page = watched.page
        page.get_by_text(f"{COUNT} of {COUNT} images").wait_for()
        page.wait_for_timeout(300)
        found = page.evaluate(SCROLL)
        assert found["last"] == str(COUNT), "scrolled to the end"
        assert len(found["shown"]) > 10 and 0 < max(found["shown"]) < TILES
        assert 0 < max(found["built"]) < NODES
        watched.clean()


def test_pictures_that_are_scrolled_past_are_not_waited_for(crowded: Path, visit: Callable[..., Watched]) -> None:
    with served(crowded) as address:
        watched = visit(address, "#/runs")
        page = watched.page
        asked: list[Any] = []
        page.route("**/api/review/picture?*", lambda route: asked.append(route))  # it never comes
        page.evaluate("location.hash = '#/review?run=outputs/ana&iteration=1'")
        page.locator(".tile").first.wait_for()
        page.wait_for_function("document.querySelectorAll('.tile').length > 20")
        page.wait_for_timeout(300)
        first = [one for one in watched.open_requests if "copy_00000" in one]
        assert first and len(asked) > 20
        page.get_by_role("listbox").press("End")
        page.locator(f".tile[aria-posinset='{COUNT}']").wait_for()
        page.wait_for_timeout(300)
        assert not [one for one in watched.open_requests if "copy_00000" in one]
        page.evaluate("location.hash = '#/runs'")
        page.locator(".runs h1").wait_for()
        page.wait_for_timeout(300)
        assert not [one for one in watched.open_requests if "/api/review/picture" in one]


ENDS = """() => {
  const list = document.querySelector('.grid').getBoundingClientRect();
  const tiles = [...document.querySelectorAll('.tile')].map((tile) => tile.getBoundingClientRect().right);
  return list.right - Math.max(...tiles);
}"""


@pytest.mark.parametrize("width", [390, 1280, 1920])
def test_rows_end_where_the_gallery_does(crowded: Path, visit: Callable[..., Watched], width: int) -> None:
    with served(crowded) as address:
        page = visit(address, "#/review?run=outputs/ana&iteration=1").page
        page.set_viewport_size({"width": width, "height": 800})
        page.locator(".tile").first.wait_for()
        page.wait_for_timeout(100)
        assert 0 < page.evaluate(ENDS) < 40, "the padding, the scroll bar and less than a pixel a tile"
