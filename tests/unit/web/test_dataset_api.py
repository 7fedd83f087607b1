"""A person's dataset on the page: what was measured, duplicates, captions, targets; only photos and pictures of the
vault.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from tests.functional.vaults import command
from tests.unit.web.conftest import BASE, TOKEN
from tests.unit.web.page_requests import undo
from twinloop import registry
from twinloop.stages.vault.opened import ScanRecord
from twinloop.store.vault.catalog import VaultCatalog
from twinloop.store.vault.folder import Vault
from twinloop.web.api import dataset as dataset_api
from twinloop.web.app import create_app
from twinloop.web.site import Site

ANA = {"person": "ana"}


def dataset(client: TestClient, person: str = "ana") -> Any:
    answer = client.get("/api/dataset", params={"person": person})
    assert answer.status_code == 200, answer.text
    return answer.json()


def texts(client: TestClient) -> dict[str, str]:
    return {item["sha256"]: item["text"] for item in dataset(client)["captions"]}


def test_photos_with_what_was_measured(vault_client: TestClient) -> None:
    found = dataset(vault_client)
    assert [photo["state"] for photo in found["photos"]].count("kept") == 10 and len(found["photos"]) == 11
    dropped = next(photo for photo in found["photos"] if photo["state"] == "dropped")
    assert dropped["name"] == "copy.jpg" and "near copy" in dropped["reason"]
    first = next(photo for photo in found["photos"] if photo["name"] == "IMG_0002.png")
    assert (
        first["facets"]["face_angle"] == ["three_quarter"]
        and first["facets"]["expression"] == ["neutral"]
        and first["facets"]["setting"] == ["indoor"]
    )
    assert first["unmeasured"] == ["hands"], "the scan looks for faces: hands are neither there nor not there"
    assert first["numbers"]["yaw"] == 30.0 and first["numbers"]["face"] == pytest.approx(115, abs=1)
    assert (
        found["label"]["trigger"] == "ohwx ana"
        and found["readiness"]["grade"] == "usable"
        and found["folder"] == "outputs/facevault/organized/ana"
    )


def test_photos_are_left_out_and_taken_in_by_hand(vault_client: TestClient) -> None:
    def say(photo: str, kind: str, status: int = 200) -> Any:
        answer = vault_client.post("/api/dataset/photos", json={**ANA, "photos": [photo], "kind": kind})
        assert answer.status_code == status, answer.text
        return answer.json()

    def photo_called(name: str) -> Any:
        return next(photo for photo in dataset(vault_client)["photos"] if photo["name"] == name)

    copy, first = photo_called("copy.jpg")["sha256"], photo_called("IMG_0000.png")["sha256"]
    assert photo_called("copy.jpg")["by_hand"] == "automatic" and dataset(vault_client)["chosen_since"] == 0
    assert say(copy, "include") == {"number": 3, "kind": "include", "left_out": []}
    say(first, "exclude")
    assert (photo_called("copy.jpg")["state"], photo_called("copy.jpg")["by_hand"]) == ("kept", "include")
    assert (photo_called("IMG_0000.png")["state"], photo_called("IMG_0000.png")["reason"]) == (
        "left out",
        "left out by hand",
    )
    say(copy, "exclude")
    assert photo_called("copy.jpg")["state"] == "left out", "and no longer dropped as a copy"
    assert dataset(vault_client)["chosen_since"] == 2
    command("prep", "ana")
    assert dataset(vault_client)["chosen_since"] == 0 and len(dataset(vault_client)["captions"]) == 9
    undo(vault_client)
    undo(vault_client)
    say(copy, "automatic")
    assert {photo["by_hand"] for photo in dataset(vault_client)["photos"]} == {"automatic"}
    say(copy, "automatic", 404)
    say(dataset(vault_client, "p002")["photos"][0]["sha256"], "include", 400)
    say(copy, "delete", 400)


def test_a_photo_of_another_time_stays_out_and_that_is_said(vault_client: TestClient, vault_home: Path) -> None:
    vault = Vault(vault_home / "outputs/facevault")
    old = dataset(vault_client)["photos"][0]["sha256"]
    with VaultCatalog(vault.catalog) as catalog:
        scanned = ScanRecord.read(vault).fingerprint
        photo = catalog.photo(old, scanned)
        assert photo is not None
        catalog.put_photo(replace(photo, taken=1e9), scanned, b"")
    command("prep", "ana", "--since", "2010")
    found = dataset(vault_client)["photos"]
    reason = "taken on 2001-09-09, before 2010 (--since)"
    assert [photo["sha256"] for photo in found if photo["reason"] == reason] == [old], "the dates are remembered"
    answer = vault_client.post("/api/dataset/photos", json={**ANA, "photos": [old], "kind": "include"})
    assert [(item["photo"], item["reason"]) for item in answer.json()["left_out"]] == [(old, reason)]


def test_a_person_before_label_and_prep(vault_client: TestClient) -> None:
    found = dataset(vault_client, "p002")
    assert found["label"] is None and found["captions"] == [] and found["readiness"] is None and found["folder"] is None
    assert {photo["state"] for photo in found["photos"]} == {"kept"}
    made = vault_client.post(
        "/api/dataset/label", json={"person": "p002", "trigger": "ohwx bo", "class_word": "man", "consent": "self"}
    )
    assert (
        made.json()["prompt"] == "ohwx bo man" and dataset(vault_client, "p002")["label"]["consent"]["kind"] == "self"
    )
    assert vault_client.post("/api/dataset/label", json={"person": "p002", "trigger": ""}).status_code == 400


def test_photos_are_shown_by_content(vault_client: TestClient) -> None:
    sha256 = dataset(vault_client)["photos"][0]["sha256"]
    for size in (256, 1280):
        answer = vault_client.get("/api/vault/photo", params={"sha256": sha256, "size": size})
        assert answer.headers["content-type"] == "image/webp" and answer.headers["cache-control"] == "no-store"
    for wrong in ("0" * 64, "../../etc/passwd", ""):
        assert vault_client.get("/api/vault/photo", params={"sha256": wrong}).status_code == 404
    assert vault_client.get("/api/vault/photo", params={"sha256": sha256, "size": 9999}).status_code == 400


def test_only_pictures_of_the_training_set_as_they_were_written(vault_client: TestClient, vault_home: Path) -> None:
    item = dataset(vault_client)["captions"][0]
    shown = {**ANA, "sha256": item["picture"]}
    assert vault_client.get("/api/dataset/picture", params=shown).headers["content-type"] == "image/webp"
    record = json.loads((vault_home / "outputs/facevault/organized/ana/person.json").read_text())
    words = next(file["sha256"] for file in record["files"] if file["file"].endswith(".txt"))
    other = dataset(vault_client, "p002")["photos"][0]["sha256"]
    for sha256 in (words, other, "../../catalog.sqlite", ""):
        assert vault_client.get("/api/dataset/picture", params={**ANA, "sha256": sha256}).status_code == 404
    assert vault_client.get("/api/dataset/picture", params={**shown, "person": "p002"}).status_code == 404
    (vault_home / "outputs/facevault/organized/ana" / item["file"]).write_bytes(b"retouched")
    assert vault_client.get("/api/dataset/picture", params={**shown, "size": 1280}).status_code == 400


def test_a_page_of_thumbnails_reads_the_decisions_once(
    vault_client: TestClient, vault_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[Path] = []
    looked_into = dataset_api.looked_into
    shown = [item["picture"] for item in dataset(vault_client)["captions"]]
    monkeypatch.setattr(dataset_api, "looked_into", lambda root: looked.append(root) or looked_into(root))

    def statuses() -> set[int]:
        found = (vault_client.get("/api/dataset/picture", params={**ANA, "sha256": sha256}) for sha256 in shown)
        return {answer.status_code for answer in found}

    assert len(shown) == 10 and statuses() == {200} and len(looked) == 1
    command("name", "p002", "bea")
    assert statuses() == {200} and len(looked) == 2, "a decision came"
    command("name", "p001", "zoe")
    assert statuses() == {400}, "nobody is called ana"
    command("name", "p001", "ana")
    record = vault_home / "outputs/facevault/organized/ana/person.json"
    record.write_text(json.dumps({**json.loads(record.read_text()), "files": []}))
    assert statuses() == {404}
    record.unlink()
    assert statuses() == {404}


def test_one_change_to_many_captions_is_previewed_written_and_undone_as_one(vault_client: TestClient) -> None:
    before = texts(vault_client)
    change = {**ANA, "photos": list(before), "kind": "remove", "words": "soft even lighting"}
    found = vault_client.post("/api/dataset/captions/preview", json=change).json()
    assert len(found) == 10 and texts(vault_client) == before, "a preview writes nothing"
    edits = {item["sha256"]: {"before": item["before"], "after": item["after"]} for item in found}
    assert len(vault_client.post("/api/dataset/captions", json={**ANA, "edits": edits}).json()["written"]) == 10
    after = dataset(vault_client)
    assert all("lighting" not in item["text"] and item["edited"] and item["newer"] for item in after["captions"])
    assert not any("lighting" in item["words"] for item in after["audit"])
    assert vault_client.get("/api/people/history").json()[-1]["text"] == "10 captions of ana edited"
    undo(vault_client)
    assert texts(vault_client) == before


def test_edited_captions_reach_the_folder_and_are_never_overwritten(vault_client: TestClient, vault_home: Path) -> None:
    sha256, text = next(iter(texts(vault_client).items()))
    vault_client.post("/api/dataset/captions", json={**ANA, "edits": {sha256: {"before": text, "after": "on a boat"}}})
    command("prep", "ana")
    item = next(item for item in dataset(vault_client)["captions"] if item["sha256"] == sha256)
    assert item["text"] == "ohwx ana, on a boat" and item["edited"] and not item["newer"]
    assert (vault_home / "outputs/facevault/organized/ana" / item["file"]).with_suffix(
        ".txt"
    ).read_text() == "ohwx ana, on a boat\n"
    vault_client.post("/api/dataset/captions", json={**ANA, "edits": {sha256: {"before": item["text"], "after": ""}}})
    back = next(item for item in dataset(vault_client)["captions"] if item["sha256"] == sha256)
    assert not back["edited"] and back["waiting"] and back["newer"]
    command("prep", "ana")
    assert texts(vault_client)[sha256] == text


def test_a_caption_that_changed_meanwhile_is_not_lost(vault_client: TestClient, vault_home: Path) -> None:
    """Somebody edits the file itself while the page is open."""
    item = dataset(vault_client)["captions"][0]
    (vault_home / "outputs/facevault/organized/ana" / item["file"]).with_suffix(".txt").write_text("ohwx ana, by hand")
    body = {**ANA, "edits": {item["sha256"]: {"before": item["text"], "after": "ohwx ana, by the page"}}}
    answer = vault_client.post("/api/dataset/captions", json=body)
    assert answer.status_code == 409 and "changed elsewhere" in answer.json()["error"]
    assert texts(vault_client)[item["sha256"]] == "ohwx ana, by hand"


def test_captions_of_other_photos_and_changes_that_cannot_be(vault_client: TestClient) -> None:
    other = dataset(vault_client, "p002")["photos"][0]["sha256"]
    known = next(iter(texts(vault_client)))
    assert (
        vault_client.post(
            "/api/dataset/captions", json={**ANA, "edits": {other: {"before": "", "after": "x"}}}
        ).status_code
        == 400
    )
    for photos, kind, words in (([other], "add", "x"), ([known], "add", " "), ([known], "shuffle", "x")):
        wrong = vault_client.post(
            "/api/dataset/captions/preview", json={**ANA, "photos": photos, "kind": kind, "words": words}
        )
        assert wrong.status_code == 400, (kind, words)


def test_another_one_of_a_group_is_kept_and_no_duplicates(vault_client: TestClient) -> None:
    group = dataset(vault_client)["duplicates"][0]
    kept, copy = group["files"]
    assert kept["kept"] and copy["path"].endswith("copy.jpg")
    assert vault_client.post("/api/dataset/duplicates/keep", json={"file": copy["path"]}).status_code == 200
    assert dataset(vault_client)["duplicates"][0]["files"][0]["path"].endswith("copy.jpg")
    assert (
        vault_client.post("/api/dataset/duplicates/distinct", json={"files": [kept["path"], copy["path"]]}).status_code
        == 200
    )
    assert dataset(vault_client)["duplicates"] == [] and {
        photo["state"] for photo in dataset(vault_client)["photos"]
    } == {"kept"}
    undo(vault_client)
    assert len(dataset(vault_client)["duplicates"]) == 1, "undo brings the group back"
    assert vault_client.post("/api/dataset/duplicates/keep", json={"file": "/etc/passwd"}).status_code == 400
    assert vault_client.post("/api/dataset/duplicates/distinct", json={"files": [kept["path"]]}).status_code == 400


CONFIG = {
    "_mine": "targets for the winter album",
    "person_name": "ana",
    "person_trigger": "ohwx ana",
    "dataset_dir": "outputs/facevault/organized/ana",
    "models_dir": "fake",
    "analysis": {"shares": {"face_angle": {"profile": 0.25}}, "keep_all": True},
}


@pytest.fixture
def config(vault_home: Path) -> Path:
    path = vault_home / "bootstrap_config.json"
    path.write_text(json.dumps(CONFIG))
    return path


def shares(client: TestClient, config: str | None = None) -> Any:
    return client.get("/api/dataset/shares", params={**ANA, **({"config": config} if config else {})}).json()


def targets(client: TestClient, config: Path, wanted: Any) -> Any:
    return client.post("/api/dataset/targets", json={"config": config.name, "shares": wanted})


def test_targets_of_a_configuration_are_shown_and_saved(vault_client: TestClient, config: Path) -> None:
    found = {
        facet["facet"]: {item["value"]: item["share"] for item in facet["values"]}
        for facet in shares(vault_client, config.name)["targets"]
    }
    assert found["face_angle"]["profile"] == 0.25 and found["face_angle"]["front"] == 0.3
    assert (
        targets(
            vault_client, config, {"face_angle": {"front": 0.4, "profile": None}, "setting": {"studio": 0.2}}
        ).status_code
        == 200
    )
    saved = json.loads(config.read_text())
    assert saved["analysis"] == {"shares": {"face_angle": {"front": 0.4}, "setting": {"studio": 0.2}}, "keep_all": True}
    assert {key: value for key, value in saved.items() if key != "analysis"} == {
        key: value for key, value in CONFIG.items() if key != "analysis"
    }


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ({"face_angle": {"front": 0.9}}, "the shares of face_angle add up to"),
        ({"face_angle": {"upside_down": 0.1}}, "face_angle has no value 'upside_down'"),
        ({"moods": {"good": 0.1}}, "'moods' is no facet"),
        ({"face_angle": {"front": 1.5}}, "analysis.shares.face_angle.front"),
        ({"face_angle": {"front": -0.1}}, "analysis.shares.face_angle.front"),
    ],
)
def test_targets_that_cannot_be_are_refused_and_nothing_is_written(
    vault_client: TestClient, config: Path, wanted: Any, said: str
) -> None:
    before = config.read_bytes()
    answer = targets(vault_client, config, wanted)
    assert answer.status_code == 400 and said in answer.json()["error"]
    assert config.read_bytes() == before


def test_only_configurations_that_were_found(vault_client: TestClient, config: Path) -> None:
    for name in ("../home/bootstrap_config.json", "/etc/passwd", ""):
        answer = vault_client.post("/api/dataset/targets", json={"config": name, "shares": {}})
        assert answer.status_code == 404
    assert vault_client.get("/api/dataset/shares", params={**ANA, "config": "../x.json"}).status_code == 404


PLUGIN = """
from pathlib import Path
from twinloop.domain.facet import DefinedFacet, Phrase
from twinloop.domain.observation import Reading
from twinloop.registry import register_facet

Path("ran").touch()
words = {"on": Phrase(("a hat",), ("hat",))}
register_facet(DefinedFacet("hat", ("on",), {"on": 0.1}, words, (), lambda seen: Reading.unknown()))
"""


def with_plugin(folder: Path) -> Path:
    """A configuration with a plug-in beside it."""
    folder.mkdir(exist_ok=True)
    (folder / "look.py").write_text(PLUGIN)
    config = folder / "bootstrap_config.json"
    analysis = {"plugins": [str(folder / "look.py")], "facets": ["hat", "face_angle"]}
    config.write_text(json.dumps({**CONFIG, "analysis": analysis}))
    return config


def test_looking_at_the_configuration_of_a_found_run_runs_no_plugin(vault_client: TestClient, vault_home: Path) -> None:
    config = with_plugin(vault_home / "outputs/stranger")
    name = "outputs/stranger/bootstrap_config.json"
    found = shares(vault_client, name)
    assert found["not_loaded"] == [str(vault_home / "outputs/stranger/look.py")]
    assert {"face_angle", "expression"} <= {facet["facet"] for facet in found["targets"]}
    wanted = {"config": name, "shares": {"face_angle": {"profile": 0.2}}}
    assert vault_client.post("/api/dataset/targets", json=wanted).status_code == 200
    assert json.loads(config.read_text())["analysis"]["shares"] == wanted["shares"]
    assert not (vault_home / "ran").exists()


@pytest.mark.parametrize("folder", [".", "outputs/mine"], ids=["in the working directory", "named"])
def test_plugins_of_the_users_own_configurations_are_loaded(
    folder: str, vault_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry.facets, "_items", dict(registry.facets._items))
    config = with_plugin(vault_home / folder)
    named = (Path("outputs/../outputs/mine", config.name),) if folder != "." else ()
    site = Site(TOKEN, vault_home, named_configs=named)
    with TestClient(create_app(site), base_url=BASE, headers={"origin": BASE}) as client:
        client.get(f"/?token={TOKEN}")
        found = shares(client, config.relative_to(vault_home).as_posix())
    assert found["not_loaded"] == [] and [facet["facet"] for facet in found["targets"]] == ["hat", "face_angle"]


def test_shares_come_from_a_runs_latest_round(vault_client: TestClient, vault_home: Path) -> None:
    assert shares(vault_client)["measured"] is None
    run = vault_home / "outputs/ana"
    run.mkdir()
    (run / "run.json").write_text("{}")
    data = {
        "dataset": "outputs/facevault/organized/ana",
        "images": 10,
        "facets": {"face_angle": {"measured": 10, "not_measured": 0, "values": {}}},
    }
    (run / "gaps_iter1.json").write_text(json.dumps(data))
    (run / "gaps_iter2.json").write_text(json.dumps({**data, "dataset": "photos"}))
    found = shares(vault_client)["measured"]
    assert found["from"] == "outputs/ana/gaps_iter1.json" and found["images"] == 10 and not found["stale"]
