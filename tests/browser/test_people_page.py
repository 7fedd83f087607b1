"""People on the page: merge, split, "not this person", undo, and a first scan."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from tests.browser.conftest import Watched, picture, served
from tests.functional import vaults
from twinloop.stages.vault.people import read_people
from twinloop.store.vault import Vault


def counts(home: Path) -> dict[str, int]:
    people = read_people(Vault(home / "outputs/facevault"))
    return {**{person.id: len(person.faces) for person in people.persons}, "strangers": len(people.strangers)}


def test_a_cluster_is_split_by_keyboard_and_merged_again(vault_home: Path, visit: Callable[..., Watched]) -> None:
    before = counts(vault_home)
    with served(vault_home) as address:
        watched = visit(address, "#/people?person=p001")
        page = watched.page
        faces = page.get_by_role("listbox", name="Faces of mira")
        faces.wait_for()
        assert page.get_by_role("button", name="Make a new person of these").is_disabled()
        page.wait_for_load_state("networkidle")
        picture(page, "people")
        faces.focus()
        for key in ("Space", "ArrowRight", "Space", "ArrowDown", "Space"):
            page.keyboard.press(key)
        page.get_by_text("3 marked").wait_for()
        page.get_by_role("button", name="Make a new person of these").click()
        page.get_by_text("3 faces are a new person now.").wait_for()
        new = next(person for person in counts(vault_home) if person not in before)
        assert counts(vault_home) == {**before, "p001": before["p001"] - 3, new: 3}
        assert page.evaluate("document.activeElement.getAttribute('role')") == "listbox", (
            "the keyboard goes on where it was"
        )
        page.get_by_role("navigation", name="People").get_by_role("link", name=re.compile(new)).click()
        page.get_by_role("listbox", name=f"Faces of {new}").wait_for()
        assert page.get_by_role("listbox").get_by_role("option").count() == 3
        page.get_by_label("Same person as").select_option("p001")
        page.get_by_role("button", name="Merge").click()
        page.get_by_role("listbox", name="Faces of mira").wait_for()
        assert counts(vault_home) == before
        watched.clean()


def test_not_this_person_and_undo(vault_home: Path, visit: Callable[..., Watched]) -> None:
    before = counts(vault_home)
    with served(vault_home) as address:
        watched = visit(address, "#/people")
        page = watched.page
        page.get_by_role("option").nth(4).click()
        page.get_by_role("option").nth(6).click(modifiers=["Shift"])
        page.get_by_text("3 marked").wait_for()
        page.get_by_role("button", name="Not this person").click()
        undo = page.get_by_role("button", name="Undo: 3 faces not mira")
        undo.wait_for()
        assert counts(vault_home) == {**before, "p001": before["p001"] - 3, "strangers": before["strangers"] + 3}
        undo.press("Enter")
        page.get_by_text("Taken back: 3 faces not mira").wait_for()
        assert page.evaluate("document.activeElement !== document.body"), "the keyboard goes on where it was"
        assert counts(vault_home) == before
        page.get_by_text("History").click()
        page.get_by_text("3 faces not mira (taken back)").wait_for()
        watched.clean()


def test_naming_hiding_and_the_whole_photo(vault_home: Path, visit: Callable[..., Watched]) -> None:
    with served(vault_home) as address:
        watched = visit(address, "#/people?person=p002")
        page = watched.page
        page.get_by_label("Name", exact=True).fill("bo")
        page.keyboard.press("Enter")
        page.get_by_role("listbox", name="Faces of bo").wait_for()
        page.get_by_role("listbox").focus()
        page.keyboard.press("Enter")
        page.get_by_role("dialog").get_by_role("img").wait_for()
        page.keyboard.press("Escape")
        page.get_by_role("button", name="Hide").click()
        page.get_by_text("Hidden: 1").wait_for()
        hidden = {
            person.name for person in read_people(Vault(vault_home / "outputs/facevault")).persons if person.hidden
        }
        assert hidden == {"bo"}
        page.get_by_label("Name", exact=True).fill("mira")
        page.keyboard.press("Enter")
        page.get_by_text("is called mira already").wait_for()
        assert watched.hosts <= {"127.0.0.1"}


def test_a_first_scan_from_the_page(tmp_path: Path, visit: Callable[..., Watched]) -> None:
    vaults.write_photos(tmp_path / "photos")
    home = tmp_path / "home"
    home.mkdir()
    with served(home) as address:
        watched = visit(address, "#/people")
        page = watched.page
        page.get_by_text("twinloop vault scan FOLDER").wait_for()
        page.get_by_label("Folder of photos").fill(str(tmp_path / "photos"))
        page.get_by_label("Folder of detector models").fill("fake")
        page.get_by_role("button", name="Scan").click()
        page.get_by_role("listbox", name="Faces of p001").wait_for(timeout=60_000)
        assert counts(home) == {"p001": 11, "p002": 6, "p003": 4, "strangers": 1}
        watched.clean()
