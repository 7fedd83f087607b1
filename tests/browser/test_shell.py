"""What all parts share: what is shown while a part loads, where it cannot be shown, and what is said at the foot."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.browser.conftest import Watched, left_before_it_came, served
from tests.functional import vaults

LONG = "Wolfeschlegelsteinhausenbergerdorff-Ponsonby Smythe of the Lower Meadows"


def test_a_part_that_takes_its_time_says_so(vault_home: Path, visit: Callable[..., Watched]) -> None:
    with served(vault_home) as address:
        page = visit(address, "#/runs").page
        late = left_before_it_came(page, "people", "**/api/people", "runs")
        page.evaluate("location.hash = '#/people'")
        page.get_by_text("Loading…").wait_for()
        late.fulfill(status=500, json={"error": "late"})
        page.unroute("**/api/people")
        page.evaluate("location.hash = '#/dataset'")
        page.get_by_role("heading", name="Dataset").wait_for()
        assert page.get_by_text("Loading…").count() == 0


def test_a_part_that_cannot_be_shown_has_its_name_and_the_reason(
    vault_home: Path, visit: Callable[..., Watched]
) -> None:
    with served(vault_home) as address:
        page = visit(address, "#/dataset?person=nobody").page
        page.get_by_role("alert").get_by_text("Nobody is called 'nobody'").wait_for()
        assert page.get_by_role("heading", name="Dataset").is_visible()


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        (
            ["Scanning: 1/1", "error: It is broken. Mend it.", "Or: twinloop doctor"],
            ["It is broken", "twinloop doctor"],
        ),
        (["usage: twinloop", "twinloop vault: error: no such flag", ""], ["no such flag"]),
    ],
)
def test_a_command_that_failed_is_told_with_what_went_wrong(
    tmp_path: Path, visit: Callable[..., Watched], lines: list[str], told: list[str]
) -> None:
    job = {"id": 1, "key": "outputs/facevault", "command": ["twinloop", "vault", "scan"], "progress": None}
    ended = {**job, "lines": lines, "exit_code": 2, "state": "failed"}
    with served(tmp_path) as address:
        page = visit(address, "#/people").page
        page.set_viewport_size({"width": 390, "height": 844})
        begun = {**job, "lines": [], "exit_code": None, "state": "running"}
        page.route("**/api/vault/scan", lambda route: route.fulfill(json=begun))
        page.route("**/api/jobs*", lambda route: route.fulfill(json=[ended]))
        page.get_by_label("Folder of photos").fill("photos")
        page.get_by_role("button", name="Scan").click()
        said = page.locator("#said")
        said.get_by_text("Failed: twinloop vault scan").wait_for()
        for text in told:
            assert text in said.inner_text()
        assert "Scanning" not in said.inner_text() and "usage" not in said.inner_text()
        assert said.bounding_box()["width"] > 200, "a small window is used in its whole width"


def beyond(page: Any) -> list[str]:
    """Controls that reach out of the window."""
    found: list[str] = page.evaluate("""() => [...document.querySelectorAll('main button, main select, main input')]
      .filter((one) => one.getBoundingClientRect().right > innerWidth).map((one) => one.outerHTML)""")
    return found


@pytest.mark.parametrize("width", [390, 1280])
def test_long_names_take_no_more_than_their_room(
    vault_home: Path, visit: Callable[..., Watched], monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    monkeypatch.chdir(vault_home)
    vaults.command("name", "p002", LONG)
    with served(vault_home) as address:
        page = visit(address, "#/people?person=p001").page
        page.set_viewport_size({"width": width, "height": 844})
        page.locator(".tile").first.wait_for()
        page.locator("summary", has_text="Add photos").click()
        assert beyond(page) == []
        face = page.locator(".whom img").first.bounding_box()
        choice = page.get_by_label("Same person as").bounding_box()
        assert 0 < face["x"] - choice["x"] - choice["width"] < 20, "no room is kept for what is not shown"
        page.evaluate("location.hash = '#/dataset?person=p002'")
        page.locator(".dataset .tile").first.wait_for()
        assert beyond(page) == []
