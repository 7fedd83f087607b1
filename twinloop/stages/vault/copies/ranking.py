"""Which of several alike photos is kept.

In this order: a photo that is there before one on a disk that is away; what the user chose; real before synthetic; a
photo with the right side up before a turned copy of it; a face at least four fifths as sharp as the sharpest of the
group (blurred ones by sharpness; a photo in which no face was measured is the blurriest); more pixels; eyes open; a
format that keeps all colours; the larger file; the path.
Sharpness counts in steps, because recompressing or shrinking changes it by a few percent either way, and a small copy
must not win against its original by such a hair.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twinloop.facets.composition import EYES_OPEN
from twinloop.stages.vault.offline_folders import is_offline
from twinloop.store.vault.summaries import PhotoSummary

SHARP_ENOUGH = 0.8
PALETTE = frozenset({".gif"})

Rank = tuple[bool, int, bool, bool, float, int, bool, bool, int, str, str]


@dataclass(frozen=True)
class Ranking:
    """The order of photos, best first.

    Attributes:
        chosen: sha256 -> number of the latest decision by which the user wanted that photo. away: places that are not
            there, as `online_and_offline` gives them. lying: sha256 of photos that have a copy with another side up in
            which the detector is surer of a face: embedders know upright faces only.
    """

    chosen: Mapping[str, int]
    away: Set[Path] = frozenset()
    lying: Set[str] = frozenset()

    def key(self, photo: PhotoSummary, sharpest: float) -> Rank:
        """Sorts the best first. ``sharpest``: of the photos that are compared, 0.0 when no face was measured."""
        share = photo.face.get("sharpness", 0.0) / sharpest if sharpest > 0 else 1.0
        return (
            is_offline(photo.path, self.away),
            -self.chosen.get(photo.sha256, 0),
            photo.origin != "real",
            photo.sha256 in self.lying,
            0.0 if share >= SHARP_ENOUGH else 1.0 - round(share, 3),
            -photo.width * photo.height,
            photo.face.get("eyes_open", 1.0) < EYES_OPEN,
            Path(photo.path).suffix.lower() in PALETTE,
            -photo.size,
            photo.path,
            photo.sha256,
        )

    def ordered(self, photos: Iterable[PhotoSummary]) -> list[PhotoSummary]:
        """Best first, measured against the sharpest of them."""
        listed = list(photos)
        sharpest = max((photo.face.get("sharpness", 0.0) for photo in listed), default=0.0)
        return sorted(listed, key=lambda photo: self.key(photo, sharpest))

    def why(self, best: PhotoSummary, others: Sequence[PhotoSummary]) -> str:
        """What sets the best apart from the next best, in words."""
        first, second, *_ = self.ordered([best, *others])
        sharpest = max(photo.face.get("sharpness", 0.0) for photo in (best, *others))
        keys = zip(_WORDS, self.key(first, sharpest), self.key(second, sharpest), strict=True)
        return next(words for words, one, other in keys if one != other)


_WORDS = (
    "the others are not there now",
    "you chose it",
    "a real photo",
    "the face is upright",
    "the sharper face",
    "more pixels",
    "the eyes are open",
    "more colours",
    "the larger file",
    "the first path",
    "the first by content",
)
"""For each part of a `Rank`."""


def score(photo: PhotoSummary) -> dict[str, Any]:
    """What the ranking looks at, for people and pages; None = not measured."""
    sharpness, eyes = photo.face.get("sharpness"), photo.face.get("eyes_open")
    return {
        "face_sharpness": None if sharpness is None else round(sharpness, 1),
        "width": photo.width,
        "height": photo.height,
        "eyes_open": None if eyes is None else round(eyes, 2),
        "bytes": photo.size,
        "origin": photo.origin,
    }
