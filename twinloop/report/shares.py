"""What the dataset holds of every facet value, round by round, against the target; and what could not be measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from twinloop.domain.wording import plural
from twinloop.report import charts
from twinloop.report.model import RunRecord, Survey
from twinloop.report.words import percent, title, words
from twinloop.stages.analyze import FacetCount, ValueCount

_TOPS = (0.25, 0.5, 1.0)
_HEADROOM = 1.05
_MEANING = {"met": "target met", "short": "below target", "free": "no target", "unknown": "not measured"}


@dataclass(frozen=True)
class ValueRow:
    """One facet value.

    ``counts``: one text per survey ("8 of 98"). ``state`` and its ``meaning`` in words: met, short, free (no target),
    unknown.
    """

    label: str
    chart: Markup
    now: str
    target: str
    state: str
    meaning: str
    counts: tuple[str, ...]


@dataclass(frozen=True)
class FacetChart:
    """One facet. ``top``: what the right end of its bars stands for. ``note``: images of which it says nothing."""

    title: str
    rows: tuple[ValueRow, ...]
    top: str
    note: str


@dataclass(frozen=True)
class NotMeasured:
    """A facet, or one value of it, of which nothing is known, and why."""

    title: str
    why: str


@dataclass(frozen=True)
class Shares:
    """The chapter on gaps. ``moments``: what each survey is of ("round 1", "at the end")."""

    facets: tuple[FacetChart, ...]
    not_measured: tuple[NotMeasured, ...]
    summary: str
    moments: tuple[str, ...]
    advice: tuple[str, ...]
    missing_models: tuple[str, ...]
    notes: tuple[str, ...]
    subject: str = "person"

    @property
    def remedy(self) -> str:
        """What closes a gap best."""
        return "Real photos" if self.subject == "person" else "Original pictures"


def shares(run: RunRecord) -> Shares:
    """The chapter from all surveys; empty when none was made."""
    if not run.surveys:
        return Shares((), (), "", (), (), (), ())
    last, subject = run.surveys[-1], run.settings.get("subject", "person")
    noun = "real photo" if subject == "person" else "picture"
    return Shares(
        facets=tuple(_chart(facet, run.surveys) for facet in last.facets if facet.measured > 0),
        not_measured=tuple(NotMeasured(title(name), why) for name, why in last.not_measured),
        summary=_summary(run),
        moments=moments(run),
        advice=tuple(_advice(gap.value, gap.facet, gap.count, noun) for gap in last.gaps),
        missing_models=last.missing_models,
        notes=last.notes,
        subject=subject,
    )


def moments(run: RunRecord) -> tuple[str, ...]:
    """What each survey is of."""
    names = [f"round {survey.iteration}" for survey in run.surveys]
    if run.stop is not None and len(names) > len(run.rounds):
        names[-1] = "at the end"
    return tuple(names)


def _summary(run: RunRecord) -> str:
    counts = [f"{len(survey.gaps)} {_when(moment)}" for moment, survey in zip(moments(run), run.surveys, strict=True)]
    return f"Gaps: {', '.join(counts)}."


def _when(moment: str) -> str:
    return f"in {moment}" if moment.startswith("round") else moment


def _advice(value: str, facet: str, count: int, noun: str) -> str:
    return f"{plural(count, noun)}: {words(value)} ({words(facet)})"


def _chart(facet: FacetCount, surveys: Sequence[Survey]) -> FacetChart:
    history = [next((f for f in survey.facets if f.facet == facet.facet), None) for survey in surveys]
    by_value = {value.value: [_value_of(past, value.value) for past in history] for value in facet.values}
    top = _top(facet, [value for row in by_value.values() for value in row if value is not None])
    images = facet.measured + facet.not_measured
    note = f"Not measured on {facet.not_measured} of {images} images." if facet.not_measured else ""
    rows = tuple(_row(facet.facet, value, by_value[value.value], top) for value in facet.values)
    return FacetChart(title(facet.facet), rows, percent(top), note)


def _top(facet: FacetCount, seen: Sequence[ValueCount]) -> float:
    highest = max([value.share for value in seen] + [value.target or 0.0 for value in facet.values], default=0.0)
    return next((step for step in _TOPS if step >= highest * _HEADROOM), 1.0)


def _value_of(facet: FacetCount | None, value: str) -> ValueCount | None:
    return next((v for v in facet.values if v.value == value), None) if facet is not None else None


def _state(value: ValueCount) -> str:
    if value.measured == 0:
        return "unknown"
    if value.target is None:
        return "free"
    return "met" if value.share >= value.target - 1e-9 else "short"


def _row(facet: str, now: ValueCount, history: Sequence[ValueCount | None], top: float) -> ValueRow:
    told = [None if v is None or v.measured == 0 else v.share for v in history]
    target = "no target" if now.target is None else percent(now.target)
    state = _state(now)
    path = ", then ".join("not measured" if share is None else percent(share, 1) for share in told)
    label = f"{words(facet)}, {words(now.value)}: {path} of the images; target {target}"
    return ValueRow(
        label=words(now.value),
        chart=charts.share_track(told, now.target, top, label) if now.measured else Markup(""),
        now=percent(now.share, 1) if now.measured else "not measured",
        target=target,
        state=state,
        meaning=_MEANING[state],
        counts=tuple("not measured" if v is None or v.measured == 0 else f"{v.count} of {v.measured}" for v in history),
    )
