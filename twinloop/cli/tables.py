"""Results as text for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from twinloop.domain.wording import plural, shown

if TYPE_CHECKING:
    from twinloop.stages.analyze import Analysis, FacetCount
    from twinloop.stages.validate import Tally

SHOWN = 10
ALL = "--json lists all"
"""Where more of a list stands than `SHOWN`."""


def columns(rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> list[str]:
    """Rows as aligned lines, two spaces apart, each cell as `shown`; the columns in ``right`` are numbers."""
    rows = [list(map(shown, row)) for row in rows]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(
            cell.rjust(width) if number in right else cell.ljust(width)
            for number, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def analysis_lines(result: Analysis, data: Mapping[str, Any]) -> list[str]:
    """A gap analysis: one row per facet value, then what was not measured, then what was left out and why."""
    synthetic = f", {result.synthetic} of them synthetic" if result.synthetic else ""
    lines = [f"{data['dataset']}: {plural(result.images, 'image')} counted{synthetic}", ""]
    missing = {(gap.facet, gap.value): gap.count for gap in result.gaps}
    rows: list[tuple[str, ...]] = [("Facet", "Value", "Count", "Share", "Target", "Missing")]
    for facet in result.facets:
        rows += _facet_rows(facet, missing)
    lines += columns(rows, right=(2, 3, 4, 5))
    lines += _listed("Not measured", [f"{name} ({why})" for name, why in data["not_measured"].items()])
    lines += _listed("Models that are missing or broken", data["missing_models"])
    lines += left_out_lines(data["left_out"])
    return [*lines, *(f"Note: {note}" for note in result.notes)]


def left_out_lines(left_out: Sequence[Mapping[str, str]]) -> list[str]:
    """Which pictures are not used, each with its reason."""
    return _listed("Left out", [f"{item['path']}: {item['reason']}" for item in left_out])


def _facet_rows(facet: FacetCount, missing: Mapping[tuple[str, str], int]) -> list[tuple[str, ...]]:
    if facet.measured == 0:
        return []
    rows: list[tuple[str, ...]] = []
    for number, value in enumerate(facet.values):
        name = facet.facet if number == 0 else ""
        target = "-" if value.target is None else f"{100 * value.target:g}%"
        if value.measured == 0:
            rows.append((name, value.value, "not measured", "-", target, "-"))
        else:
            gap = missing.get((facet.facet, value.value))
            rows.append((name, value.value, str(value.count), f"{100 * value.share:.1f}%", target, str(gap or "-")))
    return rows


def _listed(title: str, items: Sequence[str]) -> list[str]:
    if not items:
        return []
    more = [f"  - and {len(items) - SHOWN} more ({ALL})"] if len(items) > SHOWN else []
    return ["", f"{title}: {len(items)}", *(f"  - {shown(item)}" for item in items[:SHOWN]), *more]


def validation_lines(counts: Tally) -> list[str]:
    """The summary of a validation."""
    unsure = [f"Unsure: {counts.unsure}"] if counts.unsure else []
    early = f" ({counts.early} of them early, before they were finished)" if counts.early else ""
    return [
        "Validation Complete",
        "─────────────────────",
        f"Approved: {counts.approved} ({100 * counts.approval:.1f}%)",
        f"Rejected: {counts.rejected}{early}",
        *unsure,
        f"Avg Quality: {counts.quality:.2f}",
    ]
