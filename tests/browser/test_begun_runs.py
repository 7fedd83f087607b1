"""Runs that have begun, and what else a terminal works on: followed; asked about where something is other since."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.browser.conftest import Watched, served
from tests.functional import loops
from tests.helpers.fake_photos import fake_photo
from tests.helpers.working_elsewhere import working_elsewhere
from twinloop.ports import SilentReporter
from twinloop.store.atomic import read_json
from twinloop.store.lock import locked
from twinloop.store.progress import NotedProgress, progress_cleared

PLACES = {"output_dir": "outputs/ana", "lora_output_dir": "outputs/loras"}
RUN = "#/runs?run=outputs%2Fana"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working directory with a run of two rounds that has ended."""
    home = tmp_path_factory.mktemp("begun") / "home"
    home.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        loops.write_photos(home / "photos")
        loops.run(loops.settings(**PLACES))
    loops.configuration(home / "my_config.json", **PLACES)
    return home


@pytest.fixture
def home(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy to change, as the working directory of the server."""
    shutil.copytree(finished, tmp_path / "home")
    monkeypatch.chdir(tmp_path / "home")
    return tmp_path / "home"


def hurried(page: Any) -> None:
    """From now on the page asks five times as often."""
    page.evaluate("""() => { const slow = window.setTimeout;
      window.setTimeout = (call, delay, ...given) => slow(call, delay / 5, ...given); }""")


def test_how_far_a_run_in_a_terminal_is_can_be_seen(finished: Path, visit: Callable[..., Watched]) -> None:
    folder = finished / "outputs/ana"
    told = NotedProgress(folder, SilentReporter())
    with served(finished) as address:
        watched = visit(address, RUN)
        page = watched.page
        hurried(page)
        page.get_by_role("button", name="Check again").wait_for()
        bar = page.locator(".detail progress")
        with locked(folder), progress_cleared(folder):
            page.locator("strong.state", has_text="running in process").wait_for()
            assert bar.count() == 0, "it does not say yet"
            told.progress("Training LoRA v1 (loss 0.51)", 40, 240)
            page.get_by_text(re.compile(r"^Training LoRA v1 \(loss 0\.51\): 40 of 240")).wait_for()
            assert bar.get_attribute("value") == "40"
            told.progress("Measuring v1", 1, 4)
            page.get_by_text(re.compile("^Measuring v1: 1 of 4")).wait_for()
            told.line("measured")
            bar.wait_for(state="detached")
            told.progress("Generating", 1, 6)
            bar.wait_for()
        page.locator("#said", has_text="The command in a terminal has ended. outputs/ana: ").wait_for()
        page.get_by_role("button", name="Check again").wait_for()
        assert bar.count() == 0
        watched.clean()


def test_a_command_of_a_terminal_that_works_in_the_vault_can_be_seen(
    tmp_path: Path, visit: Callable[..., Watched]
) -> None:
    (tmp_path / "outputs/facevault").mkdir(parents=True)
    with served(tmp_path) as address:
        with working_elsewhere(tmp_path / "outputs/facevault") as process:
            watched = visit(address, "#/people")
            page = watched.page
            page.get_by_text(f"running in process {process.pid}").wait_for()
            page.get_by_text("Scanning: 3 of 40").wait_for()
            scan = page.get_by_role("button", name="Scan")
            assert scan.is_disabled() and page.get_by_role("button", name="Stop").count() == 0
        page.locator("#said", has_text="The command in a terminal has ended.").wait_for()
        page.locator(".status", has_text="running in process").wait_for(state="detached")
        assert scan.is_enabled()
        watched.clean()


def asked(page: Any) -> Any:
    return page.get_by_role("group", name="What is other since this run began")


def test_what_came_since_a_run_began_is_told_and_it_goes_on_as_it_is(home: Path, visit: Callable[..., Watched]) -> None:
    sent: list[Any] = []

    def start(route: Any) -> None:
        sent.append(json.loads(route.request.post_data))
        route.fulfill(status=409, json={"error": "not now"})

    with served(home) as address:
        watched = visit(address, RUN)
        page = watched.page
        page.route("**/api/jobs/run", start)
        again = page.get_by_role("button", name="Check again")
        again.click()
        page.locator("#said.problem", has_text="not now").wait_for()
        assert sent == [{"config": "my_config.json", "restart": False}], "nothing is other: nothing is asked"
        for number in range(2):
            fake_photo(home / f"photos/later_{number}.png", seed=900 + number)
        again.press("Enter")
        asked(page).get_by_text(
            "Since this run began: 2 pictures came. It can go on with what it began with"
        ).wait_for()
        assert asked(page).evaluate("one => one.contains(document.activeElement)"), "it is read out"
        page.keyboard.press("Escape")
        asked(page).wait_for(state="detached")
        assert again.evaluate("one => one === document.activeElement")
        again.click()
        asked(page).get_by_role("button", name="Leave it").click()
        asked(page).wait_for(state="detached")
        again.click()
        asked(page).get_by_role("button", name="Continue as it is").click()
        page.locator("#said.problem", has_text="not now").wait_for()
        assert sent[1:] == [{"config": "my_config.json", "restart": False}] and asked(page).count() == 0
        assert watched.hosts <= {"127.0.0.1", ""}


def test_a_run_begins_anew_once_it_is_said_what_is_put_away(home: Path, visit: Callable[..., Watched]) -> None:
    """Where other settings forbid it to go on, that is not offered."""
    loops.configuration(home / "my_config.json", **PLACES, seed=5, max_iterations=1)
    (home / "outputs/ana/started_with.json").write_text('{"config": "my_config.json"}')
    images = len(list((home / "outputs/ana").glob("synthetic_iter*/*.png")))
    loras = len(read_json(home / "outputs/ana/iteration_history.json")["loras"])
    with served(home) as address:
        watched = visit(address, RUN)
        page = watched.page
        hurried(page)
        page.get_by_role("button", name="Check again").click()
        asked(page).get_by_text("Since this run began: other settings (seed). It cannot go on like this").wait_for()
        assert asked(page).get_by_role("button").all_inner_texts() == ["Begin anew…", "Leave it"]
        begin = asked(page).get_by_role("button", name="Begin anew…")
        begin.press("Enter")
        dialog = page.get_by_role("dialog", name="Begin this run anew?")
        dialog.get_by_text(f"2 rounds, {images} images and {loras} LoRAs are put away. Nothing is deleted").wait_for()
        assert dialog.get_by_role("listitem").all_inner_texts() == [
            "outputs/ana becomes outputs/ana.old1",
            "outputs/loras becomes outputs/loras.old1",
        ]
        assert page.evaluate("document.activeElement.textContent") == "Cancel"
        page.keyboard.press("Escape")
        dialog.wait_for(state="detached")
        assert begin.evaluate("one => one === document.activeElement") and (home / "outputs/ana/run.json").exists()
        begin.click()
        dialog.get_by_role("button", name="Begin anew").click()
        page.locator("strong.state", has_text="done").wait_for(timeout=60_000)
        page.get_by_role("table", name=re.compile("Rounds")).locator("tbody tr").wait_for()
        assert page.get_by_role("table", name=re.compile("Rounds")).locator("tbody tr").count() == 1
        assert page.locator("code", has_text="twinloop run --restart").count() == 0, "it goes on without, next time"
        assert read_json(home / "outputs/ana/run.json")["settings"]["seed"] == 5
        assert (home / "outputs/ana.old1/run.json").is_file() and (home / "outputs/loras.old1").is_dir()
        # in the moment between the two runs there is none to ask about
        assert all("400 (Bad Request)" in text for text in watched.complaints), watched.complaints
        assert page.locator("#said.problem").count() == 0 and watched.hosts <= {"127.0.0.1", ""}


def test_a_question_about_a_run_that_has_changed_meanwhile_is_taken_away(
    home: Path, visit: Callable[..., Watched]
) -> None:
    """Begun anew in another tab, which did not wait for this one."""
    loops.configuration(home / "my_config.json", **PLACES, seed=5, max_iterations=1)
    (home / "outputs/ana/started_with.json").write_text('{"config": "my_config.json"}')
    with served(home) as address:
        page = visit(address, RUN).page
        page.get_by_role("button", name="Check again").click()
        asked(page).get_by_role("button", name="Begin anew…").click()
        dialog = page.get_by_role("dialog", name="Begin this run anew?")
        dialog.wait_for()
        page.evaluate("Object.defineProperty(document, 'hidden', { value: true, configurable: true })")
        page.evaluate("""async () => { const api = await import('/static/api.js');
          await api.post('/api/jobs/run', { config: 'my_config.json', restart: true });
          while ((await api.get('/api/jobs', { key: 'outputs/ana' })).at(-1).state !== 'done')
            await new Promise((wake) => window.setTimeout(wake, 200)); }""")
        assert dialog.is_visible(), "nobody looked"
        page.evaluate("Object.defineProperty(document, 'hidden', { value: false, configurable: true })")
        dialog.wait_for(state="detached")
        page.locator("#said", has_text="The run has changed since you were asked.").wait_for()
        assert asked(page).count() == 0 and not (home / "outputs/ana.old2").exists()


def test_where_it_cannot_begin_anew_the_reason_is_said(home: Path, visit: Callable[..., Watched]) -> None:
    (home / "my_config.json").rename(home / "outputs/ana/my_config.json")
    fake_photo(home / "photos/later.png", seed=900)
    with served(home) as address:
        page = visit(address, RUN).page
        page.get_by_role("button", name="Check again").click()
        asked(page).get_by_role("button", name="Begin anew…").click()
        page.locator("#said.problem", has_text="--restart would move --config").wait_for()
        assert page.get_by_role("dialog").count() == 0


def test_an_error_stays_until_it_is_dismissed_or_something_else_is_done(
    finished: Path, visit: Callable[..., Watched]
) -> None:
    with served(finished) as address:
        page = visit(address, RUN).page
        hurried(page)
        page.route("**/api/jobs/run", lambda route: route.fulfill(status=409, json={"error": "not now"}))
        again, said = page.get_by_role("button", name="Check again"), page.locator("#said")
        again.click()
        said.get_by_text("not now").wait_for()
        page.wait_for_timeout(12_000 / 5 + 300)
        assert said.inner_text().strip() == "not now", "longer than it was shown before"
        dismiss = said.get_by_role("button", name="Dismiss")
        again.focus()
        dismiss.focus()
        page.keyboard.press("Enter")
        assert said.is_hidden() and again.evaluate("one => one === document.activeElement")
        for settle in (
            lambda: page.keyboard.press("Escape"),
            lambda: page.get_by_role("navigation", name="Runs and configurations").get_by_role("link").click(),
            lambda: page.evaluate(
                "import('/static/api.js').then((api) => api.post('/api/jobs/run', {}).catch(() => 0))"
            ),
        ):
            again.click()
            said.get_by_text("not now").wait_for()
            settle()
            said.wait_for(state="hidden")
        page.evaluate("import('/static/dom.js').then((dom) => dom.say('Saved.'))")
        said.get_by_text("Saved.").wait_for()
        said.wait_for(state="hidden", timeout=5000 / 5 + 2000)
