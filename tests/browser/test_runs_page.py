"""Runs on the page: start, watch, pause, go on, compare versions, pick the final one."""

from __future__ import annotations

import functools
import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.browser.conftest import Watched, left_before_it_came, picture, served, settled
from tests.functional import loops
from tests.functional.console import configuration
from twinloop.nano.world.photos import write_photo_set
from twinloop.store.lock import locked

NANO_RUN = {
    "person_name": "mira",
    "person_trigger": "ohwx woman",
    "base_model": "nano",
    "models_dir": "nano",
    "max_iterations": 1,
    "generation": {"num_per_gap": 1, "num_inference_steps": 4},
    "training": {"preset": "nano", "steps": 40, "batch_size": 1, "checkpoint_every": 5},
    "panel": {"images": 2},
    "analysis": {"facets": ["face_angle"]},
    "dataset_dir": "photos",
    "output_dir": "outputs/mira/bootstrap",
    "lora_output_dir": "outputs/mira/loras",
}


DOT = '<svg xmlns="http://www.w3.org/2000/svg" width="1" height="1"/>'
"""A picture that costs nothing."""


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("finished")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        loops.write_photos(home / "photos")
        loops.run(loops.settings(output_dir="outputs/ana", lora_output_dir="outputs/loras"))
        loops.configuration(home / "small.json", output_dir="outputs/ana", lora_output_dir="outputs/loras")
        (home / "outputs/ana/started_with.json").write_text('{"config": "small.json"}')
        configuration(home, output_dir="outputs/ana", lora_output_dir="outputs/loras")
    return home


def test_versions_are_compared_with_a_slider_and_one_is_picked(finished: Path, visit: Callable[..., Watched]) -> None:
    with served(finished) as address:
        watched = visit(address, "#/runs?run=outputs/ana")
        page = watched.page
        slider = page.get_by_label("How much of the left version is shown")
        slider.wait_for()
        over = page.locator(".pair .over")
        assert "version=1" in over.get_attribute("src")
        best = json.loads((finished / "outputs/ana/iteration_history.json").read_text())["best_version"]
        last = len(list((finished / "outputs/ana").glob("panel_v*.json")))
        assert f"version={best if best > 1 else last}" in page.locator(".pair img").first.get_attribute("src")
        for value, clip in (("0", "100%"), ("100", "0%")):
            slider.fill(value)
            assert clip in over.evaluate("image => image.style.clipPath")
        slider.fill("50")
        first = over.get_attribute("src")
        page.get_by_role("button", name="Next prompt").click()
        compared = over.get_attribute("src")
        assert compared != first
        choice(page, "Right").select_option("1")
        page.get_by_text(f"The final LoRA, v{best}: outputs/loras/lora.safetensors").wait_for()
        page.get_by_role("button", name="Use v1").click()
        page.get_by_text("picked by you").wait_for()
        page.get_by_text("The final LoRA, v1: outputs/loras/lora.safetensors").wait_for()
        assert page.evaluate("document.activeElement.textContent") == "picked by you"
        assert over.get_attribute("src") == compared and choice(page, "Right").input_value() == "1"
        tables = page.locator(".scroll")
        assert tables.evaluate_all("all => all.map((one) => one.tabIndex)") == [0, 0]
        assert page.get_by_role("region", name="Rounds").count() == 1 and page.locator("th:empty").count() == 0
        assert json.loads((finished / "outputs/loras/final.json").read_text())["version"] == 1
        history = json.loads((finished / "outputs/ana/iteration_history.json").read_text())
        assert page.get_by_role("table", name=re.compile("Rounds")).locator("tbody tr").count() == len(
            history["iterations"]
        )
        picture(page, "runs")
        watched.clean()


def test_a_run_that_ended_says_why_and_whether_its_lora_is_better(
    finished: Path, visit: Callable[..., Watched]
) -> None:
    with served(finished) as address:
        watched = visit(address, "#/runs?run=outputs/ana")
        page = watched.page
        status = page.locator(".detail .status")
        history = json.loads((finished / "outputs/ana/iteration_history.json").read_text())
        status.get_by_text(f"Reason: {history['stop']['reason']}").wait_for()
        status.get_by_text(f"Gaps left: {history['gaps_left']}").wait_for()
        status.get_by_text(re.compile(r"Better than v1\? (Yes|No|Not shown|Only in part)")).wait_for()
        page.get_by_text("outputs/ana belongs to a run of another configuration").wait_for()
        assert page.get_by_role("button", name="Start").count() == 0
        page.get_by_role("button", name="Check again").click()
        page.locator("strong.state", has_text="done").wait_for(timeout=60_000)
        assert "small.json" in json.loads((finished / "outputs/ana/started_with.json").read_text())["config"]
        watched.clean()


def test_the_number_of_a_round_leads_to_its_images(finished: Path, visit: Callable[..., Watched]) -> None:
    with served(finished) as address:
        watched = visit(address, "#/runs?run=outputs/ana")
        page = watched.page
        page.get_by_role("link", name="1: the images of this round").click()
        page.get_by_role("listbox", name="Generated images").wait_for()
        assert page.url.endswith("#/review?run=outputs%2Fana&iteration=1")
        watched.clean()


def test_a_finished_run_stays_finished_when_a_check_fails(finished: Path, visit: Callable[..., Watched]) -> None:
    job = {"id": 7, "key": "outputs/ana", "command": ["twinloop", "run", "--config", "x.json"], "state": "failed"}
    job |= {"progress": None, "lines": ["error: other settings"], "exit_code": 6}
    with served(finished) as address:
        watched = visit(address, "#/people")
        page = watched.page
        of_run(page, job=job, config=None)
        page.evaluate("location.hash = '#/runs?run=outputs/ana'")
        status = page.locator(".detail .status")
        status.get_by_text("The check failed; the run is as it was.").wait_for()
        assert status.locator("strong.state").inner_text() in ("stopped", "converged")
        status.get_by_text("error: other settings").wait_for()
        status.get_by_text("start the page with --config FILE").wait_for()
        assert status.get_by_role("button").count() == 0
        watched.clean()


def hurried(page: Any) -> None:
    """From now on the page asks ten times as often, every tenth of a second: what is tested is what it does then, not
    how long it waits.
    """
    page.evaluate("""() => { const slow = window.setTimeout;
      window.setTimeout = (call, delay, ...given) => slow(call, delay < 1000 ? delay : delay / 10, ...given); }""")


def test_a_run_that_works_in_a_terminal_is_shown_as_running(finished: Path, visit: Callable[..., Watched]) -> None:
    """Without a button to start it again, and without that the page is loaded anew."""
    running = re.compile(f"running in process {os.getpid()}")
    with served(finished) as address:
        watched = visit(address, "#/runs?run=outputs/ana")
        page = watched.page
        hurried(page)
        again = page.get_by_role("button", name=re.compile("Check again|Continue"))
        again.wait_for()
        link = page.get_by_role("navigation", name="Runs and configurations").get_by_role("link")
        link.focus()
        with locked(finished / "outputs/ana"):
            page.locator("strong.state", has_text=running).wait_for()
            assert link.inner_text().endswith(f"outputs/ana: running in process {os.getpid()}")
            assert again.count() == 0
            assert page.evaluate("document.activeElement.getAttribute('href')") == link.get_attribute("href")
        again.wait_for()
        assert page.locator("strong.state", has_text=running).count() == 0
        watched.clean()


def test_what_a_command_says_can_be_read_and_its_end_is_told(finished: Path, visit: Callable[..., Watched]) -> None:
    said = [f"line {number}" for number in range(80)]
    job: dict[str, Any] = {"id": 7, "key": "outputs/ana", "command": ["twinloop", "run"], "state": "running"}
    job |= {"progress": None, "lines": said, "exit_code": None}
    read = "one => one.scrollTop + one.clientHeight >= one.scrollHeight - 2"
    with served(finished) as address:
        page = visit(address, "#/people").page
        hurried(page)
        page.locator(".part.people h1").wait_for()
        of_run(page, job=job)
        page.route("**/api/jobs?*", lambda route: route.fulfill(json=[job]))
        page.evaluate("location.hash = '#/runs?run=outputs/ana'")
        text, details = page.locator(".status pre"), page.locator(".status details")
        text.wait_for()
        page.wait_for_function(f"({read})(document.querySelector('.status pre'))")
        said.append("news")
        text.get_by_text("news").wait_for()
        assert text.evaluate(read), "the newest line is in sight"
        text.evaluate("one => { one.scrollTop = 40; }")
        page.wait_for_timeout(100)
        said.append("more")
        text.get_by_text("more").wait_for()
        assert text.evaluate("one => one.scrollTop") == 40
        page.get_by_text("What it says").click()
        said.append("unread")
        text.get_by_text("unread").wait_for(state="attached")
        assert details.get_attribute("open") is None

        page.evaluate("""() => { window.alarms = 0; new MutationObserver(() => { alarms += Boolean(said.textContent); })
          .observe(said, {childList: true}); }""")
        page.route("**/api/jobs?*", lambda route: route.abort())
        page.locator("strong.state", has_text="no answer").wait_for()
        page.get_by_text("The server does not answer.").wait_for()
        assert page.get_by_role("button", name="Pause").count() == 0
        page.wait_for_timeout(1000)  # it asks twice as seldom as that where nobody answers
        assert page.evaluate("alarms") == 1, "told once"
        page.route("**/api/jobs?*", lambda route: route.fulfill(json=[job]))
        page.locator("strong.state", has_text="running").wait_for()
        assert page.locator("#said").inner_text() == "" and page.get_by_role("button", name="Pause").count() == 1

        said.append("error: no room left")
        job |= {"state": "failed", "exit_code": 1}
        page.locator("#said.problem", has_text="error: no room left").wait_for()


def test_the_time_left_is_told_by_the_pace_of_late(finished: Path, visit: Callable[..., Watched]) -> None:
    """Of a scan that goes on: 900 known files in the first second, then one a second."""
    told = """async () => {
        const { Bar } = await import("/static/progress.js");
        const bar = new Bar();
        const told = [];
        for (let second = 0; second <= 99; second += 1) {
            performance.now = () => 1000 * second;
            const done = second ? 900 + second : 0;
            told.push(bar.draw({ progress: { label: "Scanning", done, total: 1000 } }).textContent);
        }
        return told;
    }"""
    with served(finished) as address:
        lines = visit(address, "#/runs").page.evaluate(told)
    assert lines[0] == "Scanning: 0 of 1000"
    assert lines[5:] == [
        f"Scanning: {900 + n} of 1000, {(100 - n) // 60}:{(100 - n) % 60:02d} left" for n in range(5, 100)
    ]


def fulfilled(route: Any, said: Any) -> None:
    route.fulfill(json=said)


def test_rounds_are_counted_in_words(finished: Path, visit: Callable[..., Watched]) -> None:
    with served(finished) as address:
        watched = visit(address, "#/people")
        page = watched.page
        for rounds, said in ((1, "1 round"), (2, "2 rounds")):
            page.unroute_all()
            overview = {"home": "x", "vault": None, "configs": []}
            run = {"run": "outputs/ana", "person": "ana", "waiting": None, "rounds": rounds, "stop": None, "job": None}
            page.route("**/api/overview", functools.partial(fulfilled, said={**overview, "runs": [run]}))
            page.evaluate("location.hash = '#/runs?run=outputs/ana'")
            page.get_by_text(re.compile(f"^outputs/ana: {said}$")).wait_for()
            page.evaluate("location.hash = '#/people'")
            page.locator(".part.people h1").wait_for()
        watched.clean()


def command(key: str, **said: Any) -> dict[str, Any]:
    """A command on the run ``key`` as the server tells it."""
    argv = ["twinloop", "run", "--config", "small.json"]
    job = {"id": 7, "key": key, "command": argv, "state": "running", "progress": None, "lines": [], "exit_code": None}
    return {**job, **said}


def test_what_a_run_without_a_folder_says_is_followed(finished: Path, visit: Callable[..., Watched]) -> None:
    job = command("outputs/new", lines=["fetching the base model"])
    with served(finished) as address:
        watched = visit(address, "#/people")
        page = watched.page
        hurried(page)
        page.route("**/api/jobs?*", lambda route: route.fulfill(json=[job]))
        page.evaluate("location.hash = '#/runs?run=outputs/new'")
        text = page.locator(".status pre")
        text.get_by_text("fetching the base model").wait_for()
        job["lines"].append("half of it")
        job["progress"] = {"label": "Fetching", "done": 3, "total": 6}
        text.get_by_text("half of it").wait_for()
        page.get_by_text("Fetching: 3 of 6").wait_for()
        job["state"] = "stopping"
        page.get_by_role("button", name="Stopping…").wait_for()
        job["state"] = "stopped"
        page.locator("strong.state", has_text="stopped").wait_for()
        watched.clean()


def test_the_shown_run_stays_when_another_sorts_before_it(finished: Path, visit: Callable[..., Watched]) -> None:
    before: list[dict[str, Any]] = []

    def overview(route: Any) -> None:
        told = route.fetch().json()
        route.fulfill(json={**told, "runs": [*before, *told["runs"]]})

    with served(finished) as address:
        watched = visit(address, "#/people")
        page = watched.page
        hurried(page)
        page.route("**/api/overview", overview)
        page.evaluate("location.hash = '#/runs'")
        heading = page.locator(".detail h2")
        heading.get_by_text("outputs/ana").wait_for()
        before.append({"run": "outputs/aaa", "person": "ada", "rounds": 0})
        links = page.get_by_role("navigation", name="Runs and configurations").get_by_role("link")
        links.get_by_text("outputs/aaa: begun").wait_for()
        assert [link.get_attribute("aria-current") for link in links.all()] == [None, "true"]
        assert heading.inner_text().endswith("outputs/ana")
        watched.clean()


def test_the_newest_images_are_there_again_with_a_run_that_was_away(
    finished: Path, visit: Callable[..., Watched]
) -> None:
    job, away = command("outputs/ana"), [False]

    def overview(route: Any) -> None:
        told = route.fetch().json()
        route.fulfill(json={**told, "runs": [] if away[0] else told["runs"]})

    with served(finished) as address:
        watched = visit(address, "#/people")
        page = watched.page
        hurried(page)
        of_run(page, job=job)
        page.route("**/api/overview", overview)
        page.route("**/api/jobs?*", lambda route: route.fulfill(json=[job]))
        made = [{"folder": "synthetic_iter1", "file": "a.png"}]
        page.route("**/api/run/samples?*", lambda route: route.fulfill(json=made))
        page.route("**/api/run/made?*", lambda route: route.fulfill(content_type="image/svg+xml", body=DOT))
        page.evaluate("location.hash = '#/runs?run=outputs/ana'")
        images, rounds = page.locator(".samples img"), page.get_by_role("table", name=re.compile("Rounds"))
        images.wait_for()
        away[0] = True
        rounds.wait_for(state="detached")
        away[0] = False
        rounds.wait_for()
        images.wait_for()
        watched.clean()


def test_no_answer_is_told_after_another_error_and_in_a_hidden_tab(
    finished: Path, visit: Callable[..., Watched]
) -> None:
    job = command("outputs/ana")
    with served(finished) as address:
        page = visit(address, "#/people").page
        hurried(page)
        of_run(page, job=job)
        page.route("**/api/jobs?*", lambda route: route.fulfill(json=[job]))
        page.evaluate("location.hash = '#/runs?run=outputs/ana'")
        state, said = page.locator("strong.state"), page.locator("#said.problem")
        state.get_by_text("running").wait_for()
        page.route("**/api/jobs?*", lambda route: route.fulfill(status=500, json={"error": "x.json is damaged"}))
        said.get_by_text("x.json is damaged").wait_for()
        page.route("**/api/jobs?*", lambda route: route.abort())
        said.get_by_text("The server does not answer.").wait_for()
        assert state.inner_text() == "no answer"
        page.evaluate("Object.defineProperty(document, 'hidden', {value: true, configurable: true})")
        page.wait_for_timeout(1000)
        assert state.inner_text() == "no answer", "nobody was asked"
        page.evaluate("Object.defineProperty(document, 'hidden', {value: false, configurable: true})")
        page.route("**/api/jobs?*", lambda route: route.fulfill(json=[job]))
        state.get_by_text("running").wait_for()


def test_a_command_of_the_page_that_ends_is_no_run_of_somewhere_else(
    finished: Path, visit: Callable[..., Watched]
) -> None:
    """Not even until the run is read anew, which takes a while."""
    job, late = command("outputs/ana"), list[Any]()

    def of_the_run(route: Any) -> None:
        if job["state"] == "running":
            route.fulfill(json={**route.fetch().json(), "job": job, "process": os.getpid()})
        else:
            late.append(route)

    with served(finished) as address:
        watched = visit(address, "#/people")
        page = watched.page
        of_run(page)
        page.route("**/api/run?*", of_the_run)
        page.route("**/api/jobs?*", lambda route: route.fulfill(json=[job]))
        page.evaluate("location.hash = '#/runs?run=outputs/ana'")
        state = page.locator("strong.state")
        state.get_by_text("running").wait_for()
        job["state"] = "done"
        page.locator("#said", has_text="Done: twinloop run").wait_for()
        assert state.inner_text() == "done"
        assert page.get_by_role("button", name="Check again").is_visible(), "the run has ended: it has nowhere to go on"
        assert page.get_by_text("It was started outside of this page").count() == 0
        page.wait_for_timeout(100)
        for route in late:
            route.fulfill(json={**route.fetch().json(), "job": job})
        watched.clean()


def choice(page: Any, name: str) -> Any:
    return page.locator("label.choice", has_text=name).locator("select")


def of_run(page: Any, **said: Any) -> None:
    """The page is told this of every run, beside what the server knows."""
    page.route("**/api/run?*", lambda route: route.fulfill(json={**route.fetch().json(), **said}))
    page.route("**/api/run/panel?*", lambda route: route.fulfill(content_type="image/svg+xml", body=DOT))


FINAL = [
    (2, None, 2),
    (2, {"version": 3}, 3),
    (3, {"version": 2}, 2),
    (1, None, 4),
    (2, {"version": 1}, 4),
    (9, None, 4),
]
"""Of versions 1 to 4: which measured best, which a person picked, and which v1 is held against."""


def test_v1_is_held_against_the_final_version_or_the_latest(finished: Path, visit: Callable[..., Watched]) -> None:
    with served(finished) as address:
        watched = visit(address, "#/people")
        page = watched.page
        for best, picked, right in FINAL:
            page.unroute_all()
            of_run(page, best=best, picked=picked, panel_versions=[1, 2, 3, 4])
            page.evaluate("location.hash = '#/runs?run=outputs/ana'")
            choice(page, "Left").wait_for()
            shown = [choice(page, side).input_value() for side in ("Left", "Right")]
            assert shown == ["1", str(right)], (best, picked)
            page.evaluate("location.hash = '#/people'")
            page.locator(".part.people h1").wait_for()
        watched.clean()


def test_each_side_shows_its_own_version_of_the_prompt_that_is_named(
    finished: Path, visit: Callable[..., Watched]
) -> None:
    """In the pictures and in their words for a screen reader."""
    prompts = ["by a window", "at the sea", "in a car"]

    def side(picture: Any) -> tuple[str, str, str]:
        asked = parse_qs(urlsplit(picture.get_attribute("src")).query)
        return asked["version"][0], asked["number"][0], picture.get_attribute("alt")

    with served(finished) as address:
        watched = visit(address, "#/people")
        page = watched.page
        panel = [{"number": number, "prompt": prompt} for number, prompt in enumerate(prompts)]
        of_run(page, best=2, picked=None, panel_versions=[1, 2, 3], panel=panel)
        page.evaluate("location.hash = '#/runs?run=outputs/ana'")
        choice(page, "Left").wait_for()
        over, under = page.locator(".pair .over"), page.locator(".pair img").first
        compared = page.get_by_role("region", name="Compare versions")

        def shown(left: int, right: int, number: int) -> None:
            """Left is what the slider uncovers."""
            prompt = prompts[number]
            assert side(over) == (str(left), str(number), f"v{left}: {prompt}")
            assert side(under) == (str(right), str(number), f"v{right}: {prompt}")
            assert compared.get_by_text(f"{number + 1} of 3: {prompt}", exact=True).is_visible()

        shown(1, 2, 0)
        page.get_by_role("button", name="Previous prompt").click()
        shown(1, 2, 2)
        page.get_by_role("button", name="Next prompt").click()
        shown(1, 2, 0)
        page.get_by_role("button", name="Next prompt").click()
        shown(1, 2, 1)
        choice(page, "Right").select_option("3")
        shown(1, 3, 1)
        choice(page, "Left").select_option("2")
        shown(2, 3, 1)
        watched.clean()


@pytest.mark.slow
def test_a_nano_run_is_started_paused_and_resumed(tmp_path: Path, visit: Callable[..., Watched]) -> None:
    write_photo_set(tmp_path / "photos", seed=7, count=12, size=320)
    (tmp_path / "bootstrap_config.json").write_text(json.dumps(NANO_RUN))
    with served(tmp_path) as address:
        watched = visit(address, "#/runs")
        page = watched.page
        hurried(page)
        page.get_by_role("button", name="Start").click()
        page.get_by_text(re.compile("Training LoRA v1.*of 40")).wait_for(timeout=120_000)
        page.get_by_role("button", name="Pause").click()
        page.locator("strong.state", has_text="stopped").wait_for(timeout=60_000)
        assert not (tmp_path / "outputs/mira/loras/lora_v1.safetensors").exists()
        page.get_by_role("button", name="Continue").click()
        page.locator("strong.state", has_text="done").wait_for(timeout=240_000)
        assert (tmp_path / "outputs/mira/loras/lora.safetensors").exists()
        watched.clean()


def test_a_run_that_cannot_start_leaves_the_page_alone(tmp_path: Path, visit: Callable[..., Watched]) -> None:
    (tmp_path / "bootstrap_config.json").write_text(json.dumps(NANO_RUN))  # without any photos
    with served(tmp_path) as address:
        watched = visit(address, "#/constructor")  # no part of the page
        page = watched.page
        page.get_by_role("button", name="Start").click()
        page.locator("strong.state", has_text="failed").wait_for(timeout=60_000)
        page.locator("#said.problem", has_text="Failed: twinloop run --config bootstrap_config.json").wait_for()
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url.split("/", 3)[3]))
        page.get_by_role("button", name="Start bootstrap_config.json").focus()
        for _ in range(2):
            with page.expect_request("**/api/jobs?*"):
                pass
        assert page.evaluate("document.activeElement.textContent") == "Start"
        assert asked.count("api/overview") < 2
        watched.clean()


def test_a_part_that_comes_late_asks_for_nothing_more(finished: Path, visit: Callable[..., Watched]) -> None:
    with served(finished) as address:
        watched = visit(address, "#/people")
        page = watched.page
        page.locator(".part.people h1").wait_for()
        hurried(page)
        late = left_before_it_came(page, "runs?run=outputs/ana", "**/api/run?*", "people")
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        with page.expect_response("**/api/run?*"):
            late.continue_()
        page.wait_for_timeout(500)
        assert not any("/api/jobs" in address for address in asked), "it watches no command"
        watched.clean()


PARTS = ("review", "runs", "people", "dataset")
INK = "[getComputedStyle(document.body).color, getComputedStyle(document.documentElement).backgroundColor]"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_laptop_and_tablet_in_light_and_dark(
    finished: Path, visit: Callable[..., Watched], scheme: str
) -> None:
    """Each part is opened in another width, and shown in all of them."""
    widths = [1366, 820, 390]
    with served(finished) as address:
        watched = visit(address, "#/dataset", color_scheme=scheme)
        page = watched.page
        page.locator(".part.dataset h1").wait_for()
        for part in PARTS:
            for width in widths:
                page.set_viewport_size({"width": width, "height": 900})
                if width == widths[0]:
                    page.evaluate(f"location.hash = '#/{part}'")
                    page.locator(f".part.{part} h1").wait_for()
                settled(watched)
                assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), (part, width)
                assert page.evaluate("(one => one.scrollWidth <= one.clientWidth)(document.querySelector('.part'))"), (
                    part,
                    width,
                )
            widths.append(widths.pop(0))
        ink, ground = page.evaluate(INK)
        assert (sum(map(int, re.findall(r"\d+", ink)[:3])) < sum(map(int, re.findall(r"\d+", ground)[:3]))) == (
            scheme == "light"
        )
        watched.clean()


def test_a_likeness_that_no_face_gave_is_told_in_words(
    finished: Path, tmp_path: Path, visit: Callable[..., Watched]
) -> None:
    """It counts as 0, which reads like a measurement."""
    home = Path(shutil.copytree(finished, tmp_path / "home"))
    history = home / "outputs/ana/iteration_history.json"
    data = json.loads(history.read_text())
    images = len(data["panel"][0]["samples"]["overall"])
    data["panel"][0]["no_face"] = [True] * images
    data["panel"][1]["no_face"] = [True] + [False] * (images - 1)
    history.write_text(json.dumps(data))
    with served(home) as address:
        page = visit(address, "#/runs?run=outputs/ana").page
        rows = page.get_by_role("table", name="LoRAs on the fixed prompts").get_by_role("row")
        none, some = (rows.nth(number).inner_text() for number in (1, 2))
        assert none.count(f"no face in {images} of {images} images") == none.count("no face") >= 1
        assert f"), no face in 1 of {images} images" in some
