"""The vault's own commands, started from the page."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from tests.functional import vaults
from tests.helpers.fake_photos import fake_photo
from tests.unit.web.conftest import BASE, TOKEN
from twinloop.errors import StateError
from twinloop.store.lock import locked
from twinloop.web.app import create_app
from twinloop.web.jobs import Job, Jobs
from twinloop.web.site import Site


def ended(client: TestClient) -> Any:
    for _ in range(600):
        job = client.get("/api/vault").json()["job"]
        if job["state"] not in ("running", "stopping"):
            return job
        time.sleep(0.1)
    raise AssertionError(f"still {job}")


def test_from_a_folder_to_a_training_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home"
    home.mkdir()
    vaults.write_photos(tmp_path / "photos")
    monkeypatch.chdir(home)
    with TestClient(create_app(Site(TOKEN, home)), base_url=BASE, headers={"origin": BASE}) as client:
        client.get(f"/?token={TOKEN}")
        started = client.post("/api/vault/scan", json={"folder": str(tmp_path / "photos"), "models_dir": "fake"}).json()
        assert started["key"] == "outputs/facevault" and started["command"] == [
            "twinloop",
            "vault",
            "scan",
            str(tmp_path / "photos"),
            "--models-dir",
            "fake",
            "--vault",
            "outputs/facevault",
        ]
        assert client.post("/api/vault/cluster", json={}).status_code == 409, "one command at a time"
        assert ended(client)["state"] == "done"
        assert (
            client.get("/api/vault").json()["status"]["people"] is None and client.get("/api/people").status_code == 404
        )
        client.post("/api/vault/cluster", json={})
        assert ended(client)["state"] == "done" and len(client.get("/api/people").json()["people"]) == 3
        client.post("/api/dataset/label", json={"person": "p001", "trigger": "ohwx ana"})
        client.post("/api/vault/prep", json={"person": "p001"})
        assert ended(client)["state"] == "done" and len(client.get("/api/dataset?person=p001").json()["captions"]) == 11
        client.post("/api/vault/analyze", json={"person": "p001"})
        assert ended(client)["state"] == "done", ended(client)
        measured = client.get("/api/dataset/shares?person=p001").json()["measured"]
        assert (
            measured["from"] == "outputs/facevault/gaps/p001.json"
            and measured["facets"]["face_angle"]["measured"] == measured["images"] > 0
        )


@pytest.mark.parametrize("folder", ["", "  ", "nowhere", "/etc/passwd", "a\0b"])
def test_a_folder_that_is_not_there(client: TestClient, folder: str) -> None:
    answer = client.post("/api/vault/scan", json={"folder": folder})
    assert answer.status_code == 400 and "No folder" in answer.json()["error"]
    assert client.get("/api/jobs").json() == []


def test_a_folder_that_looks_like_a_flag(client: TestClient, home: Path) -> None:
    (home / "--remove").mkdir()
    assert client.post("/api/vault/scan", json={"folder": "--remove"}).json()["command"][3] == "./--remove"
    ended(client)


@pytest.mark.parametrize("verb", ["prep", "caption", "analyze"])
def test_only_people_of_the_vault(vault_client: TestClient, verb: str) -> None:
    for person in ("nobody", "--vault", "../p001", ""):
        answer = vault_client.post(f"/api/vault/{verb}", json={"person": person})
        assert answer.status_code == 400 and "Nobody is called" in answer.json()["error"]
    assert vault_client.get("/api/jobs").json() == []


def test_nothing_to_analyse_before_prep(vault_client: TestClient) -> None:
    answer = vault_client.post("/api/vault/analyze", json={"person": "p002"})
    assert answer.status_code == 404 and "twinloop vault prep p002" in answer.json()["error"]


def test_what_is_typed_is_a_path_and_never_an_option(
    vault_home: Path, vault_client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[list[str]] = []

    def refuse(_: Jobs, key: str, argv: Sequence[str]) -> Job:
        seen.append(list(argv))
        raise StateError("enough seen")

    monkeypatch.setattr(Jobs, "start", refuse)
    monkeypatch.setenv("HOME", str(vault_home))
    (vault_home / "--catalog=x").mkdir()
    (vault_home / "Pictures").mkdir()
    for folder in ("--catalog=x", "~/Pictures", " Pictures "):
        assert vault_client.post("/api/vault/scan", json={"folder": folder, "models_dir": "--force"}).status_code == 409
    assert [argv[2] for argv in seen] == ["./--catalog=x", str(vault_home / "Pictures"), "Pictures"]
    assert all(argv[3:5] == ["--models-dir", "./--force"] for argv in seen)
    for folder in ("", " ", "~nobody-of-this-name/x", "no\0folder", "x" * 100_000):
        assert vault_client.post("/api/vault/scan", json={"folder": folder}).status_code == 400
    assert len(seen) == 3


def test_while_a_command_works_in_the_vault_changes_are_refused_in_plain_words(
    vault_home: Path, vault_client: TestClient
) -> None:
    with locked(vault_home / "outputs/facevault"):
        answer = vault_client.post("/api/people/name", json={"person": "p001", "name": "bea"})
        assert vault_client.get("/api/people").status_code == 200, "it is shown"
    said = answer.json()["error"]
    assert (
        answer.status_code == 409
        and f"(process {os.getpid()}). Nothing was changed" in said
        and "output folder" not in said
    )
    assert vault_client.post("/api/people/name", json={"person": "p001", "name": "bea"}).status_code == 200


def test_what_no_command_has_followed_yet(vault_home: Path, vault_client: TestClient) -> None:
    assert vault_client.get("/api/vault/behind").json() == {"new_faces": 0, "sets": []}
    mine = vault_home / "my set"
    vaults.command("prep", "ana", "--output", mine)
    faces = vault_client.get("/api/people/person?person=p001").json()["faces"]
    vault_client.post("/api/people/reject", json={"person": "p001", "faces": faces[:2]})
    (vault_home / "new").mkdir()
    fake_photo(vault_home / "new/a.png", seed=77, size=256, person=15)
    vaults.command("scan", vault_home / "new", "--workers", 0)
    found = vault_client.get("/api/vault/behind").json()
    assert found["new_faces"] == 1
    told = {"person": "p001", "changes": "2 pictures"}
    assert found["sets"] == [
        {"name": "ana", "output": "", "command": "twinloop vault prep p001", **told},
        {
            "name": str(mine),
            "output": str(mine),
            "command": f"twinloop vault prep p001 --output '{mine}'",
            **told,
        },
    ]
    assert vault_client.get("/api/vault/behind?person=ana").json() == found
    assert vault_client.get("/api/vault/behind?person=p002").json() == {"new_faces": 1, "sets": []}
    assert vault_client.get("/api/vault/behind?person=nobody").status_code == 400


def test_a_set_outside_of_the_vault_is_prepared_only_where_one_is(
    vault_home: Path, vault_client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[list[str]] = []

    def refuse(_: Jobs, key: str, argv: Sequence[str]) -> Job:
        seen.append(list(argv))
        raise StateError("enough seen")

    mine = vault_home / "mine"
    vaults.command("prep", "ana", "--output", mine)
    monkeypatch.setattr(Jobs, "start", refuse)
    for person, output, status in (("p001", mine, 409), ("p002", mine, 400), ("p001", vault_home / "photos", 400)):
        answer = vault_client.post("/api/vault/prep", json={"person": person, "output": str(output)})
        assert answer.status_code == status, answer.text
    assert seen == [["vault", "prep", "p001", "--output", str(mine), "--vault", "outputs/facevault"]]
