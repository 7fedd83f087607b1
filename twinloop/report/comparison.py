"""compare.html: a comparison of LoRAs as one self-contained page, in the report's style."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from urllib.parse import quote

from twinloop.domain.comparison import LIKENESS, NO_FACE, Best, Comparison, Drawn, Row
from twinloop.domain.wording import plural
from twinloop.report.charts import Point
from twinloop.report.templating import rendered
from twinloop.report.thumbnails import Pictures, Thumbnail
from twinloop.report.trends import Curve, curve_of
from twinloop.report.words import METRICS, Metric, number
from twinloop.store.atomic import write_bytes

LARGE, SMALL = 256, 160
"""Pixels of a thumbnail's longer side: with few pictures on the page, and with many."""
MANY = 200
"""Pictures from which they are small."""
AT_ONCE = 12
"""Rows that are open from the start."""
MEASURED = tuple(metric for metric in METRICS if metric.name in (LIKENESS, "quality", "diversity"))


@dataclass(frozen=True)
class Head:
    """What stands over one column. ``best``: of its LoRA."""

    strength: str
    best: bool


@dataclass(frozen=True)
class Group:
    """One LoRA and its columns; "" = none."""

    name: str
    heads: tuple[Head, ...]


@dataclass(frozen=True)
class Cell:
    """One picture with its own figures; ``href``: of the file."""

    picture: Thumbnail | None
    alt: str
    href: str
    figures: tuple[str, ...]


@dataclass(frozen=True)
class GridRow:
    """One prompt and seed from left to right. ``note``: what this row is drawn with, where rows differ in it."""

    number: int
    prompt: str
    seed: int
    note: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Answer:
    """What is said of one LoRA."""

    name: str
    strength: str
    likeness: str
    verdict: str


def write_page(comparison: Comparison, folder: Path, output: Path, grid: str) -> None:
    """Write the page of a comparison whose images lie under ``folder``; ``grid``: name of the picture beside it.

    Raises:
        StorageError: it cannot be written.
    """
    write_bytes(output, render(comparison, folder, grid).encode("utf-8", "replace"))


def render(comparison: Comparison, folder: Path, grid: str) -> str:
    """The page as text."""
    names = list(dict.fromkeys(drawn.column.name for drawn in comparison.columns if drawn.column.name))
    pictures = len(comparison.rows) * len(comparison.columns)
    return rendered(
        "comparison.html.j2",
        title=", ".join(names) or "Without LoRA",
        comparison=comparison,
        pictures=pictures,
        shared=_shared(comparison),
        groups=_groups(comparison),
        rows=_rows(comparison, Pictures(folder, SMALL if pictures > MANY else LARGE)),
        at_once=AT_ONCE,
        answers=tuple(map(_answer, comparison.best)),
        faceless=tuple(f"{name}: {NO_FACE}" for name in comparison.faceless),
        curves=_curves(comparison),
        grid=grid,
    )


def _answer(best: Best) -> Answer:
    likeness, n = best.likeness, plural(best.likeness.n, "image")
    said = f"likeness {number(likeness.value)}, 95% interval {number(likeness.low)} to {number(likeness.high)}, {n}"
    return Answer(best.name, f"{best.strength:g}", said, best.verdict)


def _groups(comparison: Comparison) -> tuple[Group, ...]:
    best = {(best.name, best.strength) for best in comparison.best}
    return tuple(
        Group(
            name,
            tuple(Head(f"{drawn.column.strength:g}", (name, drawn.column.strength) in best) for drawn in columns),
        )
        for name, columns in groupby(comparison.columns, key=lambda drawn: drawn.column.name)
    )


def _rows(comparison: Comparison, pictures: Pictures) -> tuple[GridRow, ...]:
    return tuple(
        GridRow(
            index + 1,
            row.shot.prompt,
            row.shot.seed,
            "" if _shared(comparison) else _drawn_with(row),
            tuple(_cell(drawn, index, pictures) for drawn in comparison.columns),
        )
        for index, row in enumerate(comparison.rows)
    )


def _drawn_with(row: Row) -> str:
    return f"{row.width}x{row.height}, {plural(row.steps, 'step')}, guidance {row.guidance:g}"


def _shared(comparison: Comparison) -> str:
    """What all rows are drawn with; "" = they differ."""
    found = {_drawn_with(row) for row in comparison.rows}
    return found.pop() if len(found) == 1 else ""


def _cell(drawn: Drawn, index: int, pictures: Pictures) -> Cell:
    file, digest = drawn.images[index]
    figures = tuple(
        f"{_label(metric).lower()} {number(drawn.samples[metric.name][index])}"
        for metric in MEASURED
        if metric.name in drawn.samples and metric.name != "diversity"
    )
    said = f": {', '.join(figures)}" if figures else ""
    return Cell(
        pictures.at(pictures.root / file, digest),
        f"Prompt {index + 1}, {drawn.column.title}{said}",
        quote(file),
        figures,
    )


def _curves(comparison: Comparison) -> tuple[Curve, ...]:
    """Every figure by strength, without a LoRA at the left end: that of all LoRAs side by side, on one axis."""
    bare = [drawn for drawn in comparison.columns if drawn.column.lora is None]
    of_lora = {
        name: sorted([*bare, *columns], key=lambda drawn: drawn.column.strength)
        for name, columns in groupby(comparison.columns, key=lambda drawn: drawn.column.name)
        if name
    }
    curves = []
    for metric in MEASURED:
        points = {
            name: _points(metric, name, own, comparison)
            for name, own in of_lora.items()
            if all(metric.name in drawn.metrics for drawn in own)
        }
        together = [point for own in points.values() for point in own]
        curves += [_curve(metric, name, own, together) for name, own in points.items()]
    return tuple(curves)


def _points(metric: Metric, name: str, columns: list[Drawn], comparison: Comparison) -> list[Point]:
    best = {best.strength for best in comparison.best if best.name == name and metric.name == LIKENESS}
    strengths = [drawn.column.strength for drawn in columns]
    return [
        Point(f"{strength:g}", drawn.metrics[metric.name], "best" if strength in best else "")
        for strength, drawn in zip(strengths, columns, strict=True)
    ]


def _curve(metric: Metric, name: str, points: list[Point], together: list[Point]) -> Curve:
    label = _label(metric)
    about = f"{name}, by strength"
    return curve_of(metric, points, label, f"{label} of {name} by strength", about, f"{name}, ", together)


def _label(metric: Metric) -> str:
    return "Likeness" if metric.name == LIKENESS else metric.label
