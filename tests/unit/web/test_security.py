"""Only the person with the printed address, on this machine, from this page."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from tests.unit.web.conftest import BASE, TOKEN
from twinloop.web.app import create_app
from twinloop.web.security import MAX_BODY
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
    for address in (
        f"/api/run/made?run=outputs/ana&folder=panel_v1&file={file}",
        f"/api/run/made?run=outputs/ana&folder={file}&file=a.png",
        f"/api/run/made?run=outputs/ana&folder=samples_v1/step_1/{file}&file=a.png",
    ):
        assert client.get(address).status_code in (400, 404)
    assert client.get(f"/static/{file.replace('..', '%2e%2e')}").status_code == 404
    assert client.get(f"/api/run?run={file}").status_code == 400


@pytest.mark.parametrize("other", ['a={"k":1, "z":[1]}', "a/b=1", "=", 'q="; \\', "twinloop_8001=guess", "\xff=1"])
def test_cookies_of_other_servers_do_not_hide_the_key(stranger: TestClient, other: str) -> None:
    """Cookies know hosts, not ports: whatever listens on 127.0.0.1 may have set some, in any form."""
    for cookie in (f"{other}; twinloop_8000={TOKEN}", f"twinloop_8000={TOKEN}; {other}"):
        assert stranger.get("/api/overview", headers={b"cookie": cookie.encode("latin-1")}).status_code == 200
    assert stranger.get("/api/overview", headers={b"cookie": other.encode("latin-1")}).status_code == 403


def test_the_key_of_another_port_opens_nothing(stranger: TestClient) -> None:
    assert stranger.get("/api/overview", headers={"cookie": f"twinloop_8001={TOKEN}"}).status_code == 403


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_other_pages_may_link_here_and_no_more(client: TestClient, site: str) -> None:
    """A page of another port of this machine is of the same site, and the browser sends the cookie with what it asks
    for.
    """
    asked = {"sec-fetch-site": site, "sec-fetch-mode": "no-cors"}
    assert client.get("/api/overview", headers=asked).status_code == 403
    assert (
        client.get("/api/run/report?run=outputs/ana", headers={**asked, "sec-fetch-mode": "navigate"}).status_code
        == 403
    )
    assert client.get("/", headers={**asked, "sec-fetch-mode": "navigate"}).status_code == 200
    assert client.get("/", headers=asked).status_code == 403
    assert (
        client.get("/api/overview", headers={"sec-fetch-site": "same-origin", "sec-fetch-mode": "cors"}).status_code
        == 200
    )


@pytest.mark.parametrize("host", ["127.0.0.1:8000", "localhost:8000", "[::1]:8000", "localhost"])
def test_names_of_this_machine(client: TestClient, host: str) -> None:
    assert client.get("/api/overview", headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        "",
        "127.0.0.1.evil.example",
        "localhost.evil.example:8000",
        "evil@127.0.0.1:8000",
        "[::1].evil.example",
        "0.0.0.0:8000",
        "[::ffff:7f00:1]",
    ],
)
def test_other_names(client: TestClient, host: str) -> None:
    assert client.get("/api/overview", headers={"host": host}).status_code == 403


@pytest.mark.parametrize(
    "origin",
    [
        "http://[",
        "https://127.0.0.1:8000",
        "http://127.0.0.1",
        "http://x@127.0.0.1:8000",
        "http://127.0.0.1:8000.evil.example",
    ],
)
def test_an_origin_is_this_page_exactly(client: TestClient, origin: str) -> None:
    assert client.post("/api/review", json=OPINION, headers={"origin": origin}).status_code == 403


@pytest.mark.parametrize("kind", ["application/jsonp", "text/plain; application/json", "multipart/form-data", ""])
def test_a_change_is_json(client: TestClient, kind: str) -> None:
    assert client.post("/api/review", content="{}", headers={"content-type": kind}).status_code == 403


def test_a_change_says_how_long_it_is(client: TestClient) -> None:
    kind = {"content-type": "application/json"}
    assert client.post("/api/review", content=iter([b"{}"]), headers=kind).status_code == 403
    for size in (str(MAX_BODY + 1), "9" * 30, "-1", "x"):
        assert client.post("/api/review", content=b"{}", headers={**kind, "content-length": size}).status_code == 403


@pytest.mark.parametrize("path", ["//evil.example/", "///evil.example", "/%5Cevil.example", "/\\evil.example"])
def test_the_key_sends_nobody_away(stranger: TestClient, path: str) -> None:
    answer = stranger.get(f"{BASE}{path}?token={TOKEN}", follow_redirects=False)
    target = answer.headers["location"]
    assert answer.status_code == 303 and target.startswith("/") and not target.startswith(("//", "/\\"))


def test_reading_changes_nothing(client: TestClient, home: Path) -> None:
    """No GET has an effect: a link is all that another page has."""
    before = {path: path.read_bytes() for path in home.rglob("*") if path.is_file() and "catalog" not in path.name}
    for route in client.app.routes:  # type: ignore[attr-defined]
        if "GET" in (getattr(route, "methods", None) or ()):
            client.get(
                route.path,
                params={
                    "run": "outputs/ana",
                    "iteration": 1,
                    "version": 1,
                    "number": 0,
                    "person": "p001",
                    "sha256": "0" * 64,
                    "box": "0,0,1,1",
                },
            )
    assert {
        path: path.read_bytes() for path in home.rglob("*") if path.is_file() and "catalog" not in path.name
    } == before


def test_a_report_of_somebody_else_is_kept_apart(client: TestClient, home: Path) -> None:
    """Opened in a tab of this server, its scripts have no part in the server's origin, no way to ask for anything."""
    (home / "outputs/ana/report.html").write_text("<script>window.open('/')</script>")
    policy = client.get("/api/run/report?run=outputs/ana").headers["content-security-policy"]
    assert "sandbox" in policy and "allow-same-origin" not in policy and "allow-top-navigation" not in policy
    assert "default-src 'none'" in policy and "connect-src" not in policy and "frame-ancestors 'none'" in policy


def test_no_page_holds_this_one(client: TestClient) -> None:
    headers = client.get("/").headers
    assert headers["cross-origin-opener-policy"] == headers["cross-origin-resource-policy"] == "same-origin"
    assert (
        headers["referrer-policy"] == "no-referrer" and "frame-ancestors 'self'" in headers["content-security-policy"]
    )


def test_pictures_that_a_later_run_may_overwrite_are_not_kept_by_the_browser(client: TestClient) -> None:
    image = client.get("/api/review?run=outputs/ana&iteration=1").json()["images"][0]
    review = {"run": "outputs/ana", "iteration": 1, "image": image["image"]}
    assert client.get("/api/review/picture", params=review).headers["cache-control"] == "no-store"
    assert (
        client.get("/api/review/picture", params={**review, "sha256": "0" * 64}).headers["cache-control"] == "no-store"
    )
    assert (
        "immutable"
        in client.get("/api/review/picture", params={**review, "sha256": image["sha256"]}).headers["cache-control"]
    )
    made = {"run": "outputs/ana", "folder": "synthetic_iter1", "file": image["image"]}
    assert client.get("/api/run/made", params=made).headers["cache-control"] == "no-store"
    assert client.get("/api/run/panel?run=outputs/ana&version=1&number=0").headers["cache-control"] == "no-store"


def test_a_verdict_with_a_path_shows_nothing_outside_of_its_round(client: TestClient, home: Path) -> None:
    verdicts = home / "outputs/ana/verdicts_iter1.json"
    data = json.loads(verdicts.read_text())
    outside = next((home / "photos").glob("*.png"))
    data["verdicts"][0] |= {"image": str(outside), "sha256": ""}
    verdicts.write_text(json.dumps(data))
    assert (
        client.get(
            "/api/review/picture", params={"run": "outputs/ana", "iteration": 1, "image": str(outside)}
        ).status_code
        == 400
    )


def test_keys_differ() -> None:
    assert len({new_token() for _ in range(100)}) == 100 and len(new_token()) >= 20
