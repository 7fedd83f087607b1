"""The dataset on the page: captions in bulk, targets by dragging, duplicates, and nothing that does not fit."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.browser.conftest import Watched, command_that_ends, picture, served, settled
from tests.functional import vaults
from twinloop.cli.app import main
from twinloop.stages.vault.dataset.own_captions import edits_of
from twinloop.store.lock import locked
from twinloop.store.vault.decisions import DecisionLog

FOLDER = "outputs/facevault/organized/mira"


@pytest.fixture(scope="module")
def counted(rendered_vault: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The vault with a configuration, and the shares of mira's pictures counted."""
    home = vaults.copied(rendered_vault, tmp_path_factory.mktemp("counted") / "album")
    data = {
        "_comment": "mine",
        "person_name": "mira",
        "person_trigger": "ohwx mira",
        "models_dir": "nano",
        "dataset_dir": FOLDER,
    }
    (home / "bootstrap_config.json").write_text(json.dumps(data))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        assert main(["analyze", FOLDER, "--models-dir", "nano", "--output", "outputs/facevault/gaps/p001.json"]) == 0
    return home


def edits(home: Path) -> dict[str, str]:
    return edits_of(DecisionLog(home / "outputs/facevault/decisions.jsonl", reading=True), "p001")


def test_captions_are_edited_in_bulk_after_a_preview_and_undone_at_once(
    vault_home: Path, visit: Callable[..., Watched]
) -> None:
    with served(vault_home) as address:
        watched = visit(address, "#/dataset?person=p001&view=captions")
        page = watched.page
        rows = page.locator("table.captions tbody tr")
        rows.first.wait_for()
        count = rows.count()
        page.get_by_label("Mark all captions").check()
        page.get_by_label("Mark the caption of", exact=False).first.uncheck()
        page.get_by_text(f"{count - 1} of {count} marked").wait_for()
        page.get_by_label("words", exact=True).fill("at the seaside")
        page.get_by_role("button", name="Preview").click()
        dialog = page.get_by_role("dialog", name="What would come out")
        dialog.wait_for()
        assert dialog.locator("ins", has_text="at the seaside").count() == count - 1 and edits(vault_home) == {}
        dialog.get_by_role("button", name=f"Apply to {count - 1} captions").click()
        undo = page.get_by_role("button", name=f"Undo: {count - 1} captions of mira edited")
        undo.wait_for()
        assert len(edits(vault_home)) == count - 1 and all(
            text.endswith(", at the seaside") for text in edits(vault_home).values()
        )
        assert page.get_by_role("button", name=f"Prepare again ({count - 1} captions are newer)").is_enabled()
        undo.click()
        page.get_by_text(f"Taken back: {count - 1} captions").wait_for()
        assert edits(vault_home) == {}
        watched.clean()


def test_one_caption_is_edited_where_it_stands(vault_home: Path, visit: Callable[..., Watched]) -> None:
    with served(vault_home) as address:
        watched = visit(address, "#/dataset?person=p001&view=captions")
        page = watched.page
        page.get_by_role("button", name="Edit the caption of").nth(2).click()
        area = page.get_by_role("textbox", name="Caption of")
        area.fill("ohwx mira woman, by the window")
        area.press("Enter")
        page.get_by_text("ohwx mira woman, by the window").wait_for()
        assert list(edits(vault_home).values()) == ["ohwx mira woman, by the window"]
        assert page.evaluate("document.activeElement.getAttribute('aria-label')").startswith("Edit the caption of")
        watched.clean()


def test_what_was_typed_stays_until_it_is_saved(vault_home: Path, visit: Callable[..., Watched]) -> None:
    """Refused, while another caption is saved, and when a command ends."""
    with served(vault_home) as address:
        page = visit(address, "#/dataset?person=p001&view=captions").page
        rows = page.locator("table.captions tbody tr")
        rows.first.wait_for()
        page.get_by_label("Show captions with these words").fill("ohwx")
        rows.nth(3).get_by_role("checkbox").check()
        first, second = (rows.nth(place).get_by_role("textbox") for place in (0, 1))
        for place, area in enumerate((first, second)):
            rows.nth(place).get_by_role("button", name="Edit").click()
            area.fill(f"ohwx mira, typed {place}")
        with locked(vault_home / "outputs/facevault"):
            second.press("Enter")
            page.get_by_text("Nothing was changed").wait_for()
            assert second.input_value() == "ohwx mira, typed 1" and edits(vault_home) == {}
        second.evaluate(
            "area => area.dispatchEvent(new KeyboardEvent('keydown', {key: 'Enter', isComposing: true, bubbles: true,"
            " cancelable: true}))"
        )
        second.evaluate(
            "area => area.dispatchEvent(new KeyboardEvent('keydown', {key: 'Escape', isComposing: true, bubbles:"
            " true}))"
        )
        assert second.input_value() == "ohwx mira, typed 1" and edits(vault_home) == {}, "an input method was at work"
        second.press("Enter")
        page.get_by_text("is yours now").wait_for()
        assert list(edits(vault_home).values()) == ["ohwx mira, typed 1"]
        command_that_ends(page, "/api/vault/prep", "done")
        page.get_by_role("button", name="Prepare again").click()
        page.locator("strong.state", has_text="running").wait_for()
        with page.expect_response("**/api/dataset?*"):
            pass
        page.wait_for_load_state("networkidle")
        assert first.input_value() == "ohwx mira, typed 0" and second.count() == 0
        assert page.get_by_label("Show captions with these words").input_value() == "ohwx"
        assert (
            page.get_by_text(f"1 of {rows.count()} marked").is_visible()
            and rows.nth(3).get_by_role("checkbox").is_checked()
        )


def test_a_caption_that_was_changed_elsewhere_is_shown_beside_what_was_typed(
    vault_home: Path, visit: Callable[..., Watched]
) -> None:
    with served(vault_home) as address:
        page = visit(address, "#/dataset?person=p001&view=captions").page
        row = page.locator("table.captions tbody tr").first
        row.get_by_role("button", name="Edit").click()
        area = row.get_by_role("textbox")
        edit = {"before": area.input_value(), "after": "from elsewhere"}
        status = page.evaluate(
            "async edits => (await fetch('/api/dataset/captions', {method: 'POST', headers: {'content-type':"
            " 'application/json'}, body: JSON.stringify({person: 'p001', edits})})).status",
            {row.get_attribute("data-photo"): edit},
        )
        assert status == 200
        area.fill("ohwx mira, mine")
        area.press("Enter")
        row.get_by_text(re.compile("It reads now: .*from elsewhere")).wait_for()
        assert area.input_value() == "ohwx mira, mine"
        area.press("Enter")
        page.get_by_text("is yours now").wait_for()
        assert list(edits(vault_home).values()) == ["ohwx mira, mine"]


def test_a_target_that_was_moved_stays_when_a_command_ends(counted: Path, visit: Callable[..., Watched]) -> None:
    with served(counted) as address:
        watched = visit(address, "#/dataset?person=p001&view=readiness")
        page = watched.page
        slider = page.get_by_role("slider", name="Target of face angle: profile")
        slider.fill("33")
        command_that_ends(page, "/api/vault/analyze", "done")
        page.get_by_role("button", name="Count again").click()
        with page.expect_response("**/api/dataset/shares?*"):
            pass
        page.wait_for_load_state("networkidle")
        assert slider.input_value() == "33" and page.get_by_role("button", name="Save the targets").is_enabled()
        watched.clean()


def shares(home: Path) -> Any:
    return json.loads((home / "bootstrap_config.json").read_text()).get("analysis", {}).get("shares", {})


def test_a_target_is_dragged_and_saved(counted: Path, visit: Callable[..., Watched]) -> None:
    with served(counted) as address:
        watched = visit(address, "#/dataset?person=p001&view=readiness")
        page = watched.page
        slider = page.get_by_role("slider", name="Target of face angle: profile")
        slider.wait_for()
        assert slider.input_value() == "20" and re.match(
            r"20 %; measured \d+ % \(\d+ of \d+\)", slider.get_attribute("aria-valuetext")
        )
        page.wait_for_load_state("networkidle")
        slider.scroll_into_view_if_needed()
        picture(page, "dataset")
        box = slider.bounding_box()
        page.mouse.move(box["x"] + box["width"] * 0.2, box["y"] + box["height"] / 2)
        page.mouse.down()
        page.mouse.move(box["x"] + box["width"] * 0.35, box["y"] + box["height"] / 2, steps=5)
        page.mouse.up()
        slider.press("ArrowRight")
        dragged = int(slider.input_value())
        assert 30 <= dragged <= 40
        page.get_by_text(f"The targets add up to {60 + dragged} %.").wait_for()
        page.get_by_role("button", name="Save the targets").click()
        page.get_by_text("Saved in bootstrap_config.json").wait_for()
        assert shares(counted) == {"face_angle": {"profile": dragged / 100}}
        assert json.loads((counted / "bootstrap_config.json").read_text())["_comment"] == "mine"
        page.get_by_role("slider", name="Target of face angle: front").fill("90")
        page.get_by_text("more than all").wait_for()
        page.get_by_role("button", name="Save the targets").click()
        page.get_by_text("the shares of face_angle add up to").wait_for()
        assert shares(counted) == {"face_angle": {"profile": dragged / 100}}, "refused, and nothing was written"
        page.get_by_role("button", name="Usual targets of face angle").click()
        page.get_by_role("button", name="Save the targets").click()
        page.get_by_text("Saved in bootstrap_config.json").wait_for()
        assert shares(counted) == {}
        assert watched.hosts <= {"127.0.0.1"}


def test_plugins_that_were_not_loaded_are_named(vault_home: Path, visit: Callable[..., Watched]) -> None:
    stranger = vault_home / "outputs/stranger"
    stranger.mkdir()
    data = {"person_name": "eve", "person_trigger": "eve", "analysis": {"plugins": ["outputs/stranger/look.py"]}}
    (stranger / "bootstrap_config.json").write_text(json.dumps({**data, "dataset_dir": FOLDER}))
    with served(vault_home) as address:
        watched = visit(address, "#/dataset?person=p001&view=readiness")
        watched.page.get_by_text("plug-ins were not loaded: outputs/stranger/look.py").wait_for()
        watched.clean()


def test_another_copy_is_kept_and_photos_are_filtered(vault_home: Path, visit: Callable[..., Watched]) -> None:
    with served(vault_home) as address:
        watched = visit(address, "#/dataset?person=p001&view=duplicates")
        page = watched.page
        button = page.get_by_role("button", name=re.compile("^Keep .* instead$")).first
        name = re.sub("^Keep (.*) instead$", r"\1", button.get_attribute("aria-label"))
        sent: list[str] = []
        page.on("request", lambda made: sent.append(made.url) if made.method == "POST" else None)
        button.dblclick()
        page.get_by_text(f"{name} is kept from now on.").wait_for()
        page.get_by_role("button", name="These are no duplicates").first.dblclick()
        page.get_by_text("They are no duplicates from now on.").wait_for()
        assert [url.rsplit("/", 1)[-1] for url in sent] == ["keep", "distinct"], "a double click says it once"
        assert page.locator(".groups h2").count() and not page.locator(".groups h3").count()
        page.get_by_role("link", name="Photos").click()
        page.get_by_label("Show").select_option("dropped")
        tiles = page.get_by_role("listbox", name="Photos").get_by_role("option", name=re.compile("dropped"))
        tiles.first.wait_for()
        assert not any(
            label.startswith(f"{name},")
            for label in tiles.evaluate_all("all => all.map((one) => one.getAttribute('aria-label'))")
        )
        page.get_by_label("Show").select_option("left out")
        page.get_by_text("blurred (face sharpness").wait_for()
        unseen = page.get_by_role("row", name=re.compile("^hands", re.IGNORECASE))
        assert unseen.get_by_role("cell").text_content() == "not measured in the scan"
        watched.clean()


SCREENS = [("light", 1366, 820), ("dark", 820, 820), ("light", 683, 384), ("dark", 390, 844), ("light", 1366, 500)]
SQUEEZED = """[...document.querySelectorAll('.detail, .grid, .view > .list, .detail button')]
  .filter((one) => one.clientHeight < (one.matches('button') ? 20 : 120))
  .map((one) => one.className + one.textContent)"""


PARTS = ("people", *(f"dataset?person=p001&view={view}" for view in ("photos", "duplicates", "captions", "readiness")))


def test_it_fits(counted: Path, visit: Callable[..., Watched]) -> None:
    """Each part is opened on another screen, and shown on all of them."""
    with served(counted) as address:
        watched = visit(address, "#/dataset")
        page = watched.page
        page.locator(".part.dataset h1").wait_for()
        for first, part in enumerate(PARTS):
            for screen in (*SCREENS[first:], *SCREENS[:first]):
                scheme, width, height = screen
                page.emulate_media(color_scheme=scheme)
                page.set_viewport_size({"width": width, "height": height})
                if screen == SCREENS[first]:
                    page.evaluate(f"location.hash = '#/{part}'")
                    page.locator(f".part.{part.split('?')[0]} h1").wait_for()
                    if part == "people":
                        page.get_by_role("listbox").wait_for()
                settled(watched)
                assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), (part, screen)
                assert page.evaluate("(one => one.scrollWidth <= one.clientWidth)(document.querySelector('.part'))"), (
                    part,
                    screen,
                )
                assert page.evaluate(SQUEEZED) == [], (part, screen)
        assert page.locator("th:empty").count() == 0
        watched.clean()


def test_thousands_of_captions_do_not_hold_the_page_up(vault_home: Path, visit: Callable[..., Watched]) -> None:
    """Rows come as they are scrolled to; what is marked, and what is looked for, are all of them."""
    with served(vault_home) as address:
        watched = visit(address, "#/dataset?person=p001&view=photos")
        page = watched.page
        page.locator(".tile").first.wait_for()
        page.route("**/api/dataset?*", lambda route: route.fulfill(json=_many(route.fetch().json(), 2000)))
        page.route(
            "**/api/vault/photo?*",
            lambda route: route.fulfill(body="<svg xmlns='http://www.w3.org/2000/svg'/>", content_type="image/svg+xml"),
        )
        page.evaluate("location.hash = '#/dataset?person=p001&view=captions'")
        rows = page.locator("table.captions tbody tr")
        rows.first.wait_for()
        drawn = rows.count()
        assert drawn < 500
        page.get_by_label("Mark all captions").check()
        page.get_by_text("2000 of 2000 marked").wait_for()
        page.locator(".view > .list").evaluate("(list) => { list.scrollTop = list.scrollHeight; }")
        rows.nth(drawn).wait_for()
        assert rows.last.locator("input[type=checkbox]").is_checked()
        page.get_by_label("Show captions with these words").fill("number 1999")
        page.get_by_text("1 of 1 marked").wait_for()
        assert rows.count() == 1
        page.set_viewport_size({"width": 683, "height": 384})  # little room: the list scrolls by itself all the same
        page.get_by_label("Show captions with these words").fill("")
        page.get_by_text("1 of 2000 marked").wait_for()
        page.wait_for_timeout(300)
        assert rows.count() < 500
        assert rows.first.evaluate("row => row.offsetWidth <= innerWidth"), "a word without end is broken"
        watched.clean()


def _many(data: Any, count: int) -> Any:
    seen = data["captions"]
    data["captions"] = [
        {**seen[0], "sha256": f"{number:064x}", "picture": None, "text": f"number {number}{'x' * 400 * (number == 1)}"}
        for number in range(count)
    ]
    return data
