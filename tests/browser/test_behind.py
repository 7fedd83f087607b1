"""What no command has followed yet: faces that nobody has, training sets that are older than what is known."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.browser.conftest import Watched, command_that_ends, served
from tests.functional import vaults
from tests.helpers.fake_photos import fake_photo


def body_of(page: Any, path: str, button: Any) -> Any:
    """What a click on a button sends to ``path``."""
    with page.expect_request(f"**{path}") as sent:
        button.click()
    return sent.value.post_data_json


def test_a_decision_that_outdates_a_training_set_is_told_with_what_settles_it(
    vault_home: Path, visit: Callable[..., Watched]
) -> None:
    with served(vault_home) as address:
        page = visit(address, "#/people?person=p001").page
        page.get_by_role("listbox", name="Faces of mira").press("Space")
        assert page.locator(".behind").inner_text() == ""
        page.get_by_role("button", name="Not this person").click()
        page.get_by_text("The training set mira is older than what is known now: 1 picture would change.").wait_for()
        again = page.get_by_role("button", name="Prepare again: mira")
        assert again.get_attribute("title") == "twinloop vault prep p001"
        command_that_ends(page, "/api/vault/prep", "stopped")
        assert body_of(page, "/api/vault/prep", again) == {"person": "p001", "output": ""}
        page.evaluate("location.hash = '#/dataset?person=p001'")
        page.get_by_role("button", name="Prepare again (1 picture would change)").wait_for()
        page.get_by_role("button", name="Undo").click()
        page.get_by_role("button", name="Prepare again", exact=True).wait_for()


def test_sets_outside_of_the_vault_are_prepared_where_they_are(
    vault_home: Path, visit: Callable[..., Watched], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(vault_home)
    mine = vault_home / "mine"
    vaults.command("prep", "mira", "--size", 320, "--output", mine)
    vaults.command("label", "p001", "--trigger", "ohwx mira", "--class", "girl", "--consent", "fictional")
    with served(vault_home) as address:
        page = visit(address, "#/dataset?person=p001").page
        page.get_by_role("button", name="Prepare again (the label would change)").wait_for()
        page.get_by_text(f"The training set in {mine} is older than what is known now: the label").wait_for()
        command_that_ends(page, "/api/vault/prep", "stopped")
        again = page.get_by_role("button", name=f"Prepare again: {mine}")
        assert body_of(page, "/api/vault/prep", again) == {"person": "p001", "output": str(mine)}
        page.evaluate("location.hash = '#/people'")
        page.get_by_text("2 training sets are older than what is known now").click()
        page.get_by_role("button", name="Prepare again: mira").wait_for()


def test_faces_that_nobody_has_yet_are_told_until_they_are_grouped(
    tmp_path: Path, visit: Callable[..., Watched], monkeypatch: pytest.MonkeyPatch
) -> None:
    home = vaults.make(tmp_path, prepared=False)
    monkeypatch.chdir(home)
    fake_photo(tmp_path / "photos/new.png", seed=77, size=256, person=15)
    vaults.command("scan", "--workers", 0)
    with served(home) as address:
        watched = visit(address, "#/dataset?person=p001")
        page = watched.page
        told = page.get_by_text("1 face was found since people were told apart; it is not used yet.")
        told.wait_for()
        page.evaluate("location.hash = '#/people'")
        page.locator(".people .behind").get_by_text("1 face was found").wait_for()
        page.get_by_role("button", name="Group the faces").click()
        told.wait_for(state="detached", timeout=60_000)
        watched.clean()


def test_while_a_command_works_no_other_can_be_started(vault_home: Path, visit: Callable[..., Watched]) -> None:
    argv = ["twinloop", "vault", "prep", "p001"]
    job = {"id": 9, "key": "outputs/facevault", "command": argv, "progress": None, "lines": [], "exit_code": None}
    with served(vault_home) as address:
        page = visit(address, "#/dataset?person=p001").page
        job["state"] = "running"
        page.route("**/api/vault/prep", lambda route: route.fulfill(json=job))
        page.route("**/api/jobs*", lambda route: route.fulfill(json=[job]))
        page.get_by_role("button", name="Prepare again").click()
        page.locator("strong.state", has_text="running").wait_for()
        for name in ("Prepare again", "Write captions"):
            assert page.get_by_role("button", name=name).is_disabled(), name
