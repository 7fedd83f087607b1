"""Commands that work elsewhere, in a terminal say, as the page is told of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from tests.helpers.working_elsewhere import working_elsewhere
from twinloop.store.lock import VAULT, locked
from twinloop.store.progress import NAME

NOBODY = {"process": None, "progress": None}


def elsewhere(client: TestClient, key: str) -> Any:
    answer = client.get("/api/jobs/elsewhere", params={"key": key})
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.mark.parametrize("key", ["outputs/ana", "outputs/facevault"])
def test_process_and_progress_are_told_as_long_as_it_works(client: TestClient, home: Path, key: str) -> None:
    (home / key).mkdir(exist_ok=True)
    assert elsewhere(client, key) == NOBODY
    with working_elsewhere(home / key) as process:
        progress = {"label": "Scanning", "done": 3, "total": 40}
        assert elsewhere(client, key) == {"process": str(process.pid), "progress": progress}
        if key.endswith("vault"):
            assert client.get("/api/vault").json()["process"] == str(process.pid)
        (home / key / NAME).write_text("damaged")
        assert elsewhere(client, key) == {"process": str(process.pid), "progress": None}
    assert elsewhere(client, key) == NOBODY


def test_what_a_killed_one_has_noted_is_not_told(client: TestClient, home: Path) -> None:
    with working_elsewhere(home / "outputs/ana") as process:
        process.kill()
        process.wait()
    assert (home / "outputs/ana" / NAME).exists() and elsewhere(client, "outputs/ana") == NOBODY


def test_the_server_that_writes_a_decision_down_is_nobody_else(client: TestClient, home: Path) -> None:
    with locked(home / "outputs/facevault", VAULT):
        assert elsewhere(client, "outputs/facevault") == NOBODY
        assert client.get("/api/vault").json()["process"] is None


def test_nothing_outside_of_its_folders_is_looked_at(client: TestClient, home: Path) -> None:
    (home / "other").mkdir()
    with working_elsewhere(home / "other"):
        assert client.get("/api/jobs/elsewhere", params={"key": "other"}).status_code == 400
