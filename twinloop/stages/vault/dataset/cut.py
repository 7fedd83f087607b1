"""A cut: one photo of a person, where it is cut, and what the picture is like."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from twinloop.domain import crops
from twinloop.domain.choices import FRAMINGS
from twinloop.domain.crops import Window
from twinloop.domain.dates import is_date, is_empty
from twinloop.domain.faces import Box, Face
from twinloop.domain.vault import VaultFace, VaultPhoto
from twinloop.errors import InputError

SMALL = 0.8
"""A picture with less than this share of the pixels that were wanted is called small."""
WHOLE = 0.85
"""Share of a picture without a face that its cut holds at least where nothing is said of the rest."""


@dataclass(frozen=True)
class CutOptions:
    """What is wanted of the pictures.

    Attributes:
        framing: one of `choices.FRAMINGS`. size: pixels; a picture's area is at most its square, and its sides
            multiples of 64 (of few pixels: of 8).
        max_photos: the best so many, spread over the angles; None = all. min_face: least height of a face in the photo,
            in pixels.
        keep_alike: photos that a search for duplicates found to be copies of others, or of one burst with them, are
            used, too.
        since, until: only photos of these dates, both included, as in `domain.dates`; "" = of any. Photos without a
            date are used.
    """

    framing: str = "keep"
    size: int = 1024
    max_photos: int | None = None
    min_face: int = 64
    since: str = ""
    until: str = ""
    keep_alike: bool = False

    def check(self) -> None:
        """Raises InputError: a size, framing or date that cannot be."""
        if self.framing not in FRAMINGS:
            raise InputError(f"Unknown framing '{self.framing}'. Known: {', '.join(FRAMINGS)}.")
        if not 2 * crops.STEP <= self.size <= 4096:
            raise InputError(f"Pictures of {self.size} pixels: choose a size from {2 * crops.STEP} to 4096.")
        for text in (self.since, self.until):
            if text and not is_date(text):
                raise InputError(f"'{text}' is no date. Write YYYY, YYYY-MM or YYYY-MM-DD.")
        if is_empty(self.since, self.until):
            raise InputError(f"Nothing lies between --since {self.since} and --until {self.until}.")


@dataclass(frozen=True, eq=False)
class Cut:
    """One photo of the person and where it is cut. ``number`` = of the person's face in ``photo.faces``; None = the
    whole picture is the person's, and no face is known.
    """

    photo: VaultPhoto
    number: int | None
    window: Window

    @property
    def found(self) -> VaultFace | None:
        return None if self.number is None else self.photo.faces[self.number]

    @property
    def path(self) -> Path:
        return Path(self.photo.paths[0])

    @property
    def other_faces(self) -> tuple[Box, ...]:
        """Everybody else's on the photo, in pixels of the cut picture; also those that lie outside of it."""
        if self.number is None:
            return ()
        return tuple(self._within(other.face.box) for n, other in enumerate(self.photo.faces) if n != self.number)

    @property
    def key(self) -> str:
        """Identity of the cut picture, as 64 hex digits: content, place and size."""
        return hashlib.sha256(repr((self.photo.sha256, self.window.box, self.window.size)).encode()).hexdigest()

    @property
    def subject(self) -> Face | None:
        """The person's face as the scan saw it, in pixels of the cut picture; None where no face is known."""
        if self.found is None:
            return None
        x, y = self.window.box[:2]
        face = self.found.face
        points = face.landmarks
        if points is not None:
            points = np.asarray((points - np.array([x, y])) * self.window.scale, np.float32)
        return Face(self._within(face.box), face.confidence, points, face.pose, face.embedding)

    def _within(self, box: Box) -> Box:
        """A box of the photo in pixels of the cut picture."""
        x, y = self.window.box[:2]
        scale = self.window.scale
        return Box((box.x0 - x) * scale, (box.y0 - y) * scale, (box.x1 - x) * scale, (box.y1 - y) * scale)

    def remarks(self, size: int) -> tuple[str, ...]:
        """What the user should know of it, where pictures of ``size`` pixels were wanted."""
        width, height = self.window.size
        notes = []
        if not self.window.head_inside:
            notes.append("the head touches the edge")
        if self.number is None and self._share < WHOLE:
            notes.append(f"{100 * (1 - self._share):.0f} % of the picture are cut off: its sides are 2:1 at most")
        if self.window.others:
            other = "another face" if self.window.others == 1 else f"{self.window.others} other faces"
            notes.append(f"{other} could not be cut off")
        if width * height < SMALL * size * size:
            notes.append(f"smaller than {size} x {size}, and not enlarged")
        notes.extend(self._made_smaller(size))
        return tuple(notes)

    @property
    def _share(self) -> float:
        """Of the photo's area that the cut holds."""
        x0, y0, x1, y1 = self.window.box
        return (x1 - x0) * (y1 - y0) / (self.photo.width * self.photo.height)

    def _made_smaller(self, size: int) -> Iterator[str]:
        """That a picture of no more pixels than were wanted lost some of them, to its sides."""
        x0, y0, x1, y1 = self.window.box
        if self.window.scale * crops.SAME_SCALE < 1 and (x1 - x0) * (y1 - y0) <= size * size:
            width, height = self.window.size
            yield (
                f"made smaller from {x1 - x0} x {y1 - y0} to {width} x {height} pixels: sides are multiples of"
                f" {crops.STEP}"
            )


def cut_of(photo: VaultPhoto, number: int | None, framing: str, size: int) -> Cut | None:
    """The cut around ``photo.faces[number]``, or (None) of the whole picture; None as in `crops.cut`."""
    if number is None:
        everything = crops.whole(photo.width, photo.height, size)
        return None if everything is None else Cut(photo, None, everything)
    face = photo.faces[number].face
    others = tuple(other.face.box for n, other in enumerate(photo.faces) if n != number)
    window = _window(photo.width, photo.height, face.box, others, framing, size)
    return None if window is None else Cut(photo, number, window)


@lru_cache(20_000)
def _window(width: int, height: int, face: Box, others: tuple[Box, ...], framing: str, size: int) -> Window | None:
    """`crops.cut`, remembered: the page asks for all photos of a person after everything that is said of one."""
    return crops.cut(width, height, face, others, framing, size)
