"""Analyze: which facet values are under their target share, and by how many images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from twinloop.domain.facet import Facet
from twinloop.domain.observation import Observation
from twinloop.domain.shots import Gap, images_needed

FEW_PHOTOS = 10
"""Under so many photos shares mean little; the analysis says so."""


@dataclass(frozen=True)
class ValueCount:
    """How often one facet value occurs. ``measured`` = images where it could be told."""

    value: str
    count: int
    measured: int
    target: float | None

    @property
    def share(self) -> float:
        return self.count / self.measured if self.measured else 0.0


@dataclass(frozen=True)
class FacetCount:
    """One facet over the whole dataset; ``not_measured`` = images of which it can say nothing."""

    facet: str
    values: tuple[ValueCount, ...]
    measured: int
    not_measured: int
    why: str


@dataclass(frozen=True)
class Analysis:
    """The result: counts per facet and the gaps, largest need first."""

    images: int
    facets: tuple[FacetCount, ...]
    gaps: tuple[Gap, ...]
    notes: tuple[str, ...]

    @property
    def not_measured(self) -> tuple[str, ...]:
        return tuple(f.facet for f in self.facets if f.measured == 0)


def analyze(
    seen: Sequence[Observation], facets: Sequence[Facet], shares: Mapping[str, Mapping[str, float]]
) -> Analysis:
    """Count facet values over the dataset's observations and derive the gaps.

    Args:
        shares: facet -> value -> wanted share; goes over the facet's own.
    """
    counted = tuple(_count(facet, seen, {**facet.shares, **shares.get(facet.name, {})}) for facet in facets)
    gaps = [gap for facet in counted for gap in _gaps(facet)]
    notes = (
        [f"only {len(seen)} images: shares of so few say little, add real photos first"]
        if 0 < len(seen) < FEW_PHOTOS
        else []
    )
    gaps.sort(key=lambda gap: (-gap.count, gap.facet, gap.value))
    return Analysis(len(seen), counted, tuple(gaps), tuple(notes))


def _count(facet: Facet, seen: Sequence[Observation], shares: Mapping[str, float]) -> FacetCount:
    readings = [facet.classify(observation) for observation in seen]
    values = []
    for value in facet.values:
        have = sum(value in reading.present for reading in readings)
        told = have + sum(value in reading.absent for reading in readings)
        values.append(ValueCount(value, have, told, shares.get(value)))
    measured = sum(reading.measured for reading in readings)
    return FacetCount(
        facet.name, tuple(values), measured, len(seen) - measured, _why_not(facet, seen) if measured < len(seen) else ""
    )


def _why_not(facet: Facet, seen: Sequence[Observation]) -> str:
    missing = [need for need in facet.needs if not any(need in observation.measured for observation in seen)]
    return f"no detector for: {', '.join(missing)}" if missing else "could not be told on these images"


def _gaps(facet: FacetCount) -> list[Gap]:
    gaps = []
    for value in facet.values:
        if value.target is None or value.measured == 0:
            continue
        needed = images_needed(value.count, value.measured, value.target)
        if needed:
            gaps.append(
                Gap(
                    facet=facet.facet, value=value.value, count=needed, have=value.count, total=value.measured, share=value.target,
                    reason=_reason(facet.facet, value), advice=_advice(value.value, needed),
                )
            )  # fmt: skip
    return gaps


def _reason(facet: str, value: ValueCount) -> str:
    got, want = f"{100 * value.share:.1f}%", f"{100 * (value.target or 0):g}%"
    name = value.value.replace("_", " ")
    if facet == "face_angle":
        return f"{name.capitalize()} shots are {got} (target: {want})"
    return f"{name.capitalize()} in {got} (target: {want})"


def _advice(value: str, needed: int) -> str:
    name = value.replace("_", " ")
    return f"best remedy: add {needed} real photo{'s' if needed > 1 else ''} with {name}; made images are a guess at what the person looks like there"


def analysis_json(
    analysis: Analysis,
    *,
    person: str,
    iteration: int,
    left_out: Sequence[tuple[str, str]],
    missing: Sequence[str],
    settings: str,
) -> dict[str, Any]:
    """gaps.json: the seed's ``recommendations``, and all that stands behind them."""
    return {
        "recommendations": [gap.to_json() for gap in analysis.gaps],
        "iteration": iteration,
        "person": person,
        "images": analysis.images,
        "gap_count": len(analysis.gaps),
        "facets": {facet.facet: _facet_json(facet) for facet in analysis.facets},
        "not_measured": {f.facet: f.why for f in analysis.facets if f.measured == 0},
        "left_out": [{"path": path, "reason": reason} for path, reason in left_out],
        "missing_models": list(missing),
        "notes": list(analysis.notes),
        "settings": settings,
    }


def _facet_json(facet: FacetCount) -> dict[str, Any]:
    return {
        "measured": facet.measured,
        "not_measured": facet.not_measured,
        "values": {
            v.value: {"count": v.count, "measured": v.measured, "share": round(v.share, 4), "target": v.target}
            for v in facet.values
        },
    }


def gaps_from_json(data: Mapping[str, Any]) -> tuple[Gap, ...]:
    """The gaps of a gaps.json, also of one written by hand with only ``type``, ``target`` and ``count``.

    Raises:
        ValueError: a recommendation without these, naming its position.
    """
    gaps = []
    for number, item in enumerate(data.get("recommendations", ()), 1):
        try:
            gaps.append(
                Gap(
                    facet=str(item["type"]), value=str(item["target"]), count=int(item["count"]), have=int(item.get("have", 0)),
                    total=int(item.get("measured", 0)), share=float(item.get("target_share", 0.0)),
                    reason=str(item.get("reason", "")), advice=str(item.get("advice", "")),
                )
            )  # fmt: skip
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(
                f"recommendation {number} needs 'type', 'target' and a whole number 'count' ({error})"
            ) from error
    return tuple(gaps)
