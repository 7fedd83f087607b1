"""How the trainings went: the loss of each version on its way, and the loss on the photos that it was never shown."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from twinloop.domain.validation_loss import ValidationLoss
from twinloop.report import charts
from twinloop.report.charts import Line
from twinloop.report.model import RunRecord
from twinloop.report.words import number
from twinloop.store.models.lora_file import metrics_path
from twinloop.store.models.training_log import LoggedStep, logged_steps
from twinloop.store.run.workspace import Workspace

SMOOTH = 0.95
"""Share of the average that stays at each step, as the training itself has it."""
MOST_POINTS = 200
DIGITS = 4


@dataclass(frozen=True)
class LossChart:
    """A line for each version."""

    title: str
    about: str
    chart: Markup


@dataclass(frozen=True)
class TrainingRow:
    """The figures of one version in words; "none" for what was not measured. ``by_time``: (time, loss) of the last."""

    version: str
    steps: int
    loss: str
    lowest: str
    last: str
    by_time: tuple[tuple[int, str], ...]


@dataclass(frozen=True)
class Trainings:
    """Nothing in it where no training wrote figures."""

    charts: tuple[LossChart, ...]
    rows: tuple[TrainingRow, ...]


def trainings(run: RunRecord, workspace: Workspace) -> Trainings:
    """Of all versions that this program trained."""
    logs = {lora.version: logged_steps(metrics_path(workspace.lora(lora.version))) for lora in run.loras}
    logs = {version: steps for version, steps in logs.items() if steps}
    losses = [Line(f"v{version}", _smoothed(steps), version == run.chosen) for version, steps in logs.items()]
    validations = [
        Line(f"v{version}", tuple((one.step, one.loss) for one in measured), version == run.chosen)
        for version, steps in logs.items()
        if (measured := _validations(steps))
    ]
    shown = (
        LossChart("Training loss", "smoothed, by step", _drawn(losses, "Training loss, smoothed")),
        LossChart("Validation loss", "on held-out photos, by step", _drawn(validations, "Validation loss")),
    )
    return Trainings(
        tuple(one for one in shown if one.chart), tuple(_row(version, steps) for version, steps in logs.items())
    )


def _drawn(lines: Sequence[Line], title: str) -> Markup:
    ends = "; ".join(
        f"{line.name} from {number(line.points[0][1], DIGITS)} to {number(line.points[-1][1], DIGITS)}"
        for line in lines
        if line.points
    )
    return charts.lines(lines, f"{title} by step: {ends}")


def _smoothed(steps: Sequence[LoggedStep]) -> tuple[tuple[int, float], ...]:
    """(step, average) of finite losses, at most `MOST_POINTS` and the last among them."""
    points = list(_averages(steps))
    every = math.ceil(len(points) / MOST_POINTS) or 1
    return tuple(points[::-1][::every][::-1])


def _averages(steps: Sequence[LoggedStep]) -> Iterator[tuple[int, float]]:
    average: float | None = None
    for one in steps:
        if one.loss is not None and math.isfinite(one.loss):
            average = one.loss if average is None else average * SMOOTH + one.loss * (1 - SMOOTH)
            yield one.step, average


def _validations(steps: Sequence[LoggedStep]) -> list[ValidationLoss]:
    return [one.validation for one in steps if one.validation is not None]


def _row(version: int, steps: Sequence[LoggedStep]) -> TrainingRow:
    points, measured = _smoothed(steps), _validations(steps)
    lowest = min(measured, key=lambda one: one.loss, default=None)
    last = measured[-1] if measured else None
    return TrainingRow(
        f"v{version}",
        steps[-1].step,
        number(points[-1][1], DIGITS) if points else "none",
        "none" if lowest is None else f"{number(lowest.loss, DIGITS)} at step {lowest.step}",
        "none" if last is None else f"{number(last.loss, DIGITS)} at step {last.step}",
        () if last is None else tuple((one.time, number(one.loss, DIGITS)) for one in last.by_time),
    )
