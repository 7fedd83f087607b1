"""What each check measured over all images of the run, and where it drew the line."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from markupsafe import Markup

from twinloop.domain.verdicts import CheckResult, Outcome
from twinloop.report.charts import Column, histogram
from twinloop.report.model import RunRecord
from twinloop.report.words import number, title, words

BINS = 16
_KINDS = (Outcome.APPROVED, Outcome.UNSURE, Outcome.REJECTED)


@dataclass(frozen=True)
class CheckHistogram:
    """One check: its chart, the limits in words, and the same counts as rows (from, to, approved, unsure, rejected)."""

    title: str
    about: str
    chart: Markup
    rows: tuple[tuple[str, str, int, int, int], ...]


def check_histograms(run: RunRecord) -> tuple[CheckHistogram, ...]:
    """Every check that measures a number, in the order of the checks."""
    by_name: dict[str, list[CheckResult]] = {}
    for result in (result for verdicts in run.verdicts for verdict in verdicts for result in verdict.results):
        if isinstance(result.value, int | float) and not isinstance(result.value, bool) and math.isfinite(result.value):
            by_name.setdefault(result.name, []).append(result)
    return tuple(_one(name, results) for name, results in by_name.items())


def _one(name: str, results: list[CheckResult]) -> CheckHistogram:
    values = [float(result.value) for result in results if isinstance(result.value, int | float)]
    low, high = min(values), max(values)
    width = (high - low) / BINS or 1.0
    counts = [[0, 0, 0] for _ in range(BINS)]
    for value, result in zip(values, results, strict=True):
        counts[min(BINS - 1, int((value - low) / width))][_KINDS.index(result.outcome)] += 1
    columns = [
        Column(low + width * index, low + width * (index + 1), (good, unsure, bad))
        for index, (good, unsure, bad) in enumerate(counts)
    ]
    limits = sorted({words(result.limit.replace(">=", "≥")) for result in results}, key=_by_number)
    about = f"limit {limits[0]}" if len(limits) == 1 else f"limits {limits[0]} to {limits[-1]}, by what was asked"
    said = f"{title(name)}: {len(values)} images from {number(low)} to {number(high)}, {about}"
    rows = tuple((number(c.start), number(c.end), *c.counts) for c in columns if sum(c.counts))
    return CheckHistogram(title(name), about, histogram(columns, [str(kind) for kind in _KINDS], said), rows)


def _by_number(limit: str) -> tuple[list[float], str]:
    """``> 6 bits`` before ``> 10 bits``; a limit without a number comes first."""
    return [float(number) for number in re.findall(r"\d+(?:\.\d+)?", limit)], limit
