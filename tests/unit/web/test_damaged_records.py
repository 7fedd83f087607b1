"""Records that were edited or damaged: the page names them, and shows all else; none of its answers is a crash."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient

RUN = "outputs/ana"
RECORDS = (
    "run.json",
    "iteration_history.json",
    "verdicts_iter1.json",
    "dataset_iter0.json",
    "panel.json",
    "synthetic_iter1/generation_metadata.json",
    "review_iter1.json",
    "final.json",
    "panel_v1.json",
    "panel_v1/generation_metadata.json",
)
STRANGE: tuple[Any, ...] = (None, [], {}, 3, "x", [None], [3], "\udcff", float("nan"))
"""Among them a name of a file that is no valid text, as Python reads it, and a number that JSON does not have."""


def changed(record: Any) -> Iterator[Any]:
    """Other things in the place of the record, and of each of its fields."""
    yield from STRANGE
    if isinstance(record, dict):
        for name, value in record.items():
            yield {other: kept for other, kept in record.items() if other != name}
            yield from ({**record, name: strange} for strange in STRANGE)
            if isinstance(value, list) and value and isinstance(value[0], dict):
                first = value[0]
                yield from ({**record, name: [{**first, field: None}, *value[1:]]} for field in first)
                yield from ({**record, name: [{**first, field: [3]}, *value[1:]]} for field in first)


@pytest.mark.parametrize("name", RECORDS)
def test_damaged_records_are_no_crash(name: str, client: TestClient, home: Path) -> None:
    path = home / RUN / name
    images = client.get("/api/review", params={"run": RUN, "iteration": 1}).json()["images"]
    if not path.exists():
        path.write_text("{}")
    whole, image = json.loads(path.read_text()), {"run": RUN, "iteration": 1, "image": images[0]["image"]}
    asked = (
        ("/api/run", {"run": RUN}),
        ("/api/review", {"run": RUN, "iteration": 1}),
        ("/api/review/nearest", image),
        ("/api/review/picture", image),
        ("/api/run/panel", {"run": RUN, "version": 1, "number": 0}),
        ("/api/review/photo", {"run": RUN, "sha256": "0" * 64}),
    )

    async def ask() -> None:
        async with beside(client) as asking:
            for record in changed(whole):
                path.write_text(json.dumps(record))
                for address, parameters in asked:
                    said = await asking.get(address, params=parameters)
                    assert said.status_code in (200, 400, 404, 409), (address, record)
                    if said.status_code == 409:
                        assert path.name in said.json()["error"]
                assert (await asking.get("/api/overview")).status_code == 200, record

    assert client.portal is not None
    client.portal.call(ask)


def test_of_a_round_that_is_damaged_no_figures_are_shown(client: TestClient, home: Path) -> None:
    """The page would stop at the one that is missing."""
    path = home / RUN / "iteration_history.json"
    record = json.loads(path.read_text())
    shown = client.get("/api/run", params={"run": RUN}).json()["iterations"]
    assert shown == record["iterations"] != []
    for field in ("approval_rate", "gap_count", "generated_with"):
        odd = {**record["iterations"][0], field: None}
        path.write_text(json.dumps({**record, "iterations": [odd, *record["iterations"][1:]]}))
        assert client.get("/api/run", params={"run": RUN}).json()["iterations"] == []


def beside(client: TestClient) -> httpx.AsyncClient:
    """With the same key, in the loop of the app itself: of thousands of requests none waits for another thread."""
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(client.app), base_url=str(client.base_url),
        headers={"origin": client.headers["origin"]}, cookies=dict(client.cookies.items()),
    )  # fmt: skip
