"""Choose: which photos of a person are trained on, and where each is cut.

Nothing is moved; what is left out is listed with the reason.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from twinloop.domain import crops
from twinloop.domain.dates import day_of, is_after, is_before
from twinloop.domain.faces import HeadPose
from twinloop.domain.vault import FaceKey, Person, VaultPhoto
from twinloop.domain.wording import none_can_be_used, plural, some
from twinloop.errors import InputError, NothingToDo
from twinloop.facets.face_angle import angle_of
from twinloop.stages.pixels import blur_limit
from twinloop.stages.vault.copies.of_person import Alike, Copies
from twinloop.stages.vault.copies.short_names import ShortNames
from twinloop.stages.vault.dataset.by_hand import EXCLUDE, STANDS, ByHand, by_hand, pictures_of_gone, prepared_record
from twinloop.stages.vault.dataset.cut import Cut, CutOptions, cut_of
from twinloop.stages.vault.opened import OpenVault
from twinloop.stages.vault.people.record import check_current
from twinloop.system import shell

_Photo = tuple[VaultPhoto, int | None]
"""A photo, and which of its faces is the person's; None = the whole picture."""
POOR, REPLACED, COPY, EXCLUDED_COPY = "poor", "replaced", "copy", "excluded copy"


@dataclass(frozen=True)
class LeftOut:
    """A photo of the person that is not used.

    ``kind``: ``poor`` (too small or blurred), ``replaced`` (the same, and a copy stands in), ``copy`` (another photo
    stands for it), ``excluded copy`` (of a photo that was left out by hand), "" = anything else.
    """

    photo: VaultPhoto
    reason: str
    kind: str = ""

    def to_json(self) -> dict[str, Any]:
        return {"photo": self.photo.sha256, "path": self.photo.paths[0], "reason": self.reason}


@dataclass(frozen=True)
class ChosenPhotos:
    """The outcome.

    Attributes:
        cuts, left_out: in the order of the photos' paths. copies: how many are left out because another photo stands
            for them.
        gone: faces of the person whose photo is no longer there. options: what the cuts were made with.
        by_hand: what the user said of single photos. undated: how many photos are kept though nothing says whether they
            lie within the dates that were asked for. alike: copies of one picture, of which one stands for the others.
    """

    cuts: tuple[Cut, ...]
    left_out: tuple[LeftOut, ...]
    copies: int
    gone: int
    options: CutOptions
    by_hand: ByHand
    undated: int
    alike: Alike = field(default_factory=dict)


def choose(opened: OpenVault, person: Person, copies: Copies, options: CutOptions) -> ChosenPhotos:
    """The cuts of a person's photos.

    Raises:
        InputError: the person is hidden, or an option cannot be. NothingToDo: no photo is left, nor a picture of one
            that is no longer there; says why.
        StateError: other models looked since people were told apart.
    """
    check_shown(opened, person)
    check_current(opened.vault, opened.fingerprint)
    found = sorted_out(opened, person, copies, options)
    if not found.cuts and not pictures_of_gone(opened, person) - found.by_hand.left_out:
        raise NothingToDo(nothing_left(opened, person, found.left_out))
    return found


def check_shown(opened: OpenVault, person: Person) -> None:
    """Raises InputError: the person is hidden, and therefore not prepared."""
    if person.hidden:
        raise InputError(
            f"{person.called} is hidden. Show the person again first: {opened.vault.command(f'show {person.id}')}"
        )


def sorted_out(opened: OpenVault, person: Person, copies: Copies, options: CutOptions) -> ChosenPhotos:
    """The same for who only looks: of anybody, and also where nothing is left.

    Raises InputError: an option that cannot be.
    """
    options.check()
    copies = Copies() if options.keep_alike else copies
    photos = _photos(opened, person.faces)
    said = by_hand(opened.decisions, person, copies.alike, prepared_record(opened, person))
    found = {photo.sha256: _cut(photo, number, copies.worse.get(photo.sha256, ""), options) for photo, number in photos}
    limit = _blur_limit(_cuts(found))
    found.update(_blurred(_cuts(found), limit))
    # only now, so that what is said of one photo changes the limit of blur for no other
    found.update(_said_by_hand(photos, said, options))
    found.update(_copies_by_hand(opened, photos, said, found))
    found.update(_stand_ins(photos, found, copies, limit, options))
    found.update(_beyond(_cuts(found), options, said))
    cuts = _cuts(found)
    left_out = tuple(item for item in found.values() if isinstance(item, LeftOut))
    return ChosenPhotos(
        cuts,
        left_out,
        sum(item.kind == COPY for item in left_out),
        len({key.sha256 for key in person.faces} - found.keys()),
        options,
        said,
        sum(cut.photo.taken is None for cut in cuts) if options.since or options.until else 0,
        copies.alike,
    )


def _said_by_hand(photos: Sequence[_Photo], said: ByHand, options: CutOptions) -> dict[str, Cut | LeftOut]:
    found: dict[str, Cut | LeftOut] = {}
    for photo, number in photos:
        if photo.sha256 in said.left_out:
            found[photo.sha256] = LeftOut(photo, STANDS[EXCLUDE])
        elif photo.sha256 in said.taken_in:
            found[photo.sha256] = _within_dates(photo, number, options)
    return found


def _copies_by_hand(
    opened: OpenVault, photos: Sequence[_Photo], said: ByHand, found: Mapping[str, Cut | LeftOut]
) -> dict[str, LeftOut]:
    """Copies of photos that were chosen by hand: who left one out wants the picture in no form, and who took one in
    wants it once, and in this form.
    """
    paths = {photo.sha256: photo.paths[0] for photo, _ in photos}
    names = ShortNames(paths.values())
    left_out = {}
    for photo, _ in photos:
        taken_in, excluded = said.copies_in.get(photo.sha256, ""), said.copies_out.get(photo.sha256, "")
        if isinstance(found.get(taken_in), Cut):
            reason = f"a copy of {names.of(paths[taken_in])}, which was taken in by hand and is used instead"
            left_out[photo.sha256] = LeftOut(photo, reason, COPY)
        elif excluded:
            name = names.of(paths[excluded]) if excluded in paths else _name(opened, excluded)
            left_out[photo.sha256] = LeftOut(photo, f"a copy of {name}, which was left out by hand", EXCLUDED_COPY)
    return left_out


def _name(opened: OpenVault, sha256: str) -> str:
    """Of a photo on which the person is not known."""
    photo = opened.catalog.photo(sha256, opened.fingerprint)
    return "a photo" if photo is None else Path(photo.paths[0]).name


def _stand_ins(
    photos: Sequence[_Photo],
    found: Mapping[str, Cut | LeftOut],
    copies: Copies,
    limit: float,
    options: CutOptions,
) -> dict[str, Cut | LeftOut]:
    """Where a photo that stands for others is too small or blurred itself, the best usable one of those."""
    known = {photo.sha256: (photo, number) for photo, number in photos}
    names = ShortNames(photo.paths[0] for photo, _ in photos)
    changed: dict[str, Cut | LeftOut] = {}
    for sha256, item in found.items():
        behind = [other for other in copies.behind.get(sha256, ()) if other in known]
        if not isinstance(item, LeftOut) or item.kind != POOR or any(isinstance(found[one], Cut) for one in behind):
            continue
        free = [one for one in behind if isinstance(was := found[one], LeftOut) and was.kind == COPY]
        made = (_cut(*known[one], "", options) for one in free)
        usable = [cut for cut in made if isinstance(cut, Cut) and not _blurred([cut], limit)]
        if usable:
            stands_in = usable[0]
            changed[stands_in.photo.sha256] = stands_in
            reason = f"{item.reason}; {names.of(str(stands_in.path))} is used instead"
            changed[sha256] = LeftOut(item.photo, reason, REPLACED)
    return changed


def _cuts(found: Mapping[str, Cut | LeftOut]) -> tuple[Cut, ...]:
    return tuple(item for item in found.values() if isinstance(item, Cut))


def _photos(opened: OpenVault, keys: Sequence[FaceKey]) -> list[_Photo]:
    """Each photo of the person once, by path, with the number of the person's face (the largest, should there be two);
    None = the whole picture is the person's.
    """
    by_photo: dict[str, list[FaceKey]] = defaultdict(list)
    for key in keys:
        by_photo[key.sha256].append(key)
    found: list[_Photo] = []
    for photo in opened.catalog.photos(opened.fingerprint, sorted(by_photo)):
        number = face_number(photo, by_photo[photo.sha256])
        if number is not None or any(key.is_whole for key in by_photo[photo.sha256]):
            found.append((photo, number))
    return sorted(found, key=lambda item: (item[0].paths[0], item[0].sha256))


def face_number(photo: VaultPhoto, mine: Sequence[FaceKey]) -> int | None:
    """Which of the photo's faces is the person's: the largest, should there be two; None = none of them."""
    numbers = [n for n in range(len(photo.faces)) if any(photo.key(n).same(key) for key in mine)]
    return max(numbers, key=lambda n: photo.faces[n].face.box.area, default=None)


def _cut(photo: VaultPhoto, number: int | None, duplicate: str, options: CutOptions) -> Cut | LeftOut:
    """By what the photo itself says."""
    if duplicate:
        return LeftOut(photo, duplicate, COPY)
    face = None if number is None else photo.faces[number].face
    if face is not None and face.box.height < options.min_face:
        reason = f"the face is {face.box.height:.0f} pixels high; {options.min_face} are the least (--min-face)"
        return LeftOut(photo, reason, POOR)
    return _within_dates(photo, number, options)


def _within_dates(photo: VaultPhoto, number: int | None, options: CutOptions) -> Cut | LeftOut:
    """A photo that is good enough, unless it is of another time, or has too few pixels to cut from.

    The dates say what the whole set is of: they hold also for what was taken in by hand.
    """
    day = "" if photo.taken is None else day_of(photo.taken)
    if day and is_before(day, options.since):
        return LeftOut(photo, f"taken on {day}, before {options.since} (--since)")
    if day and is_after(day, options.until):
        return LeftOut(photo, f"taken on {day}, after {options.until} (--until)")
    made = cut_of(photo, number, options.framing, options.size)
    if made is None:
        reason = f"{photo.width} x {photo.height} pixels are too few to cut {crops.STEP} x {crops.STEP} from"
        return LeftOut(photo, reason, POOR)
    return made


def _blur_limit(cuts: Sequence[Cut]) -> float:
    """Sharpness of a face under which it is blurred, for this person."""
    return blur_limit([value for _, value in _sharpness(cuts)])


def _sharpness(cuts: Sequence[Cut]) -> list[tuple[Cut, float]]:
    faces = [(cut, cut.found.measures) for cut in cuts if cut.found is not None]
    return [(cut, measures["sharpness"]) for cut, measures in faces if "sharpness" in measures]


def _blurred(cuts: Sequence[Cut], limit: float) -> dict[str, LeftOut]:
    return {
        cut.photo.sha256: LeftOut(
            cut.photo, f"blurred (face sharpness {value:.0f}; this person's limit is {limit:.0f})", POOR
        )
        for cut, value in _sharpness(cuts)
        if value < limit
    }


def _beyond(cuts: Sequence[Cut], options: CutOptions, said: ByHand) -> dict[str, LeftOut]:
    """What is over ``max_photos``: the angles take turns, each with its best photo first. What was taken in by hand
    comes before all others, and none of it is too many.
    """
    if options.max_photos is None or len(cuts) <= options.max_photos:
        return {}
    lanes: dict[str, list[Cut]] = defaultdict(list)
    free = [cut for cut in cuts if cut.photo.sha256 not in said.taken_in]
    for cut in sorted(free, key=lambda item: (-_worth(item), item.photo.sha256)):
        lanes[_lane(cut)].append(cut)
    turns = [(place, -_worth(cut), cut) for lane in lanes.values() for place, cut in enumerate(lane)]
    turns.sort(key=lambda turn: (turn[0], turn[1], turn[2].photo.sha256))
    room = max(0, options.max_photos - (len(cuts) - len(free)))
    reason = f"beyond the best {options.max_photos} (--max-photos)"
    return {cut.photo.sha256: LeftOut(cut.photo, reason) for _, _, cut in turns[room:]}


def _lane(cut: Cut) -> str:
    """The angle; whole pictures are a kind of their own."""
    return "whole" if cut.found is None else angle_and_side(cut.found.face.pose)


def angle_and_side(pose: HeadPose | None) -> str:
    """``front``, ``three_quarter_left``, ``profile_right``...; "" where the angle was not measured.

    Sides as the viewer sees them.
    """
    if pose is None:
        return ""
    angle = angle_of(pose.yaw)
    return angle if angle == "front" else f"{angle}_{'right' if pose.yaw > 0 else 'left'}"


def _worth(cut: Cut) -> float:
    """How good a photo is for training, 0 and more: trust in the face, its pixels in the picture, its sharpness; of a
    whole picture its own pixels and sharpness.
    """
    if cut.found is None or cut.subject is None:
        width, height = cut.window.size
        pixels = min(1.0, (width * height) ** 0.5 / 1024)
        return float(pixels * (1.0 + cut.photo.measures.get("sharpness", 0.0)) ** 0.25)
    pixels = min(1.0, cut.subject.box.height / 256)
    return float(cut.found.quality * pixels * (1.0 + cut.found.measures.get("sharpness", 0.0)) ** 0.25)


def nothing_left(opened: OpenVault, person: Person, left_out: Sequence[LeftOut]) -> str:
    """Why no photo of a person can be used."""
    who = person.called
    if not left_out:
        known = plural(len(person.faces), "face or whole picture", "faces or whole pictures")
        gone = f"No photo of {who} is there any more ({known} known)."
        if patterns := opened.record.exclude:
            return (
                f"{gone} What {some([f'--exclude {shell.quote(pattern)}' for pattern in patterns])} matches is not"
                f" scanned. To scan all: {opened.vault.command('scan --no-exclude')}"
            )
        return f"{gone} Scan again: {opened.vault.command('scan FOLDER')}"
    examples = "\n".join(f"  - {Path(item.photo.paths[0]).name}: {item.reason}" for item in left_out[:3])
    return f"{none_can_be_used(len(left_out), 'photo', f'of {who}')}:\n{examples}"
