"""Charts as SVG text: pure functions, colours by CSS class (so that light, dark and print follow the page), same input,
same bytes.

Figures that are not finite are left out; everything else is kept inside the drawing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from markupsafe import Markup, escape

from twinloop.domain.statistics import Estimate

_WIDTH, _HEIGHT = 280.0, 150.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 40.0, 14.0, 14.0, 24.0
_NAMES, _LETTER = 22.0, 11.0
"""Room for the names of lines at their ends, and the height of one."""
_LABELS = 8
"""As many marks below an axis as fit side by side."""


@dataclass(frozen=True)
class Point:
    """One measurement on a curve. ``mark``: ``best``, ``rolled back``, or nothing."""

    label: str
    estimate: Estimate
    mark: str = ""


@dataclass(frozen=True)
class Scale:
    """A linear axis with round ends: ``low`` <= every value <= ``high``, ``ticks`` between them."""

    low: float
    high: float
    ticks: tuple[float, ...]

    def at(self, value: float, start: float, end: float) -> float:
        """Where ``value`` lies between the coordinates ``start`` (low) and ``end`` (high), never outside."""
        share = (value - self.low) / (self.high - self.low)
        return start + min(1.0, max(0.0, share)) * (end - start)


def nice_scale(
    low: float, high: float, floor: float | None = None, ceiling: float | None = None, least: float = 0.05
) -> Scale:
    """A scale of 2 to 5 steps of 1, 2 or 5 times a power of ten around ``low``..``high``, at least ``least`` long,
    within floor and ceiling.
    """
    if not (math.isfinite(low) and math.isfinite(high)) or max(abs(low), abs(high)) > 1e12:
        low, high = 0.0, 1.0
    low, high = min(low, high), max(low, high)
    if high - low < least:
        middle = (low + high) / 2
        low, high = middle - least / 2, middle + least / 2
    step = _step((high - low) / 4)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    if floor is not None and first * step < floor <= low + least:
        first = math.floor(floor / step + 1e-9)
    if ceiling is not None and last * step > ceiling >= high - least:
        last = math.ceil(ceiling / step - 1e-9)
    last = max(last, first + 1)
    return Scale(first * step, last * step, tuple(round(index * step, 12) for index in range(first, last + 1)))


def _step(rough: float) -> float:
    power = 10.0 ** math.floor(math.log10(rough))
    return next(factor * power for factor in (1.0, 2.0, 5.0, 10.0) if factor * power >= rough * (1 - 1e-9))


def curve(
    points: Sequence[Point],
    label: str,
    *,
    percent: bool = False,
    bounded: bool = True,
    whole: bool = False,
    beside: Sequence[Point] = (),
) -> Markup:
    """Values with 95 % intervals from left to right.

    Args:
        label: what a screen reader says. bounded: values lie in 0..1. whole: counts, the axis starts at 0 and has whole
            steps. beside: of the charts that this one is held against: all have one axis.
    """
    shown = _measured(points)
    if not shown:
        return Markup("")
    spanned = [*shown, *_measured(beside)]
    low = 0.0 if whole else min(min(p.estimate.low, p.estimate.value) for p in spanned)
    high = max(max(p.estimate.high, p.estimate.value) for p in spanned)
    scale = nice_scale(
        low, high, 0.0 if bounded or whole else None, 1.0 if bounded and not whole else None, 4.0 if whole else 0.05
    )
    parts = [_grid(scale, percent)]
    xs = [_LEFT + (_WIDTH - _LEFT - _RIGHT) * (index + 0.5) / len(shown) for index in range(len(shown))]
    ys = [_y(scale, p.estimate.value) for p in shown]
    line = " ".join(f"{_n(x)},{_n(y)}" for x, y in zip(xs, ys, strict=True))
    parts.append(f'<polyline class="curve" points="{line}"/>')
    every = math.ceil(len(shown) / _LABELS)
    for index, (point, x, y) in enumerate(zip(shown, xs, ys, strict=True)):
        parts.append(_whisker(point, x, scale))
        parts.append(_marker(point, x, y))
        if index % every == 0 or point.mark == "best":
            parts.append(
                f'<text class="{"strong" if point.mark == "best" else "axis"}" x="{_n(x)}" y="{_n(_HEIGHT - 6)}"'
                f' text-anchor="middle">{escape(point.label)}</text>'
            )
    return _svg(_box(_WIDTH, _HEIGHT), label, parts, "chart")


def _measured(points: Sequence[Point]) -> list[Point]:
    return [p for p in points if all(map(math.isfinite, (p.estimate.value, p.estimate.low, p.estimate.high)))]


@dataclass(frozen=True)
class Line:
    """Values over steps, ascending. ``strong``: it is the one that matters most."""

    name: str
    points: Sequence[tuple[int, float]]
    strong: bool = False


def lines(series: Sequence[Line], label: str) -> Markup:
    """Several lines over one axis of steps from 0, each with its name at its end."""
    finite = [
        replace(line, points=kept)
        for line in series
        if (kept := tuple((step, value) for step, value in line.points if step >= 0 and math.isfinite(value)))
    ]
    if not finite:
        return Markup("")
    values = [value for line in finite for _, value in line.points]
    scale = nice_scale(min(values), max(values), 0.0, least=max(1e-4, 0.02 * abs(max(values))))
    last = max(1, *(line.points[-1][0] for line in finite))
    end = _WIDTH - _RIGHT - _NAMES
    parts = [_grid(scale, False)]
    for x, step, anchor in ((_LEFT, "0", "start"), (end, f"step {last}", "end")):
        parts.append(f'<text class="axis" x="{_n(x)}" y="{_n(_HEIGHT - 6)}" text-anchor="{anchor}">{step}</text>')
    names = _apart([_y(scale, line.points[-1][1]) for line in finite])
    for line, name_y in zip(finite, names, strict=True):
        places = [(Scale(0.0, float(last), ()).at(step, _LEFT, end), _y(scale, value)) for step, value in line.points]
        way = " ".join(f"{_n(x)},{_n(y)}" for x, y in places)
        parts.append(f'<polyline class="curve{" strong" if line.strong else ""}" points="{way}"/>')
        x, y = places[-1]
        parts.append(f'<circle class="dot" cx="{_n(x)}" cy="{_n(y)}" r="{3 if line.strong else 2}"/>')
        parts.append(
            f'<text class="{"strong" if line.strong else "axis"}" x="{_n(x + 6)}" y="{_n(name_y)}"'
            f' dy="0.32em">{escape(line.name)}</text>'
        )
    return _svg(_box(_WIDTH, _HEIGHT), label, parts, "chart")


def _apart(ys: Sequence[float]) -> list[float]:
    """The heights of names, moved as little down or up as it takes for none to lie on another."""
    places, before = [0.0] * len(ys), _TOP - _LETTER
    for index in sorted(range(len(ys)), key=lambda number: ys[number]):
        before = places[index] = max(ys[index], before + _LETTER)
    over = max(0.0, max(places, default=0.0) - (_HEIGHT - _BOTTOM))
    return [max(_TOP, place - over) for place in places]


def _y(scale: Scale, value: float) -> float:
    return scale.at(value, _HEIGHT - _BOTTOM, _TOP)


def _grid(scale: Scale, percent: bool) -> str:
    lines = []
    for tick in scale.ticks:
        y = _n(_y(scale, tick))
        lines.append(f'<line class="grid" x1="{_n(_LEFT)}" x2="{_n(_WIDTH - 4)}" y1="{y}" y2="{y}"/>')
        lines.append(
            f'<text class="axis" x="{_n(_LEFT - 6)}" y="{y}" dy="0.32em"'
            f' text-anchor="end">{_tick(tick, scale, percent)}</text>'
        )
    return "".join(lines)


def _tick(value: float, scale: Scale, percent: bool) -> str:
    step = (scale.ticks[1] - scale.ticks[0]) * (100 if percent else 1)
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    text = f"{value * (100 if percent else 1):.{digits}f}" + ("%" if percent else "")
    return text.replace("-", "\u2212")


def _whisker(point: Point, x: float, scale: Scale) -> str:
    low, high = _y(scale, point.estimate.low), _y(scale, point.estimate.high)
    if abs(low - high) < 0.5:
        return ""
    ends = "".join(f"M{_n(x - 4)} {_n(y)}H{_n(x + 4)}" for y in (low, high))
    return f'<path class="whisker" d="M{_n(x)} {_n(low)}V{_n(high)}{ends}"/>'


def _marker(point: Point, x: float, y: float) -> str:
    if point.mark == "rolled back":
        return (
            f'<path class="dropped" d="M{_n(x - 4)} {_n(y - 4)}L{_n(x + 4)} {_n(y + 4)}M{_n(x - 4)}'
            f' {_n(y + 4)}L{_n(x + 4)} {_n(y - 4)}"/>'
        )
    ring = f'<circle class="ring" cx="{_n(x)}" cy="{_n(y)}" r="7.5"/>' if point.mark == "best" else ""
    return f'{ring}<circle class="dot" cx="{_n(x)}" cy="{_n(y)}" r="4"/>'


def share_track(shares: Sequence[float | None], target: float | None, top: float, label: str) -> Markup:
    """One facet value: a bar for its share now, a ring for its share at first, small dots between, a mark at the
    target.

    Args:
        shares: by round, 0..1; None = not measured. top: the share at the right end.
    """
    scale = Scale(0.0, top if math.isfinite(top) and top > 0 else 1.0, (0.0,))
    known = [s for s in shares if s is not None and math.isfinite(s)]
    parts = ['<rect class="track" x="0" y="7" width="100%" height="8" rx="1"/>']
    if known:
        xs = [_n(scale.at(share, 0.0, 100.0)) for share in known]
        met = target is None or known[-1] >= target - 1e-9
        parts.append(f'<rect class="{"met" if met else "short"}" x="0" y="7" width="{xs[-1]}%" height="8" rx="1"/>')
        parts += [f'<circle class="between" cx="{x}%" cy="11" r="1.8"/>' for x in xs[1:-1]]
        if len(xs) > 1:
            parts.append(f'<circle class="first" cx="{xs[0]}%" cy="11" r="3.4"/>')
    if target is not None and math.isfinite(target):
        x = _n(scale.at(target, 0.0, 100.0))
        parts.append(f'<line class="target" x1="{x}%" x2="{x}%" y1="1" y2="21"/>')
    # horizontal places in percent: the track is as wide as its column, the marks keep their shape
    return _svg('width="100%" height="22"', label, parts, "track-chart")


def difference_bar(change: Estimate, reach: float, label: str) -> Markup:
    """A change with its interval around a zero line; ``reach`` is what the left and the right end stand for."""
    width, height, middle = 240.0, 26.0, 13.0
    values = (change.value, change.low, change.high)
    parts = [f'<line class="zero" x1="{_n(width / 2)}" x2="{_n(width / 2)}" y1="0" y2="{_n(height)}"/>']
    if all(map(math.isfinite, values)) and math.isfinite(reach):
        scale = Scale(-max(reach, 1e-9), max(reach, 1e-9), (0.0,))
        x, low, high = (scale.at(value, 6.0, width - 6.0) for value in values)
        kind = "up" if change.low > 0 else "down" if change.high < 0 else "open"
        parts.append(
            f'<path class="whisker {kind}" d="M{_n(low)} {_n(middle)}H{_n(high)}M{_n(low)}'
            f' {_n(middle - 5)}V{_n(middle + 5)}M{_n(high)} {_n(middle - 5)}V{_n(middle + 5)}"/>'
        )
        parts.append(f'<circle class="dot {kind}" cx="{_n(x)}" cy="{_n(middle)}" r="5"/>')
    return _svg(_box(width, height), label, parts, "difference")


def proportion_bar(parts: Sequence[tuple[str, int]], label: str) -> Markup:
    """Counts side by side as one bar; each part is (CSS class, count)."""
    counted = [(kind, count) for kind, count in parts if count > 0]
    total = sum(count for _, count in counted)
    drawn, before = [], 0
    for kind, count in counted:
        start, length = _n(100 * before / total), _n(100 * count / total)
        drawn.append(f'<rect class="{escape(kind)}" x="{start}%" y="0" width="{length}%" height="10"/>')
        before += count
    return _svg('width="100%" height="10"', label, drawn, "proportion") if total else Markup("")


@dataclass(frozen=True)
class Column:
    """One bin of a histogram: from where to where, and how many of each kind."""

    start: float
    end: float
    counts: tuple[int, int, int]


def histogram(columns: Sequence[Column], kinds: Sequence[str], label: str) -> Markup:
    """Stacked columns side by side; ``kinds`` are the CSS classes of the counts, the first at the bottom."""
    most = max((sum(column.counts) for column in columns), default=0)
    if not most:
        return Markup("")
    scale = nice_scale(0.0, float(most), 0.0, least=4.0)
    parts = [_grid(scale, False)]
    width = (_WIDTH - _LEFT - _RIGHT) / len(columns)
    for index, column in enumerate(columns):
        below = 0
        for kind, count in zip(kinds, column.counts, strict=True):
            if count:
                top, foot = _y(scale, below + count), _y(scale, below)
                parts.append(
                    f'<rect class="{escape(kind)}" x="{_n(_LEFT + index * width + 0.5)}" y="{_n(top)}"'
                    f' width="{_n(width - 1)}" height="{_n(foot - top)}"/>'
                )
            below += count
    for value, x, anchor in ((columns[0].start, _LEFT, "start"), (columns[-1].end, _WIDTH - _RIGHT, "end")):
        parts.append(f'<text class="axis" x="{_n(x)}" y="{_n(_HEIGHT - 6)}" text-anchor="{anchor}">{value:.3g}</text>')
    return _svg(_box(_WIDTH, _HEIGHT), label, parts, "chart")


def _box(width: float, height: float) -> str:
    return f'viewBox="0 0 {_n(width)} {_n(height)}"'


def _svg(size: str, label: str, parts: Sequence[str], kind: str) -> Markup:
    # every text in the parts was escaped where it was put in
    head = f'<svg class="{kind}" {size} role="img" aria-label="{escape(label)}">'
    return Markup(head + "".join(parts) + "</svg>")


def _n(value: float) -> str:
    """A coordinate with at most one decimal, never "-0"."""
    text = f"{value:.1f}".removesuffix(".0")
    return "0" if text == "-0" else text
