"""Reports on model files, as text and as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from twinloop.domain.wording import plural, shown
from twinloop.system import shell

if TYPE_CHECKING:
    from twinloop.pickles.inspection import Finding
    from twinloop.stages.model_files.inspect import Report

SHOWN = 12

_NEXT = {
    "unknown": "It was not converted. If you trust whoever made it, run again with: {allow}",
    "dangerous": (
        "Nothing was run. Do not load it; delete it, and get the model from its author as .safetensors or .onnx."
    ),
    "malformed": "Do not load it. Get it again from where it came.",
    "not_a_model": "Get the model itself.",
}


def report_lines(report: Report, convert: bool) -> Iterator[str]:
    """Verdict, reasons, and what to do next."""
    size = "" if report.size is None else f", {_bytes(report.size)}"
    weights = report.weights
    numbers = f", {plural(len(weights.tensors), 'tensor')}, {weights.params:,} numbers" if weights else ""
    yield (
        f"{shown(str(report.path))}: {report.verdict.value.replace('_', ' ').upper()} ({report.format}{size}{numbers})"
    )
    for finding in report.findings[:SHOWN]:
        yield f"  - {shown(finding.text)}{_where(finding)}"
    if len(report.findings) > SHOWN:
        yield f"  - and {len(report.findings) - SHOWN} more, all with --json"
    yield from (f"  {shown(line)}" for line in _next(report, convert))


def _where(finding: Finding) -> str:
    if finding.offset is None:
        return ""
    return f" (byte {finding.offset}{f' of {shown(finding.place)}' if finding.place else ''})"


def _next(report: Report, convert: bool) -> Iterator[str]:
    if report.verdict.value != "safe":
        unknown = [f"--allow {shell.quote(str(f.name))}" for f in report.findings if f.verdict.value == "unknown"]
        more = f" ... and {len(unknown) - SHOWN} more, all with --json" if len(unknown) > SHOWN else ""
        yield _NEXT[report.verdict.value].format(allow=" ".join(unknown[:SHOWN]) + more)
    elif report.output is not None:
        yield f"{'Already there' if report.output.unchanged else 'Written'}: {report.output.path}"
        yield from _taken(report)
    elif report.failure is not None:
        yield f"Not converted: {report.failure}"
    elif report.obstacle is not None:
        yield f"Loading it is harmless, but it cannot be converted: {report.obstacle}"
    elif report.weights is None:
        yield "Nothing to convert." if report.format == "safetensors" else "It holds no tensors; nothing to convert."
    elif not convert:
        yield "Convert it: run again with --convert."


def _taken(report: Report) -> Iterator[str]:
    if report.weights is not None and report.weights.left_out:
        yield f"Taken: {report.weights.part}. Left out: {', '.join(report.weights.left_out)}."


def _bytes(size: int) -> str:
    for unit, factor in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if size >= factor:
            return f"{size / factor:.1f} {unit}"
    return f"{size} bytes"


def summary(reports: Sequence[Report]) -> str:
    """One line over all files."""
    counts = Counter(report.verdict.value.replace("_", " ") for report in reports)
    converted = sum(report.output is not None for report in reports)
    parts = [f"{count} {name}" for name, count in sorted(counts.items())]
    return f"{len(reports)} files: {', '.join(parts)}{f'; {converted} converted' if converted else ''}"


def data_of(report: Report) -> dict[str, Any]:
    """The object of one file in the ``--json`` list."""
    weights, output = report.weights, report.output
    return {
        "path": str(report.path),
        "sha256": report.sha256,
        "size": report.size,
        "format": report.format,
        "verdict": report.verdict.value,
        "findings": [
            {"verdict": f.verdict.value, "name": f.name, "offset": f.offset, "place": f.place, "text": f.text}
            for f in report.findings
        ],
        "globals": list(report.names),
        "tensors": len(weights.tensors) if weights else 0,
        "params": weights.params if weights else 0,
        "part": weights.part if weights else "",
        "left_out": list(weights.left_out) if weights else [],
        "output": (
            {"path": str(output.path), "sha256": output.sha256, "unchanged": output.unchanged} if output else None
        ),
        "failure": report.failure,
    }
