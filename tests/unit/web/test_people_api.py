"""Whose faces are whose, on the page: only faces of the vault, every word can be taken back."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from PIL import Image

from tests.functional import vaults
from tests.unit.web.page_requests import undo
from twinloop.store.lock import locked


def counts(client: TestClient) -> dict[str, int]:
    found = client.get("/api/people").json()
    return {**{person["id"]: person["faces"] for person in found["people"]}, "strangers": found["strangers"]["faces"]}


def faces(client: TestClient, person: str, count: int) -> list[dict[str, Any]]:
    found = client.get("/api/people/person", params={"person": person}).json()["faces"]
    return [{"sha256": face["sha256"], "box": face["box"]} for face in found[:count]]


def test_everybody_by_number_of_faces_and_the_strangers(vault_client: TestClient) -> None:
    found = vault_client.get("/api/people").json()
    assert [(person["id"], person["name"], person["faces"]) for person in found["people"]] == [
        ("p001", "ana", 11),
        ("p002", None, 6),
        ("p003", None, 4),
    ]
    assert found["strangers"]["faces"] == 1 and all(person["cover"] for person in found["people"])


def test_names_from_photo_programs_stand_beside_the_people(vault_client: TestClient, vault_home: Path) -> None:
    vaults.call_in_photos(vault_home, "p002", "Bo <b>")
    ana, bo, other = vault_client.get("/api/people").json()["people"]
    assert (ana["called_in_photos"], other["named_in_photos"], other["may_mix"]) == (None, [], False)
    assert (bo["name"], bo["called_in_photos"]) == (None, "Bo <b>")
    assert bo["named_in_photos"] == [{"name": "Bo <b>", "faces": 6}] and not bo["may_mix"]


def test_a_face_is_cut_from_its_photo_without_metadata(vault_client: TestClient) -> None:
    face = faces(vault_client, "ana", 1)[0]
    answer = vault_client.get(
        "/api/people/face", params={"sha256": face["sha256"], "box": ",".join(map(str, face["box"]))}
    )
    with Image.open(io.BytesIO(answer.content)) as picture:
        assert picture.format == "WEBP" and picture.width == picture.height <= 192 and not picture.getexif()
    assert answer.headers["cache-control"] == "no-store", "what the vault forgets is in no cache of the browser"


@pytest.mark.parametrize(
    ("box", "status"),
    [("0,0,1,1", 404), ("0,0,1", 400), ("a,b,c,d", 400), ("", 400), ("nan,0,1,1", 404), ("0.1,0.1,1e9,1e9", 404)],
)
def test_only_faces_of_this_vault(vault_client: TestClient, box: str, status: int) -> None:
    face = faces(vault_client, "ana", 1)[0]
    assert vault_client.get("/api/people/face", params={"sha256": face["sha256"], "box": box}).status_code == status
    own = ",".join(map(str, face["box"]))
    for sha256 in ("../../../etc/passwd", "0" * 64, "", face["sha256"].upper()):
        assert vault_client.get("/api/people/face", params={"sha256": sha256, "box": own}).status_code == 404


def test_merge_split_and_undo(vault_client: TestClient) -> None:
    before = counts(vault_client)
    assert vault_client.post("/api/people/merge", json={"person": "p003", "into": "p002"}).status_code == 200
    assert counts(vault_client) == {"p001": 11, "p002": 10, "strangers": 1}
    moved = vault_client.post("/api/people/split", json={"person": "p002", "faces": faces(vault_client, "p002", 3)})
    assert moved.status_code == 200 and counts(vault_client) == {"p001": 11, "p002": 7, "p004": 3, "strangers": 1}
    assert "3 faces of p002 became p004" in undo(vault_client).json()["text"]
    undo(vault_client)
    assert counts(vault_client) == before


def test_only_the_decision_that_was_seen_is_taken_back(vault_client: TestClient) -> None:
    def name() -> Any:
        return next(
            person["name"] for person in vault_client.get("/api/people").json()["people"] if person["id"] == "p002"
        )

    for said in ("bo", "bert"):
        vault_client.post("/api/people/name", json={"person": "p002", "name": said})
    seen = vault_client.get("/api/people/history").json()[-1]["number"]
    vault_client.post("/api/people/name", json={"person": "p002", "name": "carl"})  # meanwhile, elsewhere
    answer = vault_client.post("/api/people/undo", json={"number": seen})
    assert answer.status_code == 409 and "p002 is called carl" in answer.json()["error"] and name() == "carl"
    assert undo(vault_client).status_code == 200 and name() == "bert"
    assert vault_client.post("/api/people/undo", json={"number": seen + 1}).status_code == 409, "taken back already"
    assert name() == "bert"


@pytest.mark.parametrize("verb", ["people/name", "dataset/captions"])
def test_what_is_no_text_is_refused(vault_client: TestClient, verb: str) -> None:
    edits = b'"edits": {"x": {"before": "", "after": "\\ud800"}}'
    sent = b'{"person": "p002", "name": "\\ud800", ' + edits + b"}"
    answer = vault_client.post(f"/api/{verb}", content=sent, headers={"content-type": "application/json"})
    assert answer.status_code == 422 and "half of a character" in answer.json()["error"]


def test_a_request_of_another_form_says_what_is_wrong(vault_client: TestClient) -> None:
    answer = vault_client.post("/api/people/name", json={"person": "p002"})
    assert (answer.status_code, answer.json()) == (422, {"error": "name: Field required"})


def test_rejected_faces_are_strangers_until_it_is_undone(vault_client: TestClient) -> None:
    chosen = faces(vault_client, "ana", 2)
    vault_client.post("/api/people/reject", json={"person": "ana", "faces": chosen})
    assert counts(vault_client) == {"p001": 9, "p002": 6, "p003": 4, "strangers": 3}
    history = vault_client.get("/api/people/history").json()
    assert history[-1]["text"] == "2 faces not ana" and not history[-1]["undone"]
    undo(vault_client)
    assert counts(vault_client)["p001"] == 11 and vault_client.get("/api/people/history").json()[-1]["undone"]


def test_strangers_become_a_person_or_are_given_to_one(vault_client: TestClient) -> None:
    stranger = faces(vault_client, "strangers", 1)
    vault_client.post("/api/people/split", json={"person": "strangers", "faces": stranger})
    assert counts(vault_client)["p004"] == 1
    vault_client.post("/api/people/assign", json={"person": "p003", "faces": stranger})
    assert counts(vault_client) == {"p001": 11, "p002": 6, "p003": 5, "strangers": 0}


def test_names_and_hiding(vault_client: TestClient) -> None:
    vault_client.post("/api/people/name", json={"person": "p002", "name": "bo"})
    vault_client.post("/api/people/hide", json={"person": "bo"})
    bo = next(person for person in vault_client.get("/api/people").json()["people"] if person["name"] == "bo")
    assert bo["id"] == "p002" and bo["hidden"]
    vault_client.post("/api/people/show", json={"person": "bo"})
    assert not any(person["hidden"] for person in vault_client.get("/api/people").json()["people"])


@pytest.mark.parametrize("name", ["../evil", "", "a/b", ".hidden", "ana"])
def test_names_that_cannot_be(vault_client: TestClient, name: str) -> None:
    answer = vault_client.post("/api/people/name", json={"person": "p002", "name": name})
    assert answer.status_code == 400 and "error" in answer.json()


def test_faces_of_others_are_not_moved(vault_client: TestClient) -> None:
    before = counts(vault_client)
    foreign = faces(vault_client, "p002", 1)
    made_up = [{"sha256": "0" * 64, "box": [0, 0, 1, 1]}]
    for verb, chosen in (
        ("split", foreign),
        ("reject", foreign),
        ("split", []),
        ("assign", made_up),
        ("reject", made_up),
    ):
        assert vault_client.post(f"/api/people/{verb}", json={"person": "ana", "faces": chosen}).status_code == 400
    all_of_them = faces(vault_client, "p003", 99)
    assert (
        "nobody would be left"
        in vault_client.post("/api/people/split", json={"person": "p003", "faces": all_of_them}).json()["error"]
    )
    assert counts(vault_client) == before


def test_while_a_command_works_in_the_vault_it_is_read_but_not_changed(
    vault_client: TestClient, vault_home: Path
) -> None:
    with locked(vault_home / "outputs/facevault"):
        assert counts(vault_client)["p001"] == 11
        answer = vault_client.post("/api/people/hide", json={"person": "p002"})
        assert answer.status_code == 409 and "in use" in answer.json()["error"]
    assert vault_client.post("/api/people/hide", json={"person": "p002"}).status_code == 200


def test_without_a_vault_the_command_is_named(client: TestClient) -> None:
    answer = client.get("/api/people")
    assert answer.status_code == 404 and "twinloop vault scan FOLDER" in answer.json()["error"]
    assert client.get("/api/vault").json()["status"] is None
