"""The curves: every figure of the panel by version, approval and gaps by round."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from twinloop.domain.comparison import has_interval
from twinloop.domain.statistics import Estimate
from twinloop.report import charts
from twinloop.report.charts import Point
from twinloop.report.model import RunRecord
from twinloop.report.shares import moments
from twinloop.report.words import METRICS, Metric, level, percent


@dataclass(frozen=True)
class Curve:
    """One small chart and the same figures as rows of (name, value, interval, n)."""

    title: str
    about: str
    chart: Markup
    rows: tuple[tuple[str, str, str, str], ...]


def metric_curves(run: RunRecord) -> tuple[Curve, ...]:
    """A curve for each metric that was measured."""
    known = [metric for metric in METRICS if any(score.measured(metric.name) is not None for score in run.scores)]
    return tuple(_by_version(run, metric) for metric in known)


def _by_version(run: RunRecord, metric: Metric) -> Curve:
    points = [
        Point(f"v{score.version}", figure, run.remark(score.version))
        for score in run.scores
        if (figure := score.measured(metric.name)) is not None
    ]
    return curve_of(metric, points, metric.label, f"{metric.label} by LoRA version", "by version")


def curve_of(
    metric: Metric,
    points: Sequence[Point],
    title: str,
    said: str,
    about: str,
    whose: str = "",
    beside: Sequence[Point] = (),
) -> Curve:
    """The curve of one figure.

    Args:
        said: what a screen reader says before the values. whose: what the rows' names begin with. beside: as in
            `charts.curve`.
    """
    chart = charts.curve(
        points,
        f"{said}: " + "; ".join(f"{point.label} {_with_interval(metric, point.estimate)}" for point in points),
        percent=metric.percent,
        bounded=metric.name != "diversity",
        beside=beside,
    )
    rows = tuple(
        (
            f"{whose}{point.label}",
            level(metric, point.estimate.value),
            _interval(metric, point.estimate),
            str(point.estimate.n),
        )
        for point in points
    )
    return Curve(title, about, chart, rows)


def _interval(metric: Metric, estimate: Estimate) -> str:
    if not has_interval(metric.name, estimate):
        return "-"
    return f"{level(metric, estimate.low)} to {level(metric, estimate.high)}"


def _with_interval(metric: Metric, estimate: Estimate) -> str:
    interval = f" ({_interval(metric, estimate)})" if has_interval(metric.name, estimate) else ""
    return f"{level(metric, estimate.value)}{interval}"


def round_curves(run: RunRecord) -> tuple[Curve, ...]:
    """Approval with its Wilson interval, and the number of gaps."""
    curves = []
    if run.rounds:
        points = [Point(f"round {entry.iteration}", entry.approval) for entry in run.rounds]
        said = "Approval rate by round: " + "; ".join(f"{p.label} {percent(p.estimate.value)}" for p in points)
        rows = tuple(
            (
                p.label,
                percent(p.estimate.value),
                f"{percent(p.estimate.low)} to {percent(p.estimate.high)}",
                str(p.estimate.n),
            )
            for p in points
        )
        curves.append(Curve("Approval rate", "by round", charts.curve(points, said, percent=True), rows))
    if run.surveys:
        counts = [
            (moment, float(len(survey.gaps)), survey.images)
            for moment, survey in zip(moments(run), run.surveys, strict=True)
        ]
        points = [Point(moment, Estimate(count, count, count, images)) for moment, count, images in counts]
        said = "Number of gaps: " + "; ".join(f"{moment} {count:.0f}" for moment, count, _ in counts)
        rows = tuple((moment, f"{count:.0f}", "counted", str(images)) for moment, count, images in counts)
        curves.append(Curve("Gaps", "at the start of each round", charts.curve(points, said, whole=True), rows))
    return tuple(curves)
