"""How the picture is lit. Low key is a wish, not a fault: the brightness check makes room for it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from twinloop.domain.faces import ImageArray
from twinloop.domain.facet import DefinedFacet, Phrase, most_probable, one_of
from twinloop.domain.observation import Observation, Reading

VALUES = ("normal", "low_key", "high_key")
AT_LEAST = 0.5
LOW_KEY_BELOW = 85.0
HIGH_KEY_FROM = 185.0
MOSTLY = 0.5
"""Mean grey 0..255, and the share of dark (< 60) or bright (> 195) pixels that must go with it."""
DARK = 60.0
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)


PLAIN_FROM = 0.25
"""Share of pixels of exactly the edge's colour from which that is a plain background (paper, a removed background) and
says nothing of light. Photos have 0.14 at most, unless the colour is black, which may be the night (docs/log.md)."""
NEAR = 8
"""Levels of 255 by which a pixel of the background may differ: squeezing blurs the edge of a figure into it."""
LEAST_FIGURE = 0.05
"""Share of the picture that the rest takes at least, so that light can be measured on it."""
SAMPLED = 256
"""Pixels along the longer side that are looked at."""


def _judge(seen: Observation) -> Reading:
    if "lighting" in seen.measured:
        return most_probable(seen, "lighting", VALUES, AT_LEAST)
    if seen.measure("plain_background") is not None:
        return _of_the_figure(seen)
    brightness, dark, bright = (seen.measure(name) for name in ("brightness", "dark_share", "bright_share"))
    if brightness is None or dark is None or bright is None:
        return Reading.unknown()
    if brightness < LOW_KEY_BELOW and dark >= MOSTLY:
        return one_of(VALUES, "low_key")
    if brightness >= HIGH_KEY_FROM and bright >= MOSTLY:
        return one_of(VALUES, "high_key")
    return one_of(VALUES, "normal")


def _of_the_figure(seen: Observation) -> Reading:
    """Before a plain background the figure alone is lit. A bright one may be a pale drawing as well as bright light:
    that cannot be told.
    """
    brightness, dark = seen.measure("figure_brightness"), seen.measure("figure_dark_share")
    if brightness is None or dark is None or brightness >= HIGH_KEY_FROM:
        return Reading.unknown()
    face = seen.measure("face_brightness")
    if brightness < LOW_KEY_BELOW and dark >= MOSTLY:  # dark clothes and hair, unless the face is dark, too
        return Reading.unknown() if face is None or face >= LOW_KEY_BELOW else one_of(VALUES, "low_key")
    return one_of(VALUES, "normal")


def _background(image: ImageArray, seen: Observation) -> Mapping[str, float]:
    """``plain_background``: its share, where it is large enough; and ``figure_brightness`` and ``figure_dark_share`` of
    the rest, as the measures of the whole picture.
    """
    step = max(1, max(image.shape[:2]) // SAMPLED)
    small = image[::step, ::step]
    edge = np.concatenate([small[0], small[-1], small[:, 0], small[:, -1]])
    colours, counts = np.unique(edge, axis=0, return_counts=True)
    colour = colours[counts.argmax()]
    share = float((small == colour).all(-1).mean())
    if share < PLAIN_FROM or float(colour @ _LUMA) < DARK:
        return {}
    rest = small[(np.abs(small.astype(np.int16) - colour) > NEAR).any(-1)]
    if len(rest) < LEAST_FIGURE * small.shape[0] * small.shape[1]:
        return {"plain_background": share}
    grey = rest @ _LUMA
    return {
        "plain_background": share,
        "figure_brightness": float(grey.mean()),
        "figure_dark_share": float((grey < DARK).mean()),
    }


FACET = DefinedFacet(
    name="lighting",
    values=VALUES,
    shares={"normal": 0.40, "low_key": 0.10, "high_key": 0.10},
    phrases={
        "normal": Phrase(("soft even lighting",), ("",), wish="in even light"),
        "low_key": Phrase(("low-key lighting, dark, moody",), ("dark, dim lighting",), wish="in dim, low-key light"),
        "high_key": Phrase(("high-key lighting, bright, airy",), ("white theme",), wish="in bright, high-key light"),
    },
    needs=(),
    judge=_judge,
    measurer=_background,
    version=2,
)
