"""Whether two photos are one picture, judged on their thumbnails: the second opinion on what perceptual hashes bring
together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from twinloop.domain.faces import Box
from twinloop.stages.same_picture import disc
from twinloop.stages.same_picture.alignment import (
    SIDE,
    WHOLE,
    Grey,
    Thumbnail,
    Window,
    correlation,
    cosine,
    detail,
    moved,
    sampled,
)

COPY = 0.97
"""Least correlation of details outside the worst blocks for a copy. Copies (resized, recompressed, cropped, brightened,
marked) have 0.975 and more; separate exposures of one pose before one background 0.963 and less (docs/log.md)."""
SPARED = 10 / 64
"""Share of blocks that may differ: a watermark, a date, a logo."""
FACE_COPY = 0.85
"""Least correlation of details within a face, which no spared block excuses: a smile is not a watermark."""
EYES, MOUTH = (0.1, 1 / 3, 0.9, 2 / 3), (0.2, 0.62, 0.8, 0.95)
"""Where the eyes and the mouth of a face are, as shares of its box: too little of the face to change its correlation,
and all that two sprites of one character differ in."""
EYES_COPY = 0.6
"""Least correlation of details around the eyes; copies of photos have 0.7 and more."""
MOUTH_COPY, MOUTH_CHANGED = 0.65, 0.37
"""The mouth is another one where details correlate less than the first, and differ by more than the second of the
face's own. One figure alone does not tell: around the mouth of a photo there may be hardly any detail but noise."""
LIKE = 0.5
"""Least correlation of the laid-over pictures, light and shade included. Also where the search for a window gives up
early."""
HALFWAY = 0.85
"""As COPY, at half the size and before the window is exact; below, the search gives up."""
TURNED = 0.93
"""Least correlation of details on the central disc for a mirrored or turned copy."""
SMALLEST_TURN = 2.0
"""Degrees under which a copy that is not mirrored counts as upright."""
FLAT = 4.0
"""Standard deviation of details, in grey levels of 255, under which a picture holds too little to be told from
others."""
SMALLEST_FACE = 0.04
"""Share of a side under which a face is too small on a thumbnail to be compared by itself."""
_BLOCKS = 8
_FACE_SIDE = 32


@dataclass(frozen=True)
class Copy:
    """How one picture repeats another.

    Attributes:
        mirrored: left and right are swapped. turned: degrees, 0 = upright. cut: share of the larger picture's area that
            the other lacks.
    """

    mirrored: bool = False
    turned: float = 0.0
    cut: float = 0.0

    def text(self, name: str) -> str:
        """What the user reads of a copy of the picture ``name``."""
        mirrored = "mirrored" if self.mirrored else ""
        turned = f"turned by {abs(self.turned):.0f} degrees" if self.turned else ""
        cut = f"{100 * self.cut:.0f} % cut off" if self.cut >= 0.015 else ""
        return ", ".join(part for part in (f"the same picture as {name}", mirrored, turned, cut) if part)


def is_flat(picture: Thumbnail) -> bool:
    """Whether a picture (all black, a clear sky, a gradient) holds too little to be recognised by."""
    return float(picture.details.std()) < FLAT


@dataclass(frozen=True, eq=False)
class _Pair:
    """One picture thought to show a window of another. ``faces`` as shares of each."""

    whole: Thumbnail
    part: Thumbnail
    faces: Sequence[Window]
    part_faces: Sequence[Window]

    def swapped(self) -> _Pair:
        return _Pair(self.part, self.whole, self.part_faces, self.faces)


def upright_copy(
    a: Thumbnail, b: Thumbnail, faces_a: Sequence[Window] = (), faces_b: Sequence[Window] = ()
) -> Copy | None:
    """How one picture repeats the other with the same side up, or None. Which of them is larger need not be known.

    Args:
        faces_a, faces_b: the faces in them, as shares; each is compared by itself.
    """
    pair = _Pair(a, b, faces_a, faces_b)
    if spared_correlation(a.details, b.details) >= COPY:
        return _judged(pair, WHOLE)
    pair, (like, window) = max(
        ((way, _rough_window(way)) for way in (pair, pair.swapped())), key=lambda found: found[1][0]
    )
    if like < LIKE:
        return None
    window = moved(pair.whole, pair.part, window, 32)
    if spared_correlation(detail(pair.whole.part(window, 32), 5), detail(pair.part.whole(32), 5)) < HALFWAY:
        return None
    return _judged(pair, moved(pair.whole, pair.part, window, SIDE))


def differs_in_a_face(a: Thumbnail, b: Thumbnail, faces_a: Sequence[Window], faces_b: Sequence[Window]) -> bool:
    """Whether two pictures are one but for a face: another expression, in the same pose before the same background."""
    return upright_copy(a, b) is not None and upright_copy(a, b, faces_a, faces_b) is None


def _rough_window(pair: _Pair) -> tuple[float, Window]:
    """The correlation at a coarse window, and the window."""
    window = moved(pair.whole, pair.part, WHOLE, 16)
    return correlation(pair.whole.part(window, 16), pair.part.whole(16)), window


def _judged(pair: _Pair, window: Window) -> Copy | None:
    seen = pair.whole.part(window)
    score = spared_correlation(detail(seen), pair.part.details)
    if score < COPY or correlation(seen, pair.part.whole(SIDE)) < LIKE or not _same_faces(pair, window):
        return None
    return Copy(cut=1.0 - (window[2] - window[0]) * (window[3] - window[1]))


def spared_correlation(a: Grey, b: Grey) -> float:
    """Correlation of two detail pictures over the 8 x 8 blocks that agree best; the share `SPARED` of blocks is left
    out.
    """
    ones, others = _blocks(a), _blocks(b)
    energy = float(np.vdot(others, others))
    if energy <= 0:
        return 0.0
    scale = np.sqrt(float(np.vdot(ones, ones)) / energy)
    order = np.argsort(((ones - scale * others) ** 2).sum(1), kind="stable")
    kept = order[: len(order) - round(SPARED * len(order))]
    return cosine(ones[kept], others[kept])


def _blocks(values: Grey) -> Grey:
    side = len(values) // _BLOCKS
    return values.reshape(_BLOCKS, side, _BLOCKS, side).transpose(0, 2, 1, 3).reshape(_BLOCKS**2, -1)


def _same_faces(pair: _Pair, window: Window) -> bool:
    """Whether every face that either picture has looks the same in both, eyes and mouth included."""
    wanted = [*(_inside(face, window) for face in pair.faces), *pair.part_faces]
    return all(_same_face(pair, window, face) for face in wanted if is_large(face))


def _same_face(pair: _Pair, window: Window, face: Window) -> bool:
    """Whether one face looks the same in both, as a whole, around the eyes and around the mouth; ``face`` as shares of
    the part.
    """
    one, other = _details(pair, window, face)
    if correlation(one, other) < FACE_COPY:
        return False
    if correlation(*_details(pair, window, _within(face, EYES))) < EYES_COPY:
        return False
    mouth, other_mouth = _details(pair, window, _within(face, MOUTH))
    changed = mouth / max(float(one.std()), 1e-6) - other_mouth / max(float(other.std()), 1e-6)
    return correlation(mouth, other_mouth) >= MOUTH_COPY or float(np.sqrt((changed**2).mean())) <= MOUTH_CHANGED


def _within(face: Window, place: Window) -> Window:
    """A place in a face, as shares of the picture."""
    width, height = face[2] - face[0], face[3] - face[1]
    return (
        face[0] + place[0] * width,
        face[1] + place[1] * height,
        face[0] + place[2] * width,
        face[1] + place[3] * height,
    )


def _details(pair: _Pair, window: Window, face: Window) -> tuple[Grey, Grey]:
    """The details of one place in both pictures; ``face`` as shares of the part."""
    x0, y0, width, height = window[0], window[1], window[2] - window[0], window[3] - window[1]
    there = (x0 + face[0] * width, y0 + face[1] * height, x0 + face[2] * width, y0 + face[3] * height)
    return detail(sampled(pair.whole.image, there, _FACE_SIDE)), detail(sampled(pair.part.image, face, _FACE_SIDE))


def _inside(face: Window, window: Window) -> Window:
    """A face of the whole picture, as shares of a window of it; what lies outside is cut off."""
    width, height = window[2] - window[0], window[3] - window[1]
    place = Box(
        (face[0] - window[0]) / width,
        (face[1] - window[1]) / height,
        (face[2] - window[0]) / width,
        (face[3] - window[1]) / height,
    )
    inside = place.clipped(1, 1)
    return (inside.x0, inside.y0, inside.x1, inside.y1)


def is_large(face: Window) -> bool:
    """Whether a face can be compared on a thumbnail."""
    return min(face[2] - face[0], face[3] - face[1]) >= SMALLEST_FACE


def turned_copy(a: Thumbnail, b: Thumbnail) -> Copy | None:
    """How one picture repeats the other mirrored, or turned about its middle by any angle, or both; None = it does not,
    or it is upright.
    """
    match = disc.best_turn(disc.unrolled(a.image), disc.unrolled(b.image))
    turned = match.degrees if abs(match.degrees) >= SMALLEST_TURN else 0.0
    if match.score < TURNED or not (match.mirrored or turned):
        return None
    return Copy(match.mirrored, turned)
