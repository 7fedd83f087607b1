"""The losses of the trainings: a line for each version that wrote figures, and the same as rows."""

from __future__ import annotations

import json
import math
from pathlib import Path

from tests.unit.report.conftest import workspace_in
from twinloop.domain.validation_loss import TimeLoss, ValidationLoss, validation_json
from twinloop.report.page import render
from twinloop.report.reading import read_run
from twinloop.report.training import MOST_POINTS, trainings
from twinloop.store.models.lora_file import metrics_path


def write_log(home: Path, version: int, validated: bool = True) -> None:
    """450 steps, each 150 of them validated: falling, then rising."""
    rows = []
    for step in range(1, 451):
        row = {"step": step, "loss": None if step == 7 else 0.5 / math.sqrt(step), "rate": 1e-4, "grad_norm": 1.0}
        if validated and step % 150 == 0:
            loss = 0.2 + 0.01 * (step != 300) + version / 1000
            by_time = (TimeLoss(125, round(loss + 0.1, 6)), TimeLoss(875, round(loss - 0.1, 6)))
            row |= validation_json(ValidationLoss(step, by_time))
        rows.append(json.dumps(row))
    path = metrics_path(workspace_in(home).lora(version))
    path.write_text("\n".join([*rows, '{"step": 451, "lo']))


def test_every_version_has_its_line_and_its_row(home: Path) -> None:
    for version in (1, 2):
        write_log(home, version)
    space = workspace_in(home)
    found = trainings(read_run(space), space)
    assert [one.title for one in found.charts] == ["Training loss", "Validation loss"]
    training, validation = (str(one.chart) for one in found.charts)
    assert training.count("<polyline") == validation.count("<polyline") == 2
    assert all(len(line.split('"')[0].split()) <= MOST_POINTS for line in training.split('points="')[1:])
    assert "v2 from 0.2120 to 0.2120" in validation
    first = found.rows[0]
    assert (first.version, first.steps) == ("v1", 450) and 0.02 < float(first.loss) < 0.04
    assert (first.lowest, first.last) == ("0.2010 at step 300", "0.2110 at step 450")
    assert first.by_time == ((125, "0.3110"), (875, "0.1110"))
    assert "Lowest validation loss" in render(read_run(space), space)


def test_without_a_validation_or_without_figures_there_is_less(home: Path) -> None:
    space = workspace_in(home)
    assert trainings(read_run(space), space).charts == ()
    assert "Lowest validation loss" not in render(read_run(space), space)
    write_log(home, 1, validated=False)
    found = trainings(read_run(space), space)
    assert [one.title for one in found.charts] == ["Training loss"] and found.rows[0].last == "none"
    assert (
        "learned by heart"
        not in render(read_run(space), space).partition('id="rounds"')[0].rpartition("Training</h3>")[2]
    )
