"""What the page is made of reaches the browser as what it is."""

from __future__ import annotations

import mimetypes

from fastapi.testclient import TestClient


def test_scripts_are_scripts_whatever_the_system_calls_them(client: TestClient) -> None:
    assert client.get("/static/review.js").headers["content-type"].startswith("text/javascript")
    assert mimetypes.guess_type("a.js")[0] == "text/javascript"
