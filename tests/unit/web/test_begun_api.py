"""A run that has begun, before it goes on: what is other since, and what beginning anew would put away."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from tests.functional import loops
from tests.helpers.fake_photos import fake_photo
from twinloop.store.atomic import read_json
from twinloop.store.run.owner import OWNER

PLACES = {"output_dir": "outputs/ana", "lora_output_dir": "outputs/loras"}


@pytest.fixture(autouse=True)
def config(home: Path) -> Path:
    return loops.configuration(home / "my_config.json", **PLACES)


def since(client: TestClient) -> Any:
    answer = client.get("/api/run/since", params={"config": "my_config.json"})
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_nothing_is_told_where_nothing_is_other(client: TestClient) -> None:
    assert since(client) == {"changes": None, "refused": False}


def test_what_came_is_told_and_the_run_may_go_on(client: TestClient, home: Path) -> None:
    for number in range(2):
        fake_photo(home / f"photos/later_{number}.png", seed=900 + number)
    (home / "photos/IMG_0001.txt").write_text("ohwx ana, at sea")
    assert since(client) == {"changes": "2 pictures came, 1 caption is different", "refused": False}


def test_what_changed_or_went_is_told_and_the_run_does_not_go_on(client: TestClient, home: Path) -> None:
    fake_photo(home / "photos/IMG_0003.png", seed=900)
    (home / "photos/IMG_0004.png").unlink()
    assert since(client) == {"changes": "1 picture was changed, 1 picture is gone", "refused": True}


@pytest.mark.parametrize(
    ("changes", "said"),
    [({"seed": 5}, "other settings (seed)"), ({"person_name": "bea"}, "other settings (person_name)")],
)
def test_settings_that_are_others_are_told_by_name(
    client: TestClient, home: Path, changes: dict[str, Any], said: str
) -> None:
    loops.configuration(home / "my_config.json", **PLACES, **changes)
    assert since(client) == {"changes": said, "refused": True}


def test_what_cannot_be_told_is_left_to_the_command(client: TestClient, home: Path) -> None:
    (home / "my_config.json").write_text('{"person_name": "x", "output_dir": "outputs/ana"}')
    assert since(client)["changes"] is None
    (home / "outputs/ana/dataset_iter0.json").write_text("damaged")
    loops.configuration(home / "my_config.json", **PLACES)
    assert since(client)["changes"] is None
    assert client.get("/api/run/since", params={"config": "../x.json"}).status_code == 400


def test_before_a_run_begins_anew_it_is_told_what_is_put_away_and_where(client: TestClient, home: Path) -> None:
    (home / "outputs/ana.old1").mkdir()
    found = client.get("/api/run/anew", params={"config": "my_config.json"}).json()
    assert found["places"] == [
        "outputs/ana becomes outputs/ana.old2",
        "outputs/loras becomes outputs/loras.old1",
    ]
    history = read_json(home / "outputs/ana/iteration_history.json")
    images = len(list((home / "outputs/ana").glob("synthetic_iter*/*.png")))
    assert images > 2 and len(history["iterations"]) == 2
    assert found["work"] == f"2 rounds, {images} images and {len(history['loras'])} LoRAs"
    (home / "outputs/loras/anime.safetensors").write_text("somebody else's")
    found = client.get("/api/run/anew", params={"config": "my_config.json"}).json()
    assert found["places"][1] == "the run's LoRAs of outputs/loras go to outputs/loras.old1"
    assert (home / "outputs/loras/lora_v1.json").exists(), "only told"


def test_what_the_new_run_needs_is_not_put_away(client: TestClient, home: Path) -> None:
    (home / "photos").rename(home / "outputs/ana/photos")
    loops.configuration(home / "my_config.json", **PLACES, dataset_dir="outputs/ana/photos")
    answer = client.get("/api/run/anew", params={"config": "my_config.json"})
    assert answer.status_code == 400 and "would move dataset_dir" in answer.json()["error"]


def ended(client: TestClient) -> Any:
    for _ in range(600):
        job = client.get("/api/jobs", params={"key": "outputs/ana"}).json()[-1]
        if job["state"] != "running":
            return job
        time.sleep(0.1)
    raise AssertionError(job)


def test_a_run_begins_anew_and_the_old_one_is_kept(client: TestClient, home: Path) -> None:
    loops.configuration(home / "my_config.json", **PLACES, seed=5, max_iterations=1)
    before = read_json(home / "outputs/ana/run.json")["settings"]["seed"]
    started = client.post("/api/jobs/run", json={"config": "my_config.json", "restart": True}).json()
    assert started["command"] == ["twinloop", "run", "--restart", "--config", "my_config.json"]
    assert ended(client)["state"] == "done"
    assert read_json(home / "outputs/ana/run.json")["settings"]["seed"] == 5 != before
    assert read_json(home / "outputs/ana.old1/run.json")["settings"]["seed"] == before
    assert (home / "outputs/loras.old1/lora_v1.safetensors").is_file()
    assert since(client)["changes"] is None


def test_another_run_than_was_named_is_not_put_away(client: TestClient, home: Path) -> None:
    """The question stands in another tab, say, and the run has begun anew meanwhile."""
    asked = {"config": "my_config.json", "restart": True}
    named = client.get("/api/run/anew", params={"config": "my_config.json"}).json()
    loops.configuration(home / "my_config.json", **PLACES, max_iterations=1)
    assert client.post("/api/jobs/run", json={**asked, "named": named}).status_code == 200, "it still is"
    assert ended(client)["state"] == "done"
    answer = client.post("/api/jobs/run", json={**asked, "named": named})
    assert answer.status_code == 409 and "is not what it was when you were asked" in answer.json()["error"]
    assert client.get("/api/jobs", params={"key": "outputs/ana"}).json()[-1]["state"] == "done"
    assert not (home / "outputs/ana.old2").exists() and (home / "outputs/ana/run.json").exists()


def test_a_restart_that_was_stopped_half_way_is_done_first(client: TestClient, home: Path) -> None:
    """As in the menu: the run's folder is put aside, its LoRAs are not."""
    shutil.rmtree(home / "outputs/ana")
    (home / "outputs/loras" / OWNER).write_text(json.dumps({"output_dir": "outputs/ana", "restarting": True}))
    started = client.post("/api/jobs/run", json={"config": "my_config.json"}).json()
    client.post("/api/jobs/pause", json={"key": "outputs/ana"})
    assert "--restart" in started["command"]
