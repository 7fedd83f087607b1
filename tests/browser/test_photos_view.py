"""The photos of a person on the page: left out and taken in by hand, with the mouse and with keys, and taken back."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.browser.conftest import Watched, served
from twinloop.store.vault.decisions import DecisionLog


def said(home: Path) -> list[tuple[str, int]]:
    log = DecisionLog(home / "outputs/facevault/decisions.jsonl", reading=True)
    return [(made.kind, len(made.data["photos"])) for made in log.active("exclude", "include", "automatic")]


def looked_at(page: Any) -> str:
    """The name of the photo in the detail."""
    return str(page.locator(".detail img").get_attribute("alt"))


def test_photos_are_left_out_and_taken_in_by_hand(vault_home: Path, visit: Callable[..., Watched]) -> None:
    with served(vault_home) as address:
        watched = visit(address, "#/dataset?person=p001&view=photos")
        page = watched.page
        kept = page.get_by_role("option", name=re.compile(", kept$"))
        kept.first.wait_for()
        page.get_by_label("Show").select_option("kept")
        name = looked_at(page)
        page.get_by_role("button", name="Leave out (L)").click()
        page.get_by_text(f"{name} is left out by hand from now on.").wait_for()
        assert said(vault_home) == [("exclude", 1)]
        assert looked_at(page) != name, "the filter stays, and the next photo is looked at"
        page.get_by_role("button", name="Prepare again (1 photo is chosen otherwise)").wait_for()
        assert page.evaluate("document.activeElement.getAttribute('aria-label')") == "Photos"
        page.keyboard.press("l")
        page.get_by_role("button", name="Prepare again (2 photos are chosen otherwise)").wait_for()
        page.get_by_label("Show").select_option("by hand")
        tiles = page.get_by_role("listbox", name="Photos").get_by_role("option")
        assert tiles.count() == 2
        page.get_by_role("listbox", name="Photos").focus()
        page.keyboard.press("Delete")
        page.get_by_text("is chosen automatically from now on.").wait_for()
        assert tiles.count() == 1
        page.get_by_label("Show").select_option("dropped")
        copy = looked_at(page)
        page.get_by_role("listbox", name="Photos").focus()
        page.keyboard.press("t")
        page.get_by_text(f"{copy} is taken in by hand from now on.").wait_for()
        page.get_by_label("Show").select_option("")
        page.get_by_role("option", name=f"{copy}, kept, taken in by hand").wait_for()
        assert [kind for kind, _ in said(vault_home)] == ["exclude", "exclude", "automatic", "include"]
        page.get_by_role("button", name=f"Undo: {copy} taken into the training set of mira").click()
        page.get_by_text(f"Taken back: {copy} taken into").wait_for()
        page.get_by_role("option", name=re.compile(f"^{re.escape(copy)}, dropped")).wait_for()
        watched.clean()


def test_a_key_that_is_held_or_meant_for_something_else_decides_nothing(
    vault_home: Path, visit: Callable[..., Watched]
) -> None:
    with served(vault_home) as address:
        page = visit(address, "#/dataset?person=p001&view=photos").page
        page.locator(".tile").first.wait_for()
        photos = page.get_by_role("listbox", name="Photos")
        photos.press("Control+l")
        page.get_by_label("With").press("t")
        for repeat, expected in ((True, []), (False, [("exclude", 1)])):
            photos.evaluate(
                "(list, repeat) => list.dispatchEvent(new KeyboardEvent('keydown', {key: 'l', repeat, bubbles: true}))",
                repeat,
            )
            if expected:
                page.get_by_text("is left out by hand from now on.").wait_for()
            assert said(vault_home) == expected
        assert page.get_by_role("button", name="Leave out (L)").is_disabled()
        photos.press("l")
        page.wait_for_load_state("networkidle")
        assert said(vault_home) == [("exclude", 1)], "it stands already"
