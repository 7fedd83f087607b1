"""Requests that tests of the page's interface send."""

from __future__ import annotations

from typing import Any

from fastapi.testclient import TestClient


def undo(client: TestClient) -> Any:
    """Take back what the page shows as the last decision."""
    standing = [said["number"] for said in client.get("/api/people/history").json() if not said["undone"]]
    return client.post("/api/people/undo", json={"number": standing[-1]})
