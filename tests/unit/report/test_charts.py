"""Charts: well-formed, inside their frame, and never a figure that is none, whatever the numbers."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from twinloop.domain.statistics import Estimate
from twinloop.report.charts import Line, Point, curve, difference_bar, lines, nice_scale, proportion_bar, share_track

ANY = st.floats(allow_nan=True, allow_infinity=True)
SHARE = st.floats(0, 1)
ESTIMATES = st.builds(Estimate, ANY, ANY, ANY, st.integers(0, 10**6))
HOSTILE = '"><script>alert(1)</script>&'


def elements(svg: str) -> list[ElementTree.Element]:
    """All elements of a chart that must be whole: no stray text, no figure that is none."""
    assert not re.search(r"\b(nan|inf|infinity)\b", svg, re.IGNORECASE)
    return list(ElementTree.fromstring(svg).iter())


def inside(element: ElementTree.Element, width: float, height: float) -> bool:
    names = {"x": width, "cx": width, "x1": width, "x2": width, "y": height, "cy": height, "y1": height, "y2": height}
    return all(
        -1e-6 <= float(element.get(name, "0").rstrip("%")) <= (100 if element.get(name, "").endswith("%") else end)
        for name, end in names.items()
    )


@given(st.lists(ESTIMATES, max_size=12), st.booleans(), st.booleans(), st.booleans())
def test_curves_stand_any_number(estimates: list[Estimate], percent: bool, bounded: bool, whole: bool) -> None:
    svg = curve(
        [Point(f"v{n}", e, ("", "best", "rolled back")[n % 3]) for n, e in enumerate(estimates)],
        "label",
        percent=percent,
        bounded=bounded,
        whole=whole,
    )
    if svg:
        assert all(inside(element, 280, 150) for element in elements(svg))


@given(st.lists(st.lists(st.tuples(st.integers(-5, 10**6), ANY), max_size=6), max_size=12))
def test_lines_stand_any_number(series: list[list[tuple[int, float]]]) -> None:
    drawn = lines([Line(HOSTILE, sorted(points), n == 1) for n, points in enumerate(series)], HOSTILE)
    if drawn:
        assert all(inside(element, 280, 150) for element in elements(drawn))


def test_names_of_lines_that_end_together_lie_apart() -> None:
    drawn = elements(lines([Line(f"v{n}", [(0, 1.0 + n), (100, 0.2 + n / 1000)]) for n in range(5)], "label"))
    names = [element for element in drawn if (element.text or "").startswith("v")]
    heights = sorted(float(element.get("y", "0")) for element in names)
    assert len(heights) == 5 and all(b - a >= 10 for a, b in pairwise(heights))


@given(st.lists(st.none() | ANY, max_size=8), st.none() | ANY, ANY)
def test_tracks_stand_any_number(shares: list[float | None], target: float | None, top: float) -> None:
    assert all(inside(element, 320, 22) for element in elements(share_track(shares, target, top, "label")))


@given(ESTIMATES, ANY)
def test_difference_bars_stand_any_number(change: Estimate, reach: float) -> None:
    assert all(inside(element, 240, 26) for element in elements(difference_bar(change, reach, "label")))


@given(st.lists(st.tuples(st.sampled_from(["approved", "rejected", "unsure"]), st.integers(0, 10**9)), max_size=5))
def test_proportions_fill_the_bar(parts: list[tuple[str, int]]) -> None:
    svg = proportion_bar(parts, "label")
    if sum(count for _, count in parts) == 0:
        assert svg == ""
    else:
        widths = [float(e.get("width", "0").rstrip("%")) for e in elements(svg)[1:]]
        assert abs(sum(widths) - 100) < 0.06 * len(widths) + 1e-9


@given(ANY, ANY)
def test_a_scale_is_long_enough_and_covers_its_values(low: float, high: float) -> None:
    scale = nice_scale(low, high)
    assert scale.low < scale.high
    assert 2 <= len(scale.ticks) <= 8
    if max(abs(low), abs(high)) < 1e6:
        assert scale.low - 1e-6 <= min(low, high)
        assert max(low, high) <= scale.high + 1e-6


@given(SHARE, SHARE)
def test_a_scale_of_shares_does_not_leave_0_to_1(low: float, high: float) -> None:
    scale = nice_scale(low, high, 0.0, 1.0)
    assert scale.low >= -1e-9
    assert scale.high <= 1.0 + 1e-9


def test_the_interval_is_drawn_to_scale() -> None:
    svg = curve([Point("v1", Estimate(0.5, 0.0, 1.0, 9))], "label", bounded=True)
    circle = next(e for e in elements(svg) if e.get("class") == "dot")
    low, high = re.search(r'class="whisker" d="M[\d.]+ ([\d.]+)V([\d.]+)M', svg).groups()  # type: ignore[union-attr]
    assert float(low) > float(circle.get("cy", "nan")) > float(high)
    assert abs((float(low) + float(high)) / 2 - float(circle.get("cy", "nan"))) < 0.11


def test_marks_tell_versions_apart_without_colour() -> None:
    estimate = Estimate(0.5, 0.4, 0.6, 9)
    kinds = [
        [e.get("class") for e in elements(curve([Point("v1", estimate, mark)], "label"))]
        for mark in ("", "best", "rolled back")
    ]
    assert "ring" in kinds[1]
    assert "dropped" in kinds[2]
    assert not {"ring", "dropped"} & set(kinds[0])


def test_bars_say_whether_the_target_is_met() -> None:
    assert 'class="met"' in share_track([0.1, 0.2], 0.2, 0.5, "label")
    assert 'class="short"' in share_track([0.1, 0.19], 0.2, 0.5, "label")


def test_labels_are_escaped() -> None:
    estimate = Estimate(0.5, 0.4, 0.6, 9)
    for svg in (
        curve([Point(HOSTILE, estimate)], HOSTILE),
        share_track([0.1], 0.2, 1.0, HOSTILE),
        difference_bar(estimate, 1.0, HOSTILE),
        proportion_bar([(HOSTILE, 1)], HOSTILE),
    ):
        assert "<script" not in svg
        assert elements(svg)
