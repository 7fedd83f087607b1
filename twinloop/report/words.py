"""How names and numbers read on the page."""

from __future__ import annotations

import math
from dataclasses import dataclass

from twinloop.domain.statistics import Estimate
from twinloop.domain.wording import in_words

MINUS = "\u2212"


@dataclass(frozen=True)
class Metric:
    """One figure of the panel. ``percent``: it is a share, shown in percent and its changes in points."""

    name: str
    label: str
    percent: bool
    meaning: str


METRICS = (
    Metric(
        "on_target",
        "On-target rate",
        True,
        "Share of the asked facet values (head angle, expression, setting...) that the detectors find in a panel image,"
        " averaged over the panel.",
    ),
    Metric(
        "identity",
        "Identity",
        False,
        "Cosine similarity of the face to the three nearest real reference photos; 0 where no face came out. Photos"
        " that were held out from training are used where there are enough of them.",
    ),
    Metric(
        "quality",
        "Face quality",
        False,
        "The face quality that the detectors measure, 0 to 1; 0 where no face came out or it is too small to tell. On a"
        " scale that is lower for turned heads, the share of what real photos of the same head angle score.",
    ),
    Metric(
        "diversity",
        "Diversity",
        False,
        "Mean distance of a panel image to the others (1 minus the correlation of 16 x 16 thumbnails).",
    ),
    Metric(
        "overall",
        "Overall score",
        False,
        "Mean of on-target rate, identity and face quality per image, of those that were measured. The best version is"
        " the one where it is highest, of those whose round was not rolled back.",
    ),
)

_NAMES = {"fake": "fake (dry run)"}


def words(name: str) -> str:
    """``face_angle`` -> ``face angle``."""
    return _NAMES.get(name, in_words(name))


def title(name: str) -> str:
    """``face_angle`` -> ``Face angle``."""
    text = words(name)
    return text[:1].upper() + text[1:]


def number(value: float, digits: int = 2) -> str:
    """A figure with a real minus sign; ``not known`` when it is none."""
    if not math.isfinite(value):
        return "not known"
    text = f"{value:.{digits}f}"
    if float(text) == 0:
        text = text.lstrip("-")
    return text.replace("-", MINUS)


def signed(value: float, digits: int = 2) -> str:
    """A change: with its sign, also when it is positive."""
    text = number(value, digits)
    return f"+{text}" if math.isfinite(value) and float(text.replace(MINUS, "-")) > 0 else text


def percent(value: float, digits: int = 0) -> str:
    """A share of 1 in percent."""
    text = number(100 * value, digits)
    return f"{text}%" if math.isfinite(value) else text


def level(metric: Metric, value: float) -> str:
    """A value of a metric."""
    return percent(value, 1) if metric.percent else number(value)


def change(metric: Metric, value: float) -> str:
    """A change of a metric: points for shares."""
    return signed(100 * value, 1) if metric.percent else signed(value, 3)


def change_with_interval(metric: Metric, estimate: Estimate) -> str:
    """``+0.065 (95% interval +0.036 to +0.092, n = 12)``."""
    unit = " points" if metric.percent else ""
    low, high = change(metric, estimate.low), change(metric, estimate.high)
    return f"{change(metric, estimate.value)}{unit} (95% interval {low} to {high}, n = {estimate.n})"


def measured(value: float | str | None) -> str:
    """What a check measured, short."""
    if value is None:
        return "not measured"
    if isinstance(value, str):
        return ", ".join(words(part) for part in value.split(", "))
    if not math.isfinite(value):
        return "not known"
    text = f"{value:.0f}" if abs(value) >= 100 else f"{value:.2f}".rstrip("0").rstrip(".")
    return text.replace("-", MINUS)


def listed(parts: list[str]) -> str:
    """``a, b and c``."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}" if parts else ""
