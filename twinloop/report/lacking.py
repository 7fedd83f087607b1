"""What changed where the photos lacked: the panel images that ask for a value of the first gap analysis, by v1 and by
the version held against it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from twinloop.domain.records import PanelScore
from twinloop.domain.shots import Gap
from twinloop.domain.statistics import Estimate, paired_difference
from twinloop.report import charts
from twinloop.report.model import RunRecord
from twinloop.report.words import METRICS, Metric, change, level, words

FEWEST = 6
"""Images from which an interval is shown: of fewer it says next to nothing."""
IDENTITY = next(metric for metric in METRICS if metric.name == "identity")
SEEN = Metric(
    "seen", "Seen as asked", True, "Share of the panel images that ask for a value in which the detectors find it."
)


@dataclass(frozen=True)
class Moved:
    """One figure of both versions and its change, image by image.

    ``chart`` and ``text`` are empty where there are too few images.
    """

    before: str
    after: str
    text: str
    chart: Markup


@dataclass(frozen=True)
class LackingRow:
    """One gap of the photos.

    ``photos``: how many of them had it. ``asking``: panel images that ask for it; None in ``seen`` or ``identity`` =
    not measured.
    """

    label: str
    photos: str
    asking: int
    seen: Moved | None
    identity: Moved | None


@dataclass(frozen=True)
class Lacking:
    """The table. ``beyond``: of how many figures the interval leaves out zero, of ``figures``."""

    rows: tuple[LackingRow, ...]
    beyond: int
    figures: int


def lacking(run: RunRecord, compared: int | None) -> Lacking:
    """One row per gap of the first analysis; none where no later version is held against v1."""
    scores = {score.version: score for score in run.scores}
    if not run.surveys or compared is None or 1 not in scores or compared not in scores:
        return Lacking((), 0, 0)
    both = scores[1], scores[compared]
    changes = [(gap, *_of_gap(run, gap, *both)) for gap in run.surveys[0].gaps]
    known = [
        one
        for *_, seen, identity in changes
        for one in (seen, identity)
        if one is not None and one.difference is not None
    ]
    reach = {kind: _reach([one for one in known if one.metric is kind]) for kind in (SEEN, IDENTITY)}
    rows = tuple(
        LackingRow(
            f"{words(gap.facet)}: {words(gap.value)}",
            f"{gap.have} of {gap.total}",
            asking,
            None if seen is None else seen.told(gap, reach[SEEN]),
            None if identity is None else identity.told(gap, reach[IDENTITY]),
        )
        for gap, asking, seen, identity in changes
    )
    beyond = sum(
        1 for one in known if one.difference is not None and (one.difference.low > 0 or one.difference.high < 0)
    )
    return Lacking(rows, beyond, len(known))


@dataclass(frozen=True)
class _Change:
    metric: Metric
    before: float
    after: float
    difference: Estimate | None

    def told(self, gap: Gap, reach: float) -> Moved:
        texts = level(self.metric, self.before), level(self.metric, self.after)
        if self.difference is None:
            return Moved(*texts, "", Markup(""))
        text = self._text(self.difference)
        said = f"{self.metric.label} of {words(gap.facet)}: {words(gap.value)}, change against v1: {text}"
        return Moved(*texts, text, charts.difference_bar(self.difference, reach, said))

    def _text(self, difference: Estimate) -> str:
        """``+0.066 (+0.011 to +0.121)``."""
        middle, low, high = (
            change(self.metric, value) for value in (difference.value, difference.low, difference.high)
        )
        return f"{middle}{' points' if self.metric.percent else ''} ({low} to {high})"


def _of_gap(
    run: RunRecord, gap: Gap, before: PanelScore, after: PanelScore
) -> tuple[int, _Change | None, _Change | None]:
    """Images asking for the value, and how often it was seen and how like the person they are."""
    asking = [number for number, shot in enumerate(run.panel) if dict(shot.traits).get(gap.facet) == gap.value]
    hits = [(_at(before.hits.get(gap.facet), number), _at(after.hits.get(gap.facet), number)) for number in asking]
    likeness = [
        (_at(before.samples.get("identity"), number), _at(after.samples.get("identity"), number)) for number in asking
    ]
    return len(asking), _change(SEEN, hits, after.version), _change(IDENTITY, likeness, after.version)


def _at(values: Sequence[float | None] | None, number: int) -> float | None:
    found = None if values is None or number >= len(values) else values[number]
    return None if found is None else float(found)


def _change(metric: Metric, pairs: Sequence[tuple[float | None, float | None]], seed: int) -> _Change | None:
    """Of the images in which both versions were measured."""
    known = [(one, other) for one, other in pairs if one is not None and other is not None]
    if not known:
        return None
    first, second = ([pair[side] for pair in known] for side in (0, 1))
    difference = paired_difference(first, second, seed, metric is SEEN) if len(known) >= FEWEST else None
    return _Change(metric, sum(first) / len(first), sum(second) / len(second), difference)


def _reach(changes: Sequence[_Change]) -> float:
    ends = [
        abs(end) for one in changes if one.difference is not None for end in (one.difference.low, one.difference.high)
    ]
    return max(ends, default=1.0)
