"""Images of a round with their checks, a person's word on them, and the photos they are compared with."""

from __future__ import annotations

import io
import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from PIL import Image

from twinloop.domain.records import Dataset
from twinloop.store.run.catalog import Catalog

ROUND: dict[str, str | int] = {"run": "outputs/ana", "iteration": 1}


def images(client: TestClient) -> Any:
    return client.get("/api/review", params=ROUND).json()


def test_each_image_comes_with_value_and_limit_of_every_check(client: TestClient) -> None:
    found = images(client)
    assert found["images"] and not found["waits"]
    for item in found["images"]:
        assert (
            item["prompt"]
            and item["checks"]
            and all({"check", "value", "limit", "outcome"} <= check.keys() for check in item["checks"])
        )


def test_a_word_is_kept_and_taken_back(client: TestClient, home: Path) -> None:
    name = images(client)["images"][0]["image"]
    assert (
        client.post("/api/review", json={**ROUND, "opinions": {name: "rejected"}}).json()["decisions"][name]["outcome"]
        == "rejected"
    )
    assert images(client)["images"][0]["said"] == "rejected"
    assert json.loads((home / "outputs/ana/review_iter1.json").read_text())["decisions"].keys() == {name}
    client.post("/api/review", json={**ROUND, "opinions": {name: None}})
    assert images(client)["images"][0]["said"] is None


def test_mistakes_are_told(client: TestClient) -> None:
    wrong = client.post("/api/review", json={**ROUND, "opinions": {"x.png": "approved"}})
    assert wrong.status_code == 400 and "No such image" in wrong.json()["error"]
    assert client.get("/api/review", params={**ROUND, "iteration": 9}).status_code == 404
    assert client.post("/api/review", json={**ROUND, "opinions": {"x.png": "maybe"}}).status_code == 422
    client.post("/api/review/finish", json=ROUND)
    name = images(client)["images"][0]["image"]
    assert client.post("/api/review", json={**ROUND, "opinions": {name: "approved"}}).status_code == 409


@pytest.mark.parametrize("iteration", [77, 0, -3])
def test_only_a_round_that_was_judged_is_finished(client: TestClient, home: Path, iteration: int) -> None:
    answer = client.post("/api/review/finish", json={**ROUND, "iteration": iteration})
    assert answer.status_code == 404 and f"Round {iteration} has no verdicts yet" in answer.json()["error"]
    assert list((home / "outputs/ana").glob("review_iter*")) == []


def test_what_was_given_up_early_is_counted_and_not_asked_about(client: TestClient, home: Path) -> None:
    path = home / "outputs/ana/verdicts_iter1.json"
    verdicts = json.loads(path.read_text())
    before = [item["image"] for item in images(client)["images"]]
    verdicts["verdicts"][0]["rejected_early"], verdicts["rejected_early"] = 0.6, 1
    path.write_text(json.dumps(verdicts))
    found = images(client)
    assert [item["image"] for item in found["images"]] == before[1:] and found["rejected_early"] == 1
    assert client.post("/api/review", json={**ROUND, "opinions": {before[0]: "approved"}}).status_code == 400


def test_the_nearest_photos_are_ranked_and_shown(client: TestClient) -> None:
    name = images(client)["images"][0]["image"]
    found = client.get("/api/review/nearest", params={**ROUND, "image": name}).json()
    values = [item["similarity"] for item in found]
    assert len(found) == 3 and values == sorted(values, reverse=True) and found[0]["by"] == "identity"
    answer = client.get("/api/review/photo", params={"run": "outputs/ana", "sha256": found[0]["sha256"]})
    with Image.open(io.BytesIO(answer.content)) as picture:
        assert picture.format == "WEBP" and max(picture.size) <= 256
    assert answer.headers["cache-control"] == "no-store", "a real photo"
    shown = images(client)["images"][0]
    made = client.get("/api/review/picture", params={**ROUND, "image": shown["image"], "sha256": shown["sha256"]})
    assert "immutable" in made.headers["cache-control"], "a made one, addressed by its content"


def test_comparing_changes_nothing_in_the_run(client: TestClient, home: Path) -> None:
    """Not even in a catalogue as another version of this program left it."""
    with closing(sqlite3.connect(home / "outputs/ana/catalog.sqlite")) as catalog:
        catalog.execute("PRAGMA user_version = 0")
    before = {path: path.read_bytes() for path in (home / "outputs/ana").iterdir() if path.is_file()}
    name = images(client)["images"][0]["image"]
    assert client.get("/api/review/nearest", params={**ROUND, "image": name}).json()
    assert {path: path.read_bytes() for path in (home / "outputs/ana").iterdir() if path.is_file()} == before


def test_photos_are_read_once_until_the_catalogue_changes(
    client: TestClient, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    get = Catalog.get
    monkeypatch.setattr(Catalog, "get", lambda self, sha256, by: asked.append(sha256) or get(self, sha256, by))
    shown = images(client)["images"][:3]
    photos = Dataset.from_json(json.loads((home / "outputs/ana/dataset_iter0.json").read_text())).real

    def nearest(image: str) -> Any:
        return client.get("/api/review/nearest", params={**ROUND, "image": image}).json()

    assert all(nearest(item["image"]) for item in shown)
    assert len(asked) == len(photos) + len(shown)
    first = nearest(shown[0]["image"])[0]
    with Catalog(home / "outputs/ana/catalog.sqlite") as catalog:
        catalog.run("DELETE FROM observation WHERE sha256 = ?", (first["sha256"],))
    assert first["sha256"] not in [item["sha256"] for item in nearest(shown[0]["image"])]


def test_a_made_picture_keeps_its_mark(client: TestClient) -> None:
    name = images(client)["images"][0]["image"]
    answer = client.get("/api/review/picture", params={**ROUND, "image": name, "size": 1280})
    assert b"trainedAlgorithmicMedia" in answer.content
    assert client.get("/api/review/picture", params={**ROUND, "image": name, "size": 99999}).status_code == 400


@pytest.mark.parametrize("image", ["../../../photos/IMG_0000.png", "nothing.png"])
def test_only_images_of_the_round(client: TestClient, image: str) -> None:
    assert client.get("/api/review/picture", params={**ROUND, "image": image}).status_code == 400
