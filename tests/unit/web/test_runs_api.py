"""Runs, their panel, and the version that a person picks; commands that are started, paused and go on."""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from tests.functional import loops
from tests.functional.console import configuration


def test_runs_and_configurations_are_found(client: TestClient, home: Path) -> None:
    configuration(home)
    found = client.get("/api/overview").json()
    assert [run["run"] for run in found["runs"]] == ["outputs/ana"] and found["runs"][0]["stop"] is not None
    assert [item["config"] for item in found["configs"]] == ["bootstrap_config.json"]


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


def test_samples_are_the_newest_images(client: TestClient) -> None:
    found = client.get("/api/run/samples", params={"run": "outputs/ana", "count": 3}).json()
    assert len(found) == 3
    assert client.get("/api/run/made", params={"run": "outputs/ana", **found[0]}).status_code == 200


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
    loops.run(loops.settings(output_dir="outputs/ana", lora_output_dir="outputs/loras"))
    assert (loras / "lora.safetensors").read_bytes() == (loras / "lora_v1.safetensors").read_bytes()
    assert client.post("/api/run/pick", json={"run": "outputs/ana", "version": 77}).status_code == 400


def wait(client: TestClient, *states: str) -> Any:
    for _ in range(600):
        job = client.get("/api/jobs").json()[-1]
        if job["state"] in states:
            return job
        time.sleep(0.1)
    raise AssertionError(f"still {job}")


@pytest.mark.slow
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


def test_a_configuration_with_mistakes_starts_nothing(client: TestClient, home: Path) -> None:
    (home / "my_config.json").write_text('{"person_name": "x"}')
    answer = client.post("/api/jobs/run", json={"config": "my_config.json"})
    assert answer.status_code == 400 and "dataset_dir: is required" in answer.json()["error"]
    assert client.get("/api/jobs").json() == []
