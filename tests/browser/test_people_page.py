"""People on the page: merge, split, "not this person", undo, and a first scan."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.browser.conftest import Watched, command_that_ends, picture, served
from tests.functional import vaults
from twinloop.stages.vault.people.record import read_people
from twinloop.store.vault.folder import Vault


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
        page.evaluate("location.hash = '#/dataset?person=p002'")
        assert page.locator(".choice", has_text="Person").locator("option:checked").inner_text() == "bo (hidden)"
        page.go_back()
        page.get_by_label("Name", exact=True).fill("mira")
        page.keyboard.press("Enter")
        page.get_by_text("is called mira already").wait_for()
        assert watched.hosts <= {"127.0.0.1"}


def test_a_name_from_photo_programs_is_used_by_a_button(vault_home: Path, visit: Callable[..., Watched]) -> None:
    vaults.call_in_photos(vault_home, "p002", "Bo <b>Maier")
    with served(vault_home) as address:
        watched = visit(address, "#/people?person=p002")
        page = watched.page
        page.get_by_text("In your photos: \u201cBo <b>Maier\u201d").wait_for()
        people = page.get_by_role("navigation", name="People")
        people.get_by_text("called \u201cBo <b>Maier\u201d in your photos").wait_for()
        page.get_by_role("button", name="Use this name").click()
        page.get_by_text("cannot be the name of a folder").wait_for()
    vaults.call_in_photos(vault_home, "p002", "Bo Maier")
    with served(vault_home) as address:
        watched = visit(address, "#/people?person=p002")
        page = watched.page
        page.get_by_role("button", name="Use this name").click()
        page.get_by_role("listbox", name="Faces of Bo Maier").wait_for()
        assert page.get_by_role("button", name="Use this name").count() == 0
        watched.clean()
    assert [person.name for person in read_people(Vault(vault_home / "outputs/facevault")).persons][1] == "Bo Maier"


def test_who_they_are_stays_chosen_while_more_are_marked(vault_home: Path, visit: Callable[..., Watched]) -> None:
    before = counts(vault_home)
    with served(vault_home) as address:
        watched = visit(address, "#/people?person=p001")
        page = watched.page
        page.locator(".tile").nth(0).click()
        page.get_by_label("They are").select_option("p003")
        page.locator(".tile").nth(1).click()
        page.get_by_text("2 marked").wait_for()
        page.get_by_role("button", name="Move").click()
        page.get_by_text("2 faces moved.").wait_for()
        assert counts(vault_home) == {**before, "p001": before["p001"] - 2, "p003": before["p003"] + 2}
        watched.clean()


def test_marks_are_set_and_taken_back_in_both_directions(vault_home: Path, visit: Callable[..., Watched]) -> None:
    with served(vault_home) as address:
        watched = visit(address, "#/people?person=p001")
        page = watched.page
        tiles = page.locator(".tile")
        tiles.nth(6).click()
        tiles.nth(4).click(modifiers=["Shift"])
        marked = [number for number in range(8) if tiles.nth(number).get_attribute("aria-selected") == "true"]
        assert marked == [4, 5, 6]
        for key, count in (
            ("Space", 2),
            ("Space", 3),
            ("Control+a", counts(vault_home)["p001"]),
            ("Escape", 0),
        ):
            page.keyboard.press(key)
            page.get_by_text(f"{count} marked", exact=True).wait_for()
        page.keyboard.press("Enter")
        frame = page.get_by_role("dialog").locator(".frame")
        frame.wait_for()
        found = page.evaluate("fetch('/api/people/person?person=p001').then((answer) => answer.json())")
        x0, y0, x1, y1 = found["faces"][4]["box"]
        for name, share in (("left", x0), ("top", y0), ("width", x1 - x0), ("height", y1 - y0)):
            assert float(frame.evaluate(f"one => parseFloat(one.style.{name})")) == pytest.approx(100 * share, abs=0.01)
        watched.clean()


def test_the_chosen_person_is_merged_into_and_who_is_hidden_is_shown_again(
    vault_home: Path, visit: Callable[..., Watched]
) -> None:
    before = counts(vault_home)
    with served(vault_home) as address:
        watched = visit(address, "#/people?person=p003")
        page = watched.page
        page.get_by_role("button", name="Hide", exact=True).click()
        page.get_by_role("button", name="Show", exact=True).click()
        page.get_by_text("p003 is shown again.").wait_for()
        page.get_by_role("button", name="Hide", exact=True).wait_for()
        page.get_by_label("Same person as").select_option("p002")
        page.get_by_role("button", name="Merge").click()
        page.get_by_role("listbox", name="Faces of p002").wait_for()
        merged = {person: count for person, count in before.items() if person != "p003"}
        assert counts(vault_home) == {**merged, "p002": before["p002"] + before["p003"]}
        watched.clean()


def posts(page: Any) -> list[str]:
    """What the page decides from now on."""
    sent: list[str] = []
    page.on("request", lambda made: sent.append(made.url.rsplit("/", 1)[-1]) if made.method == "POST" else None)
    return sent


def test_a_double_click_decides_once_and_undo_leads_back(vault_home: Path, visit: Callable[..., Watched]) -> None:
    """The second click may fall on the same button of another person, or on one that says the opposite."""
    before = counts(vault_home)
    with served(vault_home) as address:
        watched = visit(address, "#/people?person=p003")
        page = watched.page
        sent = posts(page)
        page.get_by_label("Same person as").select_option("p002")
        page.get_by_role("button", name="Merge").dblclick()
        page.get_by_role("listbox", name="Faces of p002").wait_for()
        page.get_by_role("button", name="Merge", exact=True).dispatch_event("click", {"detail": 2})  # of a slower hand
        page.get_by_text("p003 is the same person as p002 now.").wait_for()
        assert page.evaluate("location.hash") == "#/people?person=p002"
        page.get_by_role("button", name="Undo").click()
        page.get_by_text("Taken back:").wait_for()
        assert sent == ["merge", "undo"] and counts(vault_home) == before
        page.get_by_role("navigation", name="People").get_by_role("link", name=re.compile("p003")).click()
        page.get_by_role("listbox", name="Faces of p003").wait_for()
        page.get_by_role("button", name="Hide", exact=True).dblclick()
        page.get_by_role("button", name="Show", exact=True).dispatch_event("click", {"detail": 2})
        page.get_by_text("p003 is hidden.").wait_for()
        page.get_by_label("Name", exact=True).fill(" ")
        page.get_by_role("button", name="Save the name").click()
        page.get_by_text("Type a name.").wait_for()
        assert sent == ["merge", "undo", "hide"]
        watched.clean()


def test_choosing_one_of_thousands_keeps_the_place_in_the_list(vault_home: Path, visit: Callable[..., Watched]) -> None:
    nobody = {"hidden": False, "cover": None, "faces": 1, "called_in_photos": None}
    people = [{**nobody, "id": f"p{number:04d}", "name": f"one of {number:04d}"} for number in range(3000)]
    asked: list[str] = []

    def of_all(route: Any) -> None:
        asked.append(route.request.url)
        route.fulfill(json={"people": people, "strangers": {**nobody, "id": "strangers", "name": None, "faces": 0}})

    def of_one(route: Any) -> None:
        one = people[int(route.request.url[-4:])]
        route.fulfill(json={**one, "faces": [], "may_mix": False, "named_in_photos": []})

    with served(vault_home) as address:
        watched = visit(address, "#/runs")
        page = watched.page
        page.route("**/api/people", of_all)
        page.route("**/api/people/person?*", of_one)
        page.get_by_role("link", name="People").press("Enter")
        page.get_by_role("heading", name="People").wait_for()
        page.wait_for_function("document.activeElement.tagName === 'H1'")
        people_list = page.get_by_role("navigation", name="People")
        people_list.get_by_role("searchbox").fill("of 29")
        link = people_list.get_by_role("link", name="one of 2950")
        link.scroll_into_view_if_needed()
        page.wait_for_timeout(100)
        top = people_list.evaluate("list => list.scrollTop")
        link.press("Enter")
        page.locator(".person form span", has_text="p2950").wait_for()
        assert page.evaluate("document.activeElement.textContent").startswith("one of 2950")
        assert people_list.locator("[aria-current]").all_inner_texts() == [link.inner_text()]
        assert people_list.get_by_role("searchbox").input_value() == "of 29"
        assert people_list.get_by_role("link").count() == 100 and len(asked) == 1
        assert top > 1000 and people_list.evaluate("list => list.scrollTop") == top
        page.go_back()
        page.locator(".person form span", has_text="p0000").wait_for()
        watched.clean()


def test_skipping_to_the_content_stays_in_the_part(vault_home: Path, visit: Callable[..., Watched]) -> None:
    with served(vault_home) as address:
        watched = visit(address, "#/people?person=p002")
        page = watched.page
        page.get_by_role("listbox", name="Faces of p002").wait_for()
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
        page.keyboard.press("Enter")
        assert page.evaluate("[location.hash, document.activeElement.id]") == ["#/people?person=p002", "main"]
        page.wait_for_timeout(100)
        assert page.get_by_role("heading", name="People").is_visible()
        watched.clean()


def test_photos_that_are_gone_are_told_in_the_words_of_the_server(
    vault_home: Path, visit: Callable[..., Watched]
) -> None:
    """Once above the gallery, and in place of the picture that is looked at."""
    gone = "IMG_1.jpg is gone. Scan again: twinloop vault scan"
    with served(vault_home) as address:
        page = visit(address, "#/runs").page
        for path in ("people/face", "vault/photo"):
            page.route(f"**/api/{path}?*", lambda route: route.fulfill(status=400, json={"error": gone}))
        page.evaluate("location.hash = '#/people?person=p001'")
        page.locator(".gallery > .problem", has_text=gone).wait_for()
        assert page.get_by_text(gone).count() == 1
        page.get_by_role("listbox").press("Enter")
        page.get_by_role("dialog").get_by_text(gone).wait_for()
        assert not page.locator(".frame").is_visible()
        page.evaluate("location.hash = '#/dataset?person=p001'")
        page.locator(".detail").get_by_text(gone).wait_for()
        page.locator(".gallery > .problem", has_text=gone).wait_for()


def names(home: Path) -> list[str | None]:
    return [person.name for person in read_people(Vault(home / "outputs/facevault")).persons]


def test_undo_takes_back_what_it_says_and_once(vault_home: Path, visit: Callable[..., Watched]) -> None:
    with served(vault_home) as address:
        watched = visit(address, "#/people?person=p002")
        page = watched.page
        for name in ("anna", "berta"):
            page.get_by_label("Name", exact=True).fill(name)
            page.get_by_role("button", name="Save the name").click()
            page.get_by_role("listbox", name=f"Faces of {name}").wait_for()
        page.get_by_role("button", name="Undo: p002 is called berta").dblclick()
        page.get_by_role("button", name="Undo: p002 is called anna").wait_for()
        page.get_by_text("Taken back: p002 is called berta").wait_for()
        # the second click of a slower hand falls on the button that has come since
        page.get_by_role("button", name="Undo: p002 is called anna").dispatch_event("click", {"detail": 2})
        page.wait_for_load_state("networkidle")
        assert names(vault_home)[1] == "anna"
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(vault_home)
            vaults.command("name", "p003", "zoe")
        page.get_by_role("button", name="Undo: p002 is called anna").click()
        page.get_by_text("Nothing was taken back: the last decision is another one now (p003 is called zoe)").wait_for()
        page.get_by_role("button", name="Undo: p003 is called zoe").wait_for()
        assert names(vault_home)[1:] == ["anna", "zoe"]


def test_hundreds_of_faces_are_marked_at_once(vault_home: Path, visit: Callable[..., Watched]) -> None:
    faces = [
        {"sha256": f"{number:064x}", "box": [0.1, 0.1, 0.2, 0.2], "name": "a.jpg", "quality": 0.5}
        for number in range(400)
    ]
    nobody = {"name": None, "hidden": False, "cover": None}
    people = [{**nobody, "id": f"p{number:03d}", "faces": 400} for number in range(800)]
    with served(vault_home) as address:
        page = visit(address, "#/runs").page
        page.route(
            "**/api/people",
            lambda route: route.fulfill(
                json={"people": people, "strangers": {**nobody, "id": "strangers", "faces": 0}}
            ),
        )
        page.route("**/api/people/person?*", lambda route: route.fulfill(json={**people[0], "faces": faces}))
        page.route("**/api/people/face?*", lambda route: route.abort())
        page.evaluate("location.hash = '#/people'")
        page.locator(".tile").first.click()
        page.keyboard.press("End")
        page.locator(".tile").last.wait_for()
        page.evaluate("document.querySelector('.grid').scrollTop = 0")
        page.locator(".tile[data-index='0']").wait_for()
        drawn = page.evaluate("""() => new Promise((done) => {
              let changes = 0;
              const tools = document.querySelector('.person .bar.tools'), first = '.tile[data-index="0"]';
              const count = (all) => { changes += all.length; };
              new MutationObserver(count).observe(tools, {childList: true, subtree: true});
              document.querySelector(first).dispatchEvent(new MouseEvent('click', {bubbles: true, shiftKey: true}));
              setTimeout(() => done(changes));
            })""")
        page.get_by_text("400 marked").wait_for()
        assert drawn < 10, "told once, not for each face"


def test_a_scan_that_was_stopped_can_be_started_again(tmp_path: Path, visit: Callable[..., Watched]) -> None:
    with served(tmp_path) as address:
        page = visit(address, "#/people").page
        command_that_ends(page, "/api/vault/scan", "stopped")
        scan = page.get_by_role("button", name="Scan")
        page.get_by_label("Folder of photos").fill("photos")
        scan.click()
        page.locator("strong.state", has_text="running").wait_for()
        assert scan.is_disabled()
        page.locator("strong.state", has_text="stopped").wait_for()
        page.wait_for_load_state("networkidle")
        assert scan.is_enabled() and page.get_by_label("Folder of photos").input_value() == "photos"


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


def test_who_is_meant_is_shown_by_a_face(vault_home: Path, visit: Callable[..., Watched]) -> None:
    with served(vault_home) as address:
        page = visit(address, "#/people?person=p001").page
        choice = page.get_by_label("Same person as")
        choice.wait_for()
        covers = page.evaluate("fetch('/api/people').then((answer) => answer.json())")["people"]
        face = page.locator(".whom", has=choice).locator("img")
        for person in [one for one in covers if one["id"] != "p001"]:
            choice.select_option(person["id"])
            assert f"sha256={person['cover']['sha256']}" in face.get_attribute("src")


def test_without_any_face_another_folder_can_be_scanned(tmp_path: Path, visit: Callable[..., Watched]) -> None:
    Image.new("RGB", (256, 256), "green").save(tmp_path / "wall.png")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        vaults.command("scan", tmp_path / "wall.png", "--models-dir", "fake", "--workers", 0)
    with served(tmp_path) as address:
        watched = visit(address, "#/people")
        page = watched.page
        page.get_by_text("1 photo with 0 faces was scanned. Without a face nobody can be told apart").wait_for()
        assert page.get_by_role("button", name="Group the faces").count() == 0
        assert (
            page.get_by_label("Folder of photos").is_visible() and page.get_by_role("button", name="Scan").is_enabled()
        )
        watched.clean()


def test_the_end_of_a_long_name_of_a_file_stays_in_sight(vault_home: Path, visit: Callable[..., Watched]) -> None:
    with served(vault_home) as address:
        page = visit(address, "#/people?person=p001").page
        tile = page.locator(".tile", has_text="Screenshot_").first
        name = tile.inner_text().replace("\n", "")
        words = tile.locator("span span")
        assert name.endswith(words.last.inner_text()) and words.last.inner_text().endswith(".png")
        cut = "(one) => one.scrollWidth > one.clientWidth"
        assert words.first.evaluate(cut) and not words.last.evaluate(cut)
        end, whole = words.last.bounding_box(), tile.bounding_box()
        assert end["x"] + end["width"] <= whole["x"] + whole["width"]
