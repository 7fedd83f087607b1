"""Review with the keyboard alone, as a person with two hundred images would."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from tests.browser.conftest import Watched, left_before_it_came, picture, served
from tests.functional import loops
from tests.functional.console import ROOT
from twinloop.errors import StateError, WaitingForReview


@pytest.fixture(scope="module")
def waiting(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on the fakes that waits for the review of its first round, of at least 24 images."""
    home = tmp_path_factory.mktemp("waiting")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        loops.write_photos(home / "photos")
        chosen = loops.settings(
            output_dir="outputs/ana",
            lora_output_dir="outputs/loras",
            review="first_round",
            generation={"num_per_gap": 12},
        )
        with pytest.raises(WaitingForReview):
            loops.run(chosen)
    return home


def decisions(home: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((home / "outputs/ana/review_iter1.json").read_text())
    return found


def files(home: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (home / "outputs/ana").glob("review_*")}


@pytest.fixture
def two_runs(waiting: Path, tmp_path: Path) -> Path:
    """Two runs that wait for a review which nobody has begun."""
    home = tmp_path / "home"
    shutil.copytree(waiting, home)
    (home / "outputs/ana/review_iter1.json").unlink(missing_ok=True)
    shutil.copytree(home / "outputs/ana", home / "outputs/bea")
    return home


def decided(home: Path, run: str) -> dict[str, Any]:
    path = home / "outputs" / run / "review_iter1.json"
    return json.loads(path.read_text())["decisions"] if path.exists() else {}


def refuse(*_: Any) -> Any:
    """Stands for a server that cannot write what a person said."""
    raise StateError("not now")


@pytest.mark.parametrize("second", ["review?run=outputs/bea", "people"])
def test_a_key_decides_only_what_is_shown(two_runs: Path, visit: Callable[..., Watched], second: str) -> None:
    """A part that comes late, after another one was chosen, hears nothing."""
    with served(two_runs) as address:
        watched = visit(address, "#/runs")
        page = watched.page
        page.locator(".part.runs h1").wait_for()
        asks = "**/api/review?run=outputs%2Fana*"
        late = left_before_it_came(page, "review?run=outputs/ana", asks, second)
        with page.expect_response(asks):
            late.continue_()
        page.wait_for_timeout(100)
        with page.expect_response("**/api/review") if second != "people" else nullcontext():
            page.keyboard.press("r")
        page.wait_for_timeout(100)
        assert decided(two_runs, "ana") == {} and len(decided(two_runs, "bea")) == (second != "people")
        watched.clean()


def test_nothing_is_decided_unseen(
    two_runs: Path, visit: Callable[..., Watched], monkeypatch: pytest.MonkeyPatch
) -> None:
    with served(two_runs) as address:
        watched = visit(address, "#/runs?run=outputs/ana")
        page = watched.page
        page.get_by_text("Round 1 waits for your review.").wait_for()
        page.get_by_role("link", name="Look at its images").click()
        page.get_by_role("listbox", name="Generated images").wait_for()
        page.get_by_label("Verdict").select_option("said")
        page.get_by_text("No image fits this choice.").wait_for()
        page.get_by_role("listbox").focus()
        page.keyboard.press("r")
        page.get_by_label("Verdict").select_option("")
        page.get_by_role("listbox").focus()
        with page.expect_response("**/api/review"):
            page.keyboard.down("a")
        for _ in range(5):
            page.keyboard.down("a")  # held: the keyboard repeats it
        page.keyboard.up("a")
        page.get_by_text("1 decided by you").wait_for()
        monkeypatch.setattr("twinloop.web.api.review.say", refuse)
        page.keyboard.press("ArrowLeft")
        page.keyboard.press("Delete")
        page.get_by_text("not now").wait_for()
        page.get_by_text("You said: approved").wait_for()
        assert [item["outcome"] for item in decided(two_runs, "ana").values()] == ["approved"]


def answered_later(page: Any) -> list[Any]:
    """What the page says of images; each waits for its answer."""
    told: list[Any] = []
    page.route("**/api/review", lambda route: told.append(route))
    return told


def came(page: Any, told: list[Any], count: int) -> Any:
    """The last of so many words, once it is sent."""
    for _ in range(500):
        if len(told) >= count:
            return told[count - 1]
        page.wait_for_timeout(20)
    raise AssertionError(f"{len(told)} words were sent, not {count}")


@pytest.mark.parametrize("refused", [{1}, {2}, {1, 2}])
def test_of_two_words_on_one_image_the_page_shows_what_was_saved(
    two_runs: Path, visit: Callable[..., Watched], refused: set[int]
) -> None:
    with served(two_runs) as address:
        page = visit(address, "#/review?run=outputs/ana").page
        page.get_by_role("listbox", name="Generated images").wait_for()
        told = answered_later(page)
        for key in ("a", "ArrowLeft", "r", "ArrowLeft"):
            page.keyboard.press(key)
        for number in (1, 2):
            word = came(page, told, number)
            with page.expect_response("**/api/review"):
                word.fulfill(status=409, json={"error": "not now"}) if number in refused else word.continue_()
        saved = [item["outcome"] for item in decided(two_runs, "ana").values()]
        assert saved == ([] if refused == {1, 2} else ["approved"] if refused == {2} else ["rejected"])
        page.get_by_text(f"{len(saved)} decided by you").wait_for()
        shown = page.locator(".detail p.said").all_inner_texts()
        assert shown == [f"You said: {outcome}" for outcome in saved]


def test_a_review_is_not_finished_while_a_word_on_an_image_could_not_be_saved(
    two_runs: Path, visit: Callable[..., Watched]
) -> None:
    with served(two_runs) as address:
        page = visit(address, "#/review?run=outputs/ana").page
        page.get_by_role("listbox", name="Generated images").wait_for()
        told = answered_later(page)
        page.keyboard.press("r")
        finish = page.get_by_role("button", name="Finish the review")
        finish.click()
        came(page, told, 1).fulfill(status=409, json={"error": "not now"})
        page.get_by_text("not now").wait_for()
        page.wait_for_load_state("networkidle")
        path = two_runs / "outputs/ana/review_iter1.json"
        assert finish.is_visible() and page.get_by_text("not now").is_visible()
        assert not path.exists() or not json.loads(path.read_text())["finished"]
        finish.click()
        page.get_by_text("The review is finished.").wait_for()
        assert json.loads(path.read_text())["finished"]


def test_keys_that_are_meant_otherwise_decide_nothing(two_runs: Path, visit: Callable[..., Watched]) -> None:
    """Those with Ctrl are the browser's, those in a field choose there; and what is taken back stays in view."""
    with served(two_runs) as address:
        watched = visit(address, "#/review?run=outputs/ana")
        page = watched.page
        gallery = page.get_by_role("listbox", name="Generated images")
        gallery.wait_for()
        page.keyboard.press("Control+a")
        page.keyboard.press("Alt+u")
        for elsewhere in (
            page.get_by_label("Gap"),
            page.get_by_role("button", name="Finish the review"),
            page.get_by_role("link", name="People"),
        ):
            elsewhere.focus()
            page.keyboard.press("r")
        gallery.focus()
        page.wait_for_load_state("networkidle")
        assert page.get_by_text("0 decided by you").is_visible() and decided(two_runs, "ana") == {}
        for key in ("a", "ArrowLeft", "Delete"):
            page.keyboard.press(key)
        page.get_by_text("0 decided by you").wait_for()
        assert gallery.locator(".tile.active").get_attribute("data-index") == "0"
        page.set_viewport_size({"width": 683, "height": 384})
        page.get_by_role("button", name="approve (A)").click()
        page.get_by_text("1 decided by you").wait_for()
        page.keyboard.press("r")  # it goes on where the button was
        page.get_by_text("2 decided by you").wait_for()
        for word in ("approved", "rejected"):
            page.get_by_label("Verdict").select_option(word)
            page.locator(".tile", has_text=f"you: {word}").wait_for()
        watched.clean()


def test_the_choices_above_the_gallery_show_what_they_say(two_runs: Path, visit: Callable[..., Watched]) -> None:
    with served(two_runs) as address:
        watched = visit(address, "#/review?run=outputs/ana")
        page = watched.page
        page.get_by_role("listbox", name="Generated images").wait_for()
        images = page.evaluate("fetch('/api/review?run=outputs/ana&iteration=1').then((answer) => answer.json())")[
            "images"
        ]
        place = next(number for number, item in enumerate(images) if item["outcome"] == "rejected")
        target = images[place]["target"].replace("_", " ")
        assert page.locator(f".tile[data-index='{place}']").inner_text() == f"rejected · {target}"
        page.locator(f".tile[data-index='{place}']").click()
        with page.expect_response("**/api/review"):
            page.keyboard.press("a")
        outcomes = [item["outcome"] for item in images]
        outcomes[place] = "approved"
        count = {outcome: outcomes.count(outcome) for outcome in ("approved", "rejected")}
        failing = {
            check["check"]: sum(
                one["check"] == check["check"] and one["outcome"] != "approved"
                for item in images
                for one in item["checks"]
            )
            for check in images[place]["checks"]
        }
        name = next(name for name, found in failing.items() if 0 < found < len(images) / 2)
        for label, value, shown in (
            ("Verdict", "approved", count["approved"]),
            ("Verdict", "rejected", count["rejected"]),
            ("Verdict", "said", 1),
            ("Verdict", "open", len(images) - 1),
            ("Fails", name, failing[name]),
        ):
            page.get_by_label(label).select_option(value)
            page.get_by_text(f"{shown} of {len(images)} images, 1 decided by you").wait_for()
            page.get_by_label(label).select_option("")
        watched.clean()


def test_twenty_images_are_approved_by_keyboard(waiting: Path, visit: Callable[..., Watched]) -> None:
    with served(waiting) as address:
        watched = visit(address, "#/review?run=outputs/ana")
        page = watched.page
        page.get_by_role("listbox", name="Generated images").wait_for()
        assert page.evaluate("document.activeElement.getAttribute('role')") == "listbox", (
            "the gallery has the focus at once"
        )
        for _ in range(20):
            page.keyboard.press("a")
        page.get_by_text("20 decided by you").wait_for()
        page.keyboard.press("r")
        page.keyboard.press("u")
        page.get_by_text("22 decided by you").wait_for()
        page.keyboard.press("ArrowLeft")
        page.keyboard.press("Delete")
        page.get_by_text("21 decided by you").wait_for()
        outcomes: list[str] = []
        for _ in range(100):  # each word is sent after the one before it
            outcomes = sorted(item["outcome"] for item in decisions(waiting)["decisions"].values())
            if outcomes == ["approved"] * 20 + ["rejected"]:
                break
            page.wait_for_timeout(100)
        assert outcomes == ["approved"] * 20 + ["rejected"]
        watched.clean()


def test_space_compares_and_finishing_lets_the_run_go_on(waiting: Path, visit: Callable[..., Watched]) -> None:
    with served(waiting) as address:
        watched = visit(address, "#/review?run=outputs/ana")
        page = watched.page
        page.get_by_role("listbox").wait_for()
        page.keyboard.press("Space")
        photos = page.locator(".photos img")
        photos.nth(2).wait_for()
        assert photos.count() == 3 and page.get_by_text("likeness").count() == 3
        checks = page.locator("table.checks tbody tr")
        assert checks.count() >= 5 and checks.first.locator("td").count() == 3, (
            "value, limit and verdict of every check"
        )
        picture(page, "review")
        page.get_by_label("Gap").select_option(index=1)
        filtered = page.get_by_role("option").count()
        assert 0 < filtered < 200
        page.get_by_role("button", name="Finish the review").click()
        page.get_by_text("The review is finished").wait_for()
        assert decisions(waiting)["finished"]
        watched.clean()


def test_without_the_key_and_from_elsewhere(waiting: Path, visit: Callable[..., Watched]) -> None:
    with served(waiting) as address:
        base = address.split("?")[0]
        stranger = visit(base).page
        assert "holds the key" in stranger.inner_text("body")
        assert stranger.goto(f"{base}?token=guess").status == 403
        inside = visit(address).page
        assert "token" not in inside.url, "the key leaves the address bar"
        before = files(waiting)
        # a page of another origin, in the browser that holds the cookie
        inside.route(
            "http://evil.example/", lambda route: route.fulfill(body="<title>evil</title>", content_type="text/html")
        )
        inside.goto("http://evil.example/")
        status = inside.evaluate(
            """async (url) => { try { const r = await fetch(url, {method: 'POST', mode: 'no-cors',
            credentials: 'include', headers: {'content-type': 'text/plain'},
            body: '{"run": "outputs/ana", "iteration": 1}'}); return r.type; } catch (error) { return 'refused'; } }""",
            f"{base}api/review/finish",
        )
        assert status in ("opaque", "refused")
        assert before == files(waiting), "nothing was changed"


DEMO = ROOT / "outputs" / "demo"


@pytest.mark.skipif(
    not (DEMO / "bootstrap" / "iteration_history.json").is_file(), reason="the demo was not run here (make demo)"
)
def test_the_demos_second_round_is_shown(visit: Callable[..., Watched]) -> None:
    """A real run, and the picture of the README. Nothing is decided."""
    with served(ROOT, named_runs=(DEMO / "bootstrap",)) as address:
        watched = visit(address, "#/review?run=outputs/demo/bootstrap&iteration=2")
        page = watched.page
        page.get_by_role("listbox").wait_for()
        page.get_by_label("Verdict").select_option("approved")
        page.get_by_role("listbox").focus()
        page.keyboard.press("Space")
        page.locator(".photos img").nth(2).wait_for()
        page.wait_for_load_state("networkidle")
        assert all(
            page.evaluate(
                "[...document.querySelectorAll('.detail img')].map((image) => image.complete && image.naturalWidth > 0)"
            )
        )
        picture(page, "review_demo")
        watched.clean()
