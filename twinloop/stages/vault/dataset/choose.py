"""Choose: which photos of a person are trained on, and where each is cut.

Nothing is moved; what is left out is listed with the reason.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from twinloop.domain import crops
from twinloop.domain.faces import HeadPose
from twinloop.domain.vault import FaceKey, Person, VaultPhoto
from twinloop.domain.wording import none_can_be_used, plural
from twinloop.errors import InputError, NothingToDo
from twinloop.facets.face_angle import angle_of
from twinloop.stages.select import BLURRED_BELOW
from twinloop.stages.vault.dataset.cut import Cut, CutOptions, cut_of
from twinloop.stages.vault.opened import OpenVault
from twinloop.stages.vault.people.record import check_current

FEWEST_FOR_BLUR = 5
"""With fewer photos there is no median to be blurred against."""


@dataclass(frozen=True)
class LeftOut:
    """A photo of the person that is not used."""

    photo: VaultPhoto
    reason: str

    def to_json(self) -> dict[str, Any]:
        return {"photo": self.photo.sha256, "path": self.photo.paths[0], "reason": self.reason}


@dataclass(frozen=True)
class Choice:
    """The outcome.

    Attributes:
        cuts, left_out: in the order of the photos' paths. copies: how many are left out because another photo stands
            for them.
        gone: faces of the person whose photo is no longer there. options: what the cuts were made with.
    """

    cuts: tuple[Cut, ...]
    left_out: tuple[LeftOut, ...]
    copies: int
    gone: int
    options: CutOptions


def choose(opened: OpenVault, person: Person, duplicates: Mapping[str, str], options: CutOptions) -> Choice:
    """The cuts of a person's photos.

    Args:
        duplicates: sha256 -> reason of every photo that is a worse copy of another.

    Raises:
        InputError: the person is hidden, or an option cannot be. NothingToDo: no photo is left; says why.
        StateError: other models looked since people were told apart.
    """
    check_shown(opened, person)
    check_current(opened.vault, opened.fingerprint)
    found = sorted_out(opened, person, duplicates, options)
    if not found.cuts:
        raise NothingToDo(_nothing(opened, person, found.left_out))
    return found


def check_shown(opened: OpenVault, person: Person) -> None:
    """Raises InputError: the person is hidden, and therefore not prepared."""
    if person.hidden:
        raise InputError(
            f"{person.called} is hidden. Show the person again first: {opened.vault.command(f'show {person.id}')}"
        )


def sorted_out(opened: OpenVault, person: Person, duplicates: Mapping[str, str], options: CutOptions) -> Choice:
    """The same for who only looks: of anybody, and also where nothing is left.

    Raises InputError: an option that cannot be.
    """
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
    return Choice(tuple(kept), tuple(listed), len(left_out.keys() & duplicates.keys()), gone, options)


def _photos(opened: OpenVault, keys: Sequence[FaceKey]) -> list[tuple[VaultPhoto, int]]:
    """Each photo of the person once, with the number of the person's face (the largest, should
    there be two), by path.
    """
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
    made = cut_of(photo, number, options.framing, options.size)
    if made is None:
        return LeftOut(
            photo, f"{photo.width} x {photo.height} pixels are too few to cut {crops.STEP} x {crops.STEP} from"
        )
    return made


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
    """``front``, ``three_quarter_left``, ``profile_right``...; "" where the angle was not measured.

    Sides as the viewer sees them.
    """
    if pose is None:
        return ""
    angle = angle_of(pose.yaw)
    return angle if angle == "front" else f"{angle}_{'right' if pose.yaw > 0 else 'left'}"


def _worth(cut: Cut) -> float:
    """How good a photo is for training, 0 and more: trust in the face, its pixels in the picture, its sharpness."""
    pixels = min(1.0, cut.subject.box.height / 256)
    return float(cut.found.quality * pixels * (1.0 + cut.found.measures.get("sharpness", 0.0)) ** 0.25)


def _nothing(opened: OpenVault, person: Person, left_out: Sequence[LeftOut]) -> str:
    who = person.called
    if not left_out:
        known = plural(len(person.faces), "face")
        return f"No photo of {who} is there any more ({known} known). Scan again: {opened.vault.command('scan FOLDER')}"
    examples = "\n".join(f"  - {Path(item.photo.paths[0]).name}: {item.reason}" for item in left_out[:3])
    return f"{none_can_be_used(len(left_out), 'photo', f'of {who}')}:\n{examples}"
