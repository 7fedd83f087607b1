"""The curves: every figure of the panel by version, approval and gaps by round."""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup

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
    known = [metric for metric in METRICS if any(metric.name in score.metrics for score in run.scores)]
    return tuple(_metric_curve(run, metric) for metric in known)


def _metric_curve(run: RunRecord, metric: Metric) -> Curve:
    points = [
        Point(f"v{score.version}", score.metrics[metric.name], run.remark(score.version))
        for score in run.scores
        if metric.name in score.metrics
    ]
    said = f"{metric.label} by LoRA version: " + "; ".join(
        f"{p.label} {_interval_text(metric, p.estimate)}" for p in points
    )
    bounded = metric.name != "diversity"
    chart = charts.curve(points, said, percent=metric.percent, bounded=bounded)
    rows = tuple(
        (
            p.label,
            level(metric, p.estimate.value),
            f"{level(metric, p.estimate.low)} to {level(metric, p.estimate.high)}",
            str(p.estimate.n),
        )
        for p in points
    )
    return Curve(metric.label, "by version", chart, rows)


def _interval_text(metric: Metric, estimate: Estimate) -> str:
    return f"{level(metric, estimate.value)} ({level(metric, estimate.low)} to {level(metric, estimate.high)})"


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
