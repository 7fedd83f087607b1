"""Only the person with the printed address, on this machine, from this page."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from tests.unit.web.conftest import BASE, TOKEN
from twinloop.web.app import create_app
from twinloop.web.site import Site, new_token

OPINION = {"run": "outputs/ana", "iteration": 1, "opinions": {}}


@pytest.fixture
def stranger(home: Path) -> Iterator[TestClient]:
    with TestClient(create_app(Site(TOKEN, home)), base_url=BASE) as found:
        yield found


@pytest.mark.parametrize("address", ["/", "/api/overview", "/static/app.css", "/?token=guess", "/api/overview?token="])
def test_without_the_key_nothing_is_shown(stranger: TestClient, address: str) -> None:
    answer = stranger.get(address)
    assert answer.status_code == 403 and "ana" not in answer.text


def test_the_key_leaves_the_address_at_once(stranger: TestClient) -> None:
    answer = stranger.get(f"/?token={TOKEN}&view=review", follow_redirects=False)
    assert answer.status_code == 303 and answer.headers["location"] == "/?view=review"
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=lax" in cookie and TOKEN in cookie
    assert stranger.get("/api/overview").status_code == 200


def test_a_foreign_host_name_is_refused(client: TestClient) -> None:
    """DNS rebinding: a name of the attacker's that resolves to 127.0.0.1."""
    assert client.get("/api/overview", headers={"host": "evil.example:8000"}).status_code == 403
    assert client.get("/api/overview", headers={"host": "localhost:8000"}).status_code in (200, 403)


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "", "http://127.0.0.1:9999"])
def test_another_page_cannot_change_anything(client: TestClient, origin: str) -> None:
    assert client.post("/api/review", json=OPINION, headers={"origin": origin}).status_code == 403
    assert client.post("/api/review", json=OPINION).status_code == 200


def test_a_plain_form_cannot_change_anything(client: TestClient) -> None:
    assert client.post("/api/review", content="{}", headers={"content-type": "text/plain"}).status_code == 403


def test_pages_may_load_nothing_from_elsewhere(client: TestClient) -> None:
    answer = client.get("/api/overview")
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert answer.headers["x-content-type-options"] == "nosniff" and answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("file", ["../../photos/IMG_0000.png", "..", "%2e%2e/x", "/etc/passwd"])
def test_no_file_outside_of_the_run(client: TestClient, file: str) -> None:
    for address in (f"/api/run/made?run=outputs/ana&folder=panel_v1&file={file}", f"/api/run/made?run=outputs/ana&folder={file}&file=a.png"):
        assert client.get(address).status_code in (400, 404)
    assert client.get(f"/static/{file.replace('..', '%2e%2e')}").status_code == 404
    assert client.get(f"/api/run?run={file}").status_code == 400


def test_keys_differ() -> None:
    assert len({new_token() for _ in range(100)}) == 100 and len(new_token()) >= 20
