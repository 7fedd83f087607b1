"""Analyze: which facet values are under their target share, and by how many images."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from twinloop.domain.choices import Subject
from twinloop.domain.facet import Facet, Shares, wanted_shares
from twinloop.domain.model_roles import UNREAD_ON_DRAWINGS, why_blind
from twinloop.domain.observation import Observation
from twinloop.domain.shots import Gap, images_needed
from twinloop.domain.wording import in_words, plural
from twinloop.errors import InputError
from twinloop.facets.face_angle import FILM
from twinloop.registry import facets as facet_registry

ALIKE_FROM = 12
"""Faces from which it is pointed out that all of them read as the same expression."""
FEW_PHOTOS = 10
"""Under so many photos shares mean little; the analysis says so."""
TOLD_ON_MOST = 0.8
"""A value that could be told on a smaller share of the images than this is pointed out: its share is of those only."""


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
    """One facet over the whole dataset; ``not_measured`` = images of which it can say nothing; ``why`` = the reason,
    where some value is lacking.
    """

    facet: str
    values: tuple[ValueCount, ...]
    measured: int
    not_measured: int
    why: str


@dataclass(frozen=True)
class Analysis:
    """The result: counts per facet and the gaps, largest need first.

    ``synthetic`` = how many of ``images`` carry the mark of one.
    """

    images: int
    synthetic: int
    facets: tuple[FacetCount, ...]
    gaps: tuple[Gap, ...]
    notes: tuple[str, ...]


def analyze(
    seen: Sequence[Observation],
    facets: Sequence[Facet],
    shares: Shares,
    subject: Subject = "person",
    unread: frozenset[str] = frozenset(),
) -> Analysis:
    """Count facet values over the dataset's observations and derive the gaps.

    Args:
        shares: facet -> value -> wanted share; goes over the facet's own.
        subject: a person's advice speaks of photos, a character's of pictures. unread: as in `DetectorPack`.
    """
    counted = tuple(_count(facet, seen, wanted_shares(facet, shares), unread) for facet in facets)
    gaps = [gap for facet, found in zip(facets, counted, strict=True) for gap in _gaps(facet, found, subject)]
    gaps.sort(key=lambda gap: (-gap.count, gap.facet, gap.value))
    synthetic = sum(observation.origin != "real" for observation in seen)
    return Analysis(len(seen), synthetic, counted, tuple(gaps), tuple(_notes(len(seen), counted, subject)))


def _notes(images: int, facets: Sequence[FacetCount], subject: Subject) -> list[str]:
    few = f"only {plural(images, 'image')}: shares of so few say little, add {_photo(subject)}s first"
    notes = [few] if 0 < images < FEW_PHOTOS else []
    if subject == "person" and (alike := all_alike({facet.facet: _facet_json(facet) for facet in facets})):
        notes.append(alike)
    for facet in facets:
        told = {f"{facet.facet}: {value.value}": value.measured for value in facet.values}
        if len(set(told.values())) == 1:
            told = {facet.facet: facet.measured}
        notes += [
            f"{name} could be told on {count} of {images} images; its share{'s are' if name == facet.facet else ' is'}"
            " of those"
            for name, count in told.items()
            if 0 < count < TOLD_ON_MOST * images
        ]
    return notes


def _photo(subject: Subject) -> str:
    """What is asked for of a subject."""
    return "real photo" if subject == "person" else "picture"


def all_alike(facets: Mapping[str, Any]) -> str:
    """What is to be said where all of many faces read as the same expression; "" where they do not.

    Args:
        facets: as in gaps.json.
    """
    counts = facets.get("expression", {}).get("values", {})
    found = {value: one["count"] for value, one in counts.items() if one["count"]}
    measured = int(facets.get("expression", {}).get("measured", 0))
    if len(found) != 1 or measured < ALIKE_FROM or measured != sum(found.values()):
        return ""
    return (
        f'all {measured} faces read as {next(iter(found))}: if these are drawings, set "subject": "character"'
        " (--subject character); detectors made for photos cannot read them"
    )


def check_shares(facets: Sequence[Facet], shares: Shares, faces: bool = True) -> None:
    """Whether the user's shares fit the facets.

    Args:
        faces: False = what needs a face is not in force.

    Raises:
        InputError: every share of an unknown facet or value, and every exclusive facet whose shares add up to more than
            1.
    """
    known = {facet.name: facet for facet in facets}
    problems = [_no_facet(name, known, faces) for name in shares if name not in known]
    for facet in facets:
        wanted = shares.get(facet.name, {})
        problems += [
            f"{facet.name} has no value '{value}' (known: {', '.join(facet.values)})"
            for value in wanted
            if value not in facet.values
        ]
        total = sum(wanted_shares(facet, shares).values())
        if wanted and not facet.multiple and total > 1 + 1e-9:
            rest = ", ".join(f"{value} {share:g}" for value, share in facet.shares.items() if value not in wanted)
            usual = f" (with the usual ones of the others: {rest})" if rest else ""
            problems.append(f"the shares of {facet.name} add up to {total:.2f}, more than 1{usual}")
    if problems:
        raise InputError("Wanted shares: " + "; ".join(problems) + ".")


def _no_facet(name: str, known: Collection[str], faces: bool) -> str:
    """Why a facet is not in force."""
    if not faces and name in facet_registry.names():
        return (
            f"'{name}' cannot be told without a face, and validation.faces is false; remove '{name}' from"
            " analysis.shares"
        )
    return f"'{name}' is no facet in force (known: {', '.join(known)})"


def _count(
    facet: Facet, seen: Sequence[Observation], shares: Mapping[str, float], unread: frozenset[str]
) -> FacetCount:
    readings = [facet.classify(observation) for observation in seen]
    values = []
    for value in facet.values:
        have = sum(value in reading.present for reading in readings)
        told = have + sum(value in reading.absent for reading in readings)
        values.append(ValueCount(value, have, told, shares.get(value)))
    measured = sum(reading.measured for reading in readings)
    complete = all(value.measured == len(seen) for value in values)
    return FacetCount(
        facet.name, tuple(values), measured, len(seen) - measured, "" if complete else _why_not(facet, seen, unread)
    )


def _why_not(facet: Facet, seen: Sequence[Observation], unread: frozenset[str]) -> str:
    missing = [need for need in facet.needs if not any(need in observation.measured for observation in seen)]
    if missing and unread.issuperset(missing):
        return UNREAD_ON_DRAWINGS
    return why_blind(missing) if missing else "could not be told on these images"


def _gaps(facet: Facet, found: FacetCount, subject: Subject) -> list[Gap]:
    gaps = []
    for value in found.values:
        if value.target is None or value.measured == 0:
            continue
        needed = images_needed(value.count, value.measured, value.target)
        if needed:
            gaps.append(
                Gap(
                    facet=facet.name,
                    value=value.value,
                    count=needed,
                    have=value.count,
                    total=value.measured,
                    share=value.target,
                    reason=_reason(facet, value),
                    advice=_advice(facet, value.value, needed, subject),
                )
            )
    return gaps


def _reason(facet: Facet, value: ValueCount) -> str:
    got = f"{100 * value.share:.1f}%" if value.count else "0%"
    name = in_words(value.value).capitalize()
    if facet.name == "face_angle":
        name += " shots are"
    else:
        name += " in" if facet.multiple else f" {facet.name.replace('_', ' ')} in"
    return f"{name} {got} (target: {100 * (value.target or 0):g}%)"


def _advice(facet: Facet, value: str, needed: int, subject: Subject) -> str:
    wish = facet.phrases[value].wish or f"with {facet.name}: {value}".replace("_", " ")
    if facet.name == "face_angle" and value != "front" and subject == "person":
        wish += f", {FILM}"
    return (
        f"best remedy: add {plural(needed, _photo(subject))} {wish}; generated images are a guess at what the {subject}"
        " looks like there"
    )


def analysis_json(
    analysis: Analysis,
    *,
    person: str,
    dataset: str,
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
        "dataset": dataset,
        "images": analysis.images,
        "synthetic_images": analysis.synthetic,
        "gap_count": len(analysis.gaps),
        "facets": {facet.facet: _facet_json(facet) for facet in analysis.facets},
        "not_measured": _not_measured(analysis),
        "left_out": [{"path": path, "reason": reason} for path, reason in left_out],
        "missing_models": list(missing),
        "notes": list(analysis.notes),
        "settings": settings,
    }


def _not_measured(analysis: Analysis) -> dict[str, str]:
    """Facet, or ``facet: value`` where only some values of it lack their detector -> why.

    Never to be read as "no gap".
    """
    lacking: dict[str, str] = {}
    for facet in analysis.facets:
        if facet.measured == 0:
            lacking[facet.facet] = facet.why
        else:
            lacking.update({f"{facet.facet}: {v.value}": facet.why for v in facet.values if v.measured == 0})
    return lacking


def _facet_json(facet: FacetCount) -> dict[str, Any]:
    return {
        "measured": facet.measured,
        "not_measured": facet.not_measured,
        "values": {
            v.value: {"count": v.count, "measured": v.measured, "share": round(v.share, 4), "target": v.target}
            for v in facet.values
        },
    }


def gaps_from_json(data: Any) -> tuple[Gap, ...]:
    """The gaps of a gaps.json, also of one written by hand with only ``type``, ``target`` and ``count``.

    Raises:
        ValueError: no list of recommendations, or one that lacks these or is there twice, naming its position.
    """
    listed = data.get("recommendations") if isinstance(data, Mapping) else None
    if not isinstance(listed, list):
        raise ValueError('it holds no list "recommendations"')
    gaps: dict[tuple[str, str], Gap] = {}
    for number, item in enumerate(listed, 1):
        gap = _gap_from_json(item, number)
        if (gap.facet, gap.value) in gaps:
            raise ValueError(f"recommendation {number} asks for {gap.facet}: {gap.value} a second time")
        gaps[gap.facet, gap.value] = gap
    return tuple(gaps.values())


def _gap_from_json(item: Any, number: int) -> Gap:
    try:
        count = item["count"]
        if isinstance(count, bool) or int(count) != float(count) or int(count) < 1:
            raise ValueError(f"got {count!r}")
        return Gap(
            facet=str(item["type"]), value=str(item["target"]), count=int(count), have=int(item.get("have", 0)),
            total=int(item.get("measured", 0)), share=float(item.get("target_share", 0.0)),
            reason=str(item.get("reason", "")), advice=str(item.get("advice", "")),
        )  # fmt: skip
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise ValueError(
            f"recommendation {number} needs 'type', 'target' and a whole 'count' of 1 or more ({error})"
        ) from None
