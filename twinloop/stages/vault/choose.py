"""Choose: which photos of a person are trained on, and where each is cut. Nothing is moved; what is left out is listed with the reason."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from twinloop.domain import crops
from twinloop.domain.crops import Window
from twinloop.domain.faces import Box, Face, HeadPose
from twinloop.domain.vault import FaceKey, Person, VaultFace, VaultPhoto
from twinloop.domain.wording import none_can_be_used, plural
from twinloop.errors import InputError, NothingToDo
from twinloop.facets.face_angle import angle_of
from twinloop.stages.select import BLURRED_BELOW
from twinloop.stages.vault.opened import OpenVault
from twinloop.stages.vault.people import check_current

SMALL = 0.8
"""A picture with less than this share of the pixels that were wanted is called small."""
FEWEST_FOR_BLUR = 5
"""With fewer photos there is no median to be blurred against."""


@dataclass(frozen=True)
class CutOptions:
    """What is wanted of the pictures.

    Attributes:
        framing: one of `crops.FRAMINGS`. size: pixels; a picture's area is at most its square, and its sides multiples of 64.
        max_photos: the best so many, spread over the angles; None = all. min_face: least height of a face in the photo, in pixels.
    """

    framing: str = "keep"
    size: int = 1024
    max_photos: int | None = None
    min_face: int = 64

    def check(self) -> None:
        """Raises InputError: a size or framing that cannot be."""
        if self.framing not in crops.FRAMINGS:
            raise InputError(f"Unknown framing '{self.framing}'. Known: {', '.join(crops.FRAMINGS)}.")
        if not 2 * crops.STEP <= self.size <= 4096:
            raise InputError(f"Pictures of {self.size} pixels: choose a size from {2 * crops.STEP} to 4096.")


@dataclass(frozen=True, eq=False)
class Cut:
    """One photo of the person and where it is cut. ``number`` = of the person's face in ``photo.faces``."""

    photo: VaultPhoto
    number: int
    window: Window

    @property
    def found(self) -> VaultFace:
        return self.photo.faces[self.number]

    @property
    def path(self) -> Path:
        return Path(self.photo.paths[0])

    @property
    def key(self) -> str:
        """Identity of the cut picture, as 64 hex digits: content, place and size."""
        return hashlib.sha256(repr((self.photo.sha256, self.window.box, self.window.size)).encode()).hexdigest()

    @property
    def subject(self) -> Face:
        """The person's face as the scan saw it, in pixels of the cut picture."""
        x, y = self.window.box[:2]
        scale = self.window.scale
        face = self.found.face
        box = Box(
            (face.box.x0 - x) * scale, (face.box.y0 - y) * scale, (face.box.x1 - x) * scale, (face.box.y1 - y) * scale
        )
        points = None if face.landmarks is None else np.asarray((face.landmarks - np.array([x, y])) * scale, np.float32)
        return Face(box, face.confidence, points, face.pose, face.embedding)

    def remarks(self, size: int) -> tuple[str, ...]:
        """What the user should know of it, where pictures of ``size`` pixels were wanted."""
        width, height = self.window.size
        notes = []
        if not self.window.head_inside:
            notes.append("the head touches the edge")
        if self.window.others:
            other = "another face" if self.window.others == 1 else f"{self.window.others} other faces"
            notes.append(f"{other} could not be cut off")
        if width * height < SMALL * size * size:
            notes.append(f"smaller than {size} x {size}, and not enlarged")
        return tuple(notes)


@dataclass(frozen=True)
class LeftOut:
    """A photo of the person that is not used."""

    photo: VaultPhoto
    reason: str

    def to_json(self) -> dict[str, Any]:
        return {"photo": self.photo.sha256, "path": self.photo.paths[0], "reason": self.reason}


@dataclass(frozen=True)
class Choice:
    """The outcome, both in the order of the photos' paths. ``gone`` = faces of the person whose photo is no longer there."""

    cuts: tuple[Cut, ...]
    left_out: tuple[LeftOut, ...]
    gone: int


def choose(opened: OpenVault, person: Person, duplicates: Mapping[str, str], options: CutOptions) -> Choice:
    """The cuts of a person's photos.

    Args:
        duplicates: sha256 -> reason of every photo that is a worse copy of another.

    Raises:
        InputError: the person is hidden, or an option cannot be. NothingToDo: no photo is left; says why.
        StateError: other models looked since people were told apart.
    """
    if person.hidden:
        raise InputError(
            f"{person.name or person.id} is hidden. Show the person again first: {opened.vault.command(f'show {person.id}')}"
        )
    check_current(opened.vault, opened.fingerprint)
    found = sorted_out(opened, person, duplicates, options)
    if not found.cuts:
        raise NothingToDo(_nothing(opened, person, found.left_out))
    return found


def sorted_out(opened: OpenVault, person: Person, duplicates: Mapping[str, str], options: CutOptions) -> Choice:
    """The same for who only looks: of anybody, and also where nothing is left. Raises InputError: an option that cannot be."""
    options.check()
    photos = _photos(opened, person.faces)
    left_out: dict[str, LeftOut] = {}
    kept: list[Cut] = []
    for photo, number in photos:
        made = _cut(photo, number, duplicates.get(photo.sha256, ""), options)
        if isinstance(made, Cut):
            kept.append(made)
        else:
            left_out[photo.sha256] = made
    for rule in (_blurred, _beyond):
        for cut, reason in rule(kept, options):
            left_out[cut.photo.sha256] = LeftOut(cut.photo, reason)
        kept = [cut for cut in kept if cut.photo.sha256 not in left_out]
    order = {photo.sha256: index for index, (photo, _) in enumerate(photos)}
    listed = sorted(left_out.values(), key=lambda item: order[item.photo.sha256])
    gone = len({key.sha256 for key in person.faces} - set(order))
    return Choice(tuple(kept), tuple(listed), gone)


def _photos(opened: OpenVault, keys: Sequence[FaceKey]) -> list[tuple[VaultPhoto, int]]:
    """Each photo of the person once, with the number of the person's face (the largest, should there be two), by path."""
    by_photo: dict[str, list[FaceKey]] = defaultdict(list)
    for key in keys:
        by_photo[key.sha256].append(key)
    found = []
    for photo in opened.catalog.photos(opened.fingerprint, sorted(by_photo)):
        mine = [n for n in range(len(photo.faces)) if any(photo.key(n).same(key) for key in by_photo[photo.sha256])]
        if mine:
            found.append((photo, max(mine, key=lambda n: photo.faces[n].face.box.area)))
    return sorted(found, key=lambda item: (item[0].paths[0], item[0].sha256))


def _cut(photo: VaultPhoto, number: int, duplicate: str, options: CutOptions) -> Cut | LeftOut:
    if duplicate:
        return LeftOut(photo, duplicate)
    face = photo.faces[number].face
    if face.box.height < options.min_face:
        return LeftOut(
            photo, f"the face is {face.box.height:.0f} pixels high; {options.min_face} are the least (--min-face)"
        )
    others = [other.face.box for n, other in enumerate(photo.faces) if n != number]
    window = crops.cut(photo.width, photo.height, face.box, others, options.framing, options.size)
    if window is None:
        return LeftOut(
            photo, f"{photo.width} x {photo.height} pixels are too few to cut {crops.STEP} x {crops.STEP} from"
        )
    return Cut(photo, number, window)


def _blurred(cuts: Sequence[Cut], options: CutOptions) -> list[tuple[Cut, str]]:
    sharp = [(cut, cut.found.measures["sharpness"]) for cut in cuts if "sharpness" in cut.found.measures]
    if len(sharp) < FEWEST_FOR_BLUR:
        return []
    limit = BLURRED_BELOW * float(np.median([value for _, value in sharp]))
    return [
        (cut, f"blurred (face sharpness {value:.0f}; this person's limit is {limit:.0f})")
        for cut, value in sharp
        if value < limit
    ]


def _beyond(cuts: Sequence[Cut], options: CutOptions) -> list[tuple[Cut, str]]:
    """What is over ``max_photos``: the angles take turns, each with its best photo first."""
    if options.max_photos is None or len(cuts) <= options.max_photos:
        return []
    lanes: dict[str, list[Cut]] = defaultdict(list)
    for cut in sorted(cuts, key=lambda item: (-_worth(item), item.photo.sha256)):
        lanes[angle_and_side(cut.found.face.pose)].append(cut)
    turns = [(place, -_worth(cut), cut) for lane in lanes.values() for place, cut in enumerate(lane)]
    turns.sort(key=lambda turn: (turn[0], turn[1], turn[2].photo.sha256))
    return [(cut, f"beyond the best {options.max_photos} (--max-photos)") for _, _, cut in turns[options.max_photos :]]


def angle_and_side(pose: HeadPose | None) -> str:
    """``front``, ``three_quarter_left``, ``profile_right``...; "" where the angle was not measured. Sides as the viewer sees them."""
    if pose is None:
        return ""
    angle = angle_of(pose.yaw)
    return angle if angle == "front" else f"{angle}_{'right' if pose.yaw > 0 else 'left'}"


def _worth(cut: Cut) -> float:
    """How good a photo is for training, 0 and more: trust in the face, its pixels in the picture, its sharpness."""
    pixels = min(1.0, cut.subject.box.height / 256)
    return float(cut.found.quality * pixels * (1.0 + cut.found.measures.get("sharpness", 0.0)) ** 0.25)


def _nothing(opened: OpenVault, person: Person, left_out: Sequence[LeftOut]) -> str:
    who = person.name or person.id
    if not left_out:
        known = plural(len(person.faces), "face")
        return f"No photo of {who} is there any more ({known} known). Scan again: {opened.vault.command('scan FOLDER')}"
    examples = "\n".join(f"  - {Path(item.photo.paths[0]).name}: {item.reason}" for item in left_out[:3])
    return f"{none_can_be_used(len(left_out), 'photo', f'of {who}')}:\n{examples}"
