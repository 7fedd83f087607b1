"""How the picture is lit. Low key is a wish, not a fault: the brightness check makes room for it."""

from __future__ import annotations

from twinloop.domain.facet import DefinedFacet, Phrase, most_probable, one_of
from twinloop.domain.observation import Observation, Reading

VALUES = ("normal", "low_key", "high_key")
AT_LEAST = 0.5
LOW_KEY_BELOW = 85.0
HIGH_KEY_FROM = 185.0
MOSTLY = 0.5
"""Mean grey 0..255, and the share of dark (< 60) or bright (> 195) pixels that must go with it."""


def _judge(seen: Observation) -> Reading:
    if "lighting" in seen.measured:
        return most_probable(seen, "lighting", VALUES, AT_LEAST)
    brightness, dark, bright = (seen.measure(name) for name in ("brightness", "dark_share", "bright_share"))
    if brightness is None or dark is None or bright is None:
        return Reading.unknown()
    if brightness < LOW_KEY_BELOW and dark >= MOSTLY:
        return one_of(VALUES, "low_key")
    if brightness >= HIGH_KEY_FROM and bright >= MOSTLY:
        return one_of(VALUES, "high_key")
    return one_of(VALUES, "normal")


FACET = DefinedFacet(
    name="lighting",
    values=VALUES,
    shares={"normal": 0.40, "low_key": 0.10, "high_key": 0.10},
    phrases={
        "normal": Phrase(("soft even lighting",), ("soft even lighting",), wish="in even light"),
        "low_key": Phrase(
            ("low-key lighting, dark, moody",), ("low-key lighting, dark, moody",), wish="in dim, low-key light"
        ),
        "high_key": Phrase(
            ("high-key lighting, bright, airy",), ("high-key lighting, bright, airy",), wish="in bright, high-key light"
        ),
    },
    needs=(),
    judge=_judge,
)
