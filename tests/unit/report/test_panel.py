"""What is said below a picture of the panel."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tests.unit.things import score, shot
from twinloop.report.model import RunRecord
from twinloop.report.panel import panel_grid
from twinloop.report.thumbnails import Pictures
from twinloop.store.run.workspace import Workspace


def test_an_image_without_a_face_says_so_instead_of_a_likeness(record: RunRecord, tmp_path: Path) -> None:
    measured = score(1, on_target=[0.0, 1.0], identity=[0.0, 0.6], quality=[0.0, 0.8], overall=[0.0, 0.8])
    run = replace(
        record, panel=(shot(1), shot(2)), scores=(replace(measured, no_face=[True, False]),), best=1, picked=None
    )
    grid = panel_grid(run, Workspace(tmp_path, tmp_path), Pictures(tmp_path))
    assert [row.cells[0].figures for row in grid.rows] == [
        ("0% on target", "no face"),
        ("100% on target", "identity 0.60", "face quality 0.80"),
    ]
