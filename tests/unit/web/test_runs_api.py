"""Runs, their panel, and the version that a person picks; commands that are started, paused and go on."""

from __future__ import annotations

import json
import os
import re
import shutil
import time
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from tests.functional import loops
from tests.functional.console import configuration
from twinloop.cli.app import main
from twinloop.report.answer import answer
from twinloop.report.reading import read_run
from twinloop.store import atomic
from twinloop.store.atomic import read_json
from twinloop.store.lock import locked
from twinloop.store.run.workspace import Workspace
from twinloop.web import recorded as recording
from twinloop.web.api import runs
from twinloop.web.recorded import recorded


def test_runs_and_configurations_are_found(client: TestClient, home: Path) -> None:
    configuration(home)
    found = client.get("/api/overview").json()
    assert [run["run"] for run in found["runs"]] == ["outputs/ana"] and found["runs"][0]["stop"] is not None
    assert [item["config"] for item in found["configs"]] == ["bootstrap_config.json"]


def test_a_look_at_a_strangers_run_waits_for_no_pipe_and_empties_no_file(client: TestClient, home: Path) -> None:
    (home / "thesis.txt").write_text("ten years of work\n")
    stranger = home / "outputs/stranger"
    stranger.mkdir()
    (stranger / "run.json").write_text("{}")
    (stranger / ".lock").symlink_to("../../thesis.txt")
    for name in ("iteration_history.json", "started_with.json", "run_config.json"):
        os.mkfifo(stranger / name)
    found = client.get("/api/overview").json()
    assert [run["run"] for run in found["runs"]] == ["outputs/ana", "outputs/stranger"]
    assert (home / "thesis.txt").read_text() == "ten years of work\n"


def test_a_run_shows_its_figures_as_recorded(client: TestClient, home: Path) -> None:
    found = client.get("/api/run", params={"run": "outputs/ana"}).json()
    history = json.loads((home / "outputs/ana/iteration_history.json").read_text())
    assert (
        found["iterations"] == history["iterations"]
        and found["scores"] == history["panel"]
        and found["best"] == history["best_version"]
    )
    assert len(found["panel"]) == 4 and 1 in found["panel_versions"]
    for version in found["panel_versions"]:
        assert (
            client.get("/api/run/panel", params={"run": "outputs/ana", "version": version, "number": 3}).status_code
            == 200
        )
    assert client.get("/api/run/panel", params={"run": "outputs/ana", "version": 1, "number": 4}).status_code == 404


@pytest.mark.parametrize("run", ["\0", "outputs/ana\0"])
def test_no_run_has_such_a_name(client: TestClient, run: str) -> None:
    assert client.get("/api/run", params={"run": run}).status_code == 400
    assert (
        client.get("/api/run/made", params={"run": "outputs/ana", "folder": "panel_v1", "file": run}).status_code == 400
    )


def test_a_configuration_without_output_dir_has_the_usual_one(client: TestClient, home: Path) -> None:
    (home / "tsconfig.json").write_text("{}")  # another program's
    mine = loops.configuration(home / "my_config.json")
    mine.write_text(json.dumps({name: value for name, value in read_json(mine).items() if name != "output_dir"}))
    shutil.copytree(home / "outputs/ana", home / "outputs/bootstrap")
    assert client.get("/api/run", params={"run": "outputs/bootstrap"}).json()["config"] == "my_config.json"
    found = client.get("/api/overview").json()
    assert {run["run"]: run["config"] for run in found["runs"]} == {
        "outputs/ana": None,
        "outputs/bootstrap": "my_config.json",
    }
    assert {item["config"]: item["output_dir"] for item in found["configs"]} == {
        "my_config.json": "outputs/bootstrap",
        "tsconfig.json": "",
    }


def test_each_record_is_read_once_however_many_runs_there_are(
    client: TestClient, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(40):
        shutil.copytree(
            home / "outputs/ana", home / f"outputs/run{number}", ignore=shutil.ignore_patterns("*_v*", "*.png")
        )
        loops.configuration(home / f"config{number}.json", output_dir=f"outputs/run{number}")
    asked: list[Path] = []
    read: list[Path] = []

    def ask(path: Path) -> Any:
        asked.append(path)
        return recorded(path)

    def from_disk(path: Path) -> Any:
        read.append(path)
        return read_json(path)

    monkeypatch.setattr(runs, "recorded", ask)
    monkeypatch.setattr(recording, "read_json", from_disk)
    found = client.get("/api/overview").json()
    assert {run["run"]: run["config"] for run in found["runs"] if run["config"]} == {
        f"outputs/run{number}": f"config{number}.json" for number in range(40)
    }
    assert sum(path.name.startswith("config") for path in asked) <= 2 * 40, "not each for each run"
    read.clear()
    walked: list[Path] = []
    walk = os.walk
    monkeypatch.setattr(os, "walk", lambda path: walked.append(path) or walk(path))
    client.get("/api/overview")
    assert read == [], "the second time, from memory"
    assert walked == [home / "outputs"], "searched for runs once"


def of_ana(client: TestClient) -> Any:
    return client.get("/api/run", params={"run": "outputs/ana"}).json()


def test_a_run_goes_on_with_the_configuration_that_it_was_started_with(client: TestClient, home: Path) -> None:
    """Whatever its name, and whichever others name the same folder; none that is gone or another run's by now."""
    said = home / "outputs/ana/started_with.json"
    loops.configuration(home / "a_config.json", output_dir="outputs/ana", base_model="nano", training={})
    assert of_ana(client)["config"] is None, "another base model"
    loops.configuration(home / "z_config.json", output_dir="outputs/ana")
    assert of_ana(client)["config"] == "z_config.json", "it has the run's settings"
    small = loops.configuration(home / "small.json", output_dir="outputs/ana")
    assert of_ana(client)["config"] == "z_config.json"
    said.write_text('{"config": "small.json"}')
    assert of_ana(client)["config"] == "small.json"
    found = client.get("/api/overview").json()
    assert found["runs"][0]["config"] == "small.json"
    assert {item["config"]: item["run"] for item in found["configs"]}["small.json"] == "outputs/ana"
    started = client.post("/api/jobs/run", json={"config": "small.json"})
    assert started.json()["command"][-1] == "small.json"
    for _ in range(600):
        if client.get("/api/jobs", params={"key": "outputs/ana"}).json()[-1]["state"] == "done":
            break
        time.sleep(0.1)
    assert read_json(said) == {"config": "small.json"}
    loops.configuration(small, output_dir="outputs/elsewhere")
    assert of_ana(client)["config"] == "z_config.json"
    small.unlink()
    assert of_ana(client)["config"] == "z_config.json"
    said.write_text('{"config": 7}')
    assert of_ana(client)["config"] == "z_config.json"


def test_a_start_that_is_refused_does_not_become_the_run_s_own(home: Path) -> None:
    loops.configuration(home / "other.json", output_dir="outputs/ana", lora_output_dir="outputs/loras", seed=5)
    assert main(["run", "--config", "other.json"]) != 0
    assert not (home / "outputs/ana/started_with.json").exists()
    loops.configuration(home / "own.json", output_dir="outputs/ana", lora_output_dir="outputs/loras")
    assert main(["run", "--config", "own.json"]) == 0
    assert read_json(home / "outputs/ana/started_with.json") == {"config": "own.json"}


def test_it_says_whether_the_lora_is_better_in_the_words_of_the_report(client: TestClient, home: Path) -> None:
    said = of_ana(client)["better_than_v1"]
    assert said == answer(read_run(Workspace(home / "outputs/ana", home / "outputs/loras"))).against_v1
    (home / "outputs/ana/panel_v1.json").write_text("damaged")
    assert of_ana(client)["better_than_v1"] is None and of_ana(client)["stop"] is not None


def test_a_look_at_a_run_reads_what_it_shows_and_nothing_else(
    client: TestClient, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not the verdicts, datasets and gaps of each round; and of the rounds that there are not, only the first is asked
    for.
    """
    opened: list[str] = []
    asked: list[int] = []
    verdicts = Workspace.verdicts
    monkeypatch.setattr(Workspace, "verdicts", lambda space, number: asked.append(number) or verdicts(space, number))
    for module in (atomic, recording):
        monkeypatch.setattr(module, "read_json", lambda path: opened.append(path.name) or read_json(path))
    found = of_ana(client)
    rounds = len(found["iterations"])
    assert found["better_than_v1"] and found["reviews"] == list(range(1, rounds + 1))
    assert len(asked) <= rounds + 2
    records = {name for name in opened if re.search(r"_(iter|v)\d", name)}
    assert records == {f"panel_v{lora['version']}.json" for lora in found["loras"]}


def test_a_run_that_waits_for_a_review_is_known_from_its_files(client: TestClient, home: Path) -> None:
    run = home / "outputs/ana"

    def waiting() -> Any:
        return client.get("/api/run", params={"run": "outputs/ana"}).json()["waiting"]

    assert waiting() is None
    record = json.loads((run / "run.json").read_text())
    record["settings"]["review"] = "first_round"
    (run / "run.json").write_text(json.dumps(record))
    assert waiting() is None, "it is over"
    history = json.loads((run / "iteration_history.json").read_text())
    (run / "iteration_history.json").write_text(json.dumps({**history, "iterations": [], "stop": None}))
    assert waiting() is None, "its first round went on"
    (run / "dataset_iter1.json").unlink()
    assert waiting() == 1
    (run / "review_iter1.json").write_text("damaged")
    assert client.get("/api/overview").json()["runs"][0]["waiting"] == 1
    (run / "review_iter1.json").unlink()
    client.post("/api/review/finish", json={"run": "outputs/ana", "iteration": 1})
    assert waiting() is None


def test_an_image_that_is_moved_away_meanwhile_is_left_out(client: TestClient, home: Path) -> None:
    (home / "outputs/ana/panel_v1/zz_moved.png").symlink_to(home / "nowhere.png")
    found = client.get("/api/run/samples", params={"run": "outputs/ana", "count": 100})
    assert found.status_code == 200 and found.json() and "zz_moved.png" not in {item["file"] for item in found.json()}


def test_samples_are_the_newest_images(client: TestClient) -> None:
    found = client.get("/api/run/samples", params={"run": "outputs/ana", "count": 3}).json()
    assert len(found) == 3
    assert client.get("/api/run/made", params={"run": "outputs/ana", **found[0]}).status_code == 200


def test_only_the_newest_folders_are_looked_into_for_samples(
    client: TestClient, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = home / "outputs/ana"
    for number in range(20, 80):
        folder = run / f"synthetic_iter{number}"
        folder.mkdir()
        for file in range(4):
            (folder / f"{file}.png").touch()
            os.utime(folder / f"{file}.png", (2_000_000_000 + 10 * number + file,) * 2)
        os.utime(folder, (2_000_000_003 + 10 * number,) * 2)
    looked: list[str] = []
    scandir = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: looked.append(Path(path).name) or scandir(path))
    found = client.get("/api/run/samples", params={"run": "outputs/ana", "count": 8}).json()
    assert [(item["folder"], item["file"]) for item in found] == [
        (f"synthetic_iter{number}", f"{file}.png") for number in (79, 78) for file in (3, 2, 1, 0)
    ]
    assert [name for name in looked if name.startswith("synthetic_")] == ["synthetic_iter79", "synthetic_iter78"]
    (run / "synthetic_iter20/new.png").touch()
    os.utime(run / "synthetic_iter20/new.png", (2_100_000_000,) * 2)
    os.utime(run / "synthetic_iter20", (2_100_000_000,) * 2)
    found = client.get("/api/run/samples", params={"run": "outputs/ana", "count": 2}).json()
    assert [item["file"] for item in found] == ["new.png", "3.png"]


def test_what_a_training_draws_on_its_way_is_among_them(client: TestClient, home: Path) -> None:
    drawn = home / "outputs/ana/samples_v9/step_000250/sample_01.png"
    drawn.parent.mkdir(parents=True)
    shutil.copy(next((home / "outputs/ana/panel_v1").glob("*.png")), drawn)
    os.utime(drawn, (2_000_000_000, 2_000_000_000))
    newest = client.get("/api/run/samples", params={"run": "outputs/ana", "count": 1}).json()
    assert newest == [{"folder": "samples_v9/step_000250", "file": "sample_01.png"}]
    assert client.get("/api/run/made", params={"run": "outputs/ana", **newest[0]}).status_code == 200


def test_the_picked_version_becomes_the_final_file_and_stays_it(client: TestClient, home: Path) -> None:
    loras = home / "outputs/loras"
    answer = client.post("/api/run/pick", json={"run": "outputs/ana", "version": 1})
    assert answer.status_code == 200, answer.text
    assert (loras / "lora.safetensors").read_bytes() == (loras / "lora_v1.safetensors").read_bytes()
    assert client.get("/api/run", params={"run": "outputs/ana"}).json()["picked"]["version"] == 1
    assert "Picked by a person: v1" in client.get("/api/run/report", params={"run": "outputs/ana"}).text
    loops.run(loops.settings(output_dir="outputs/ana", lora_output_dir="outputs/loras"))
    assert (loras / "lora.safetensors").read_bytes() == (loras / "lora_v1.safetensors").read_bytes()
    assert client.post("/api/run/pick", json={"run": "outputs/ana", "version": 77}).status_code == 400


def test_a_run_that_was_moved_with_its_loras_keeps_its_own(client: TestClient, home: Path) -> None:
    moved = home / "outputs/old/outputs"
    moved.mkdir(parents=True)
    shutil.copytree(home / "outputs/loras", moved / "loras")
    (home / "outputs/ana").rename(moved / "ana")
    answer = client.post("/api/run/pick", json={"run": "outputs/old/outputs/ana", "version": 1})
    assert answer.status_code == 200, answer.text
    assert (moved / "loras/final.json").is_file() and not (home / "outputs/loras/final.json").exists()
    assert client.get("/api/run", params={"run": "outputs/old/outputs/ana"}).json()["picked"]["version"] == 1


def wait(client: TestClient, *states: str) -> Any:
    for _ in range(600):
        job = client.get("/api/jobs", params={"key": "outputs/new"}).json()[-1]
        if job["state"] in states:
            return job
        time.sleep(0.1)
    raise AssertionError(f"still {job}")


def test_a_run_is_started_paused_and_goes_on(client: TestClient, home: Path) -> None:
    configuration(
        home,
        output_dir="outputs/new",
        lora_output_dir="outputs/new_loras",
        training={"steps": 3},
        generation={"num_per_gap": 6},
    )
    started = client.post("/api/jobs/run", json={"config": "bootstrap_config.json"})
    assert started.status_code == 200 and started.json()["state"] == "running"
    assert client.post("/api/jobs/run", json={"config": "bootstrap_config.json"}).status_code == 409, "one at a time"
    while not (home / "outputs/new/journal.jsonl").exists():  # under way
        time.sleep(0.05)
    assert client.post("/api/jobs/pause", json={"key": "outputs/new"}).status_code == 200
    paused = wait(client, "stopped", "done")
    if paused["state"] == "stopped":
        assert client.post("/api/jobs/pause", json={"key": "outputs/new"}).status_code == 409
        client.post("/api/jobs/run", json={"config": "bootstrap_config.json"})
    done = wait(client, "done", "failed")
    assert done["state"] == "done" and any("Convergence" in line or "Stopped" in line for line in done["lines"]), done
    assert (home / "outputs/new/report.html").exists()


def test_a_run_that_another_process_works_on_is_known_and_not_started_again(client: TestClient, home: Path) -> None:
    loops.configuration(home / "small.json", output_dir="outputs/ana")
    lock = home / "outputs/ana/.lock"
    assert of_ana(client)["process"] is None
    with locked(home / "outputs/ana"):
        assert of_ana(client)["process"] == str(os.getpid())
        (home / "outputs/ana/started_with.json").write_text('{"config": "small.json"}')
        refused = client.post("/api/jobs/run", json={"config": "small.json"})
        assert refused.status_code == 409
        assert f"in use by another run (process {os.getpid()}). Nothing was started" in refused.json()["error"]
    lock.write_text(" 12345\n")  # of a process that was killed
    assert of_ana(client)["process"] is None and lock.read_bytes() == b" 12345\n", "looked at, and not touched"


def test_a_report_names_the_files_that_it_cannot_lead_to(client: TestClient, home: Path) -> None:
    path = home / "outputs/ana/report.html"
    text = path.read_text()
    for link in ('<a href="panel_v1/a.png"><img src="data:," alt="a"></a>', '<a href="a%00b">no name</a>'):
        text = text.replace("</main>", f"{link}</main>")
    path.write_text(text)
    found = client.get("/api/run/report", params={"run": "outputs/ana"}).text
    assert re.findall(r'<a [^>]*href="(?!#)[^"]*"', text) and not re.findall(r'<a [^>]*href="(?!#)[^"]*"', found)
    assert 'href="#answer"' in found
    for file in ("outputs/loras/lora.safetensors", "outputs/ana/run.json", "outputs/ana/synthetic_iter1"):
        assert f"<code>{file}</code>" in found
    assert "panel_v1/a.png" not in found and runs.FILES_ARE_NAMED in found and runs.LINKS_WORK not in found


def test_it_says_where_the_final_lora_lies(client: TestClient, home: Path) -> None:
    assert of_ana(client)["final_files"] == {"lora": "outputs/loras/lora.safetensors", "kohya": None}
    (home / "outputs/loras/lora_kohya.safetensors").touch()
    assert of_ana(client)["final_files"]["kohya"] == "outputs/loras/lora_kohya.safetensors"
    (home / "outputs/loras/lora.safetensors").unlink()
    assert of_ana(client)["final_files"]["lora"] is None


def test_a_configuration_with_mistakes_starts_nothing(client: TestClient, home: Path) -> None:
    (home / "my_config.json").write_text('{"person_name": "x"}')
    answer = client.post("/api/jobs/run", json={"config": "my_config.json"})
    assert answer.status_code == 400 and "dataset_dir: is required" in answer.json()["error"]
    assert client.get("/api/jobs").json() == []


def test_versions_whose_panel_is_gone_are_not_compared(client: TestClient, home: Path) -> None:
    versions = client.get("/api/run", params={"run": "outputs/ana"}).json()["panel_versions"]
    shutil.rmtree(home / f"outputs/ana/panel_v{versions[-1]}")
    assert client.get("/api/run", params={"run": "outputs/ana"}).json()["panel_versions"] == versions[:-1]
