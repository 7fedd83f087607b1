"""Pictures of photos that are no longer there, or cannot be read for now: what was cut from them stays in the training
set, in its layout and with its trigger.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from twinloop.domain.captions import one_line, with_trigger
from twinloop.domain.vault import Label
from twinloop.errors import UnreadableImage
from twinloop.stages.vault.dataset.folder.layouts import Layout
from twinloop.stages.vault.dataset.folder.own_files import Origin
from twinloop.stages.vault.dataset.folder.prepared import PreparedFolder, lines_of
from twinloop.stages.vault.dataset.label import head_of, label_from_json
from twinloop.stages.vault.opened import OpenVault
from twinloop.stages.vault.people.membership import ids_merged_into
from twinloop.store.atomic import sha256_file
from twinloop.store.pictures.images import load_image
from twinloop.store.pictures.sidecar import METADATA
from twinloop.store.vault.decisions import DecisionLog


@dataclass(frozen=True)
class Carried:
    """A picture that cannot be made again.

    Attributes:
        file: its name in the folder. photo: sha256 of what it was cut from. edited: whether ``text`` is the user's own.
        record: what person.json said of it.
    """

    file: str
    photo: str
    text: str
    edited: bool
    record: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        return {**self.record, "file": self.file, "text": self.text, "edited": self.edited, "gone": True}


def unavailable(opened: OpenVault, photos: Collection[str]) -> frozenset[str]:
    """Which of these photos (sha256) the catalogue no longer finds anywhere, nor another one of their shot."""
    shots = opened.decisions.same_shot
    return frozenset(
        photo
        for photo in photos
        if not any(opened.catalog.photo(one, opened.fingerprint) is not None for one in shots.of(photo))
    )


def no_longer_there(opened: OpenVault, photos: Collection[str]) -> frozenset[str]:
    """Which of these photos (sha256) lie nowhere any more, whatever the last scan found: a picture of one that is not
    chosen now could not be cut again.
    """
    known = ((photo, opened.catalog.photo(photo, opened.fingerprint)) for photo in photos)
    return frozenset(
        photo for photo, found in known if found is not None and not any(Path(path).exists() for path in found.paths)
    )


@dataclass(frozen=True)
class Words:
    """The captions of these pictures: ``edits`` = the user's own by photo; ``heads`` = what captions began with in
    earlier runs -> what they begin with now, longest first.
    """

    trigger: str
    edits: Mapping[str, str]
    heads: Mapping[str, str]

    @classmethod
    def of(
        cls, decisions: DecisionLog, label: Label, style: str, before: Mapping[str, Any], edits: Mapping[str, str]
    ) -> Words:
        """``before``: person.json of the last run."""
        ids = ids_merged_into(decisions.active("merge"), label.person)
        said = [label, *(label_from_json(one.data) for one in decisions.active("label") if one.data["person"] in ids)]
        if before.get("trigger"):
            said.append(replace(label, trigger=before["trigger"], class_word=before.get("class_word", "")))
        heads = {one.trigger: label.trigger for one in said}
        heads |= {head_of(one, how): head_of(label, style) for one in said for how in ("prose", "tags")}
        return cls(label.trigger, edits, dict(sorted(heads.items(), key=lambda pair: (-len(pair[0]), pair[0]))))

    def now(self, text: str) -> str:
        """A caption of an earlier run as it begins now."""
        for old, new in self.heads.items():
            if text.startswith(old) and text[len(old) : len(old) + 1] in ("", " ", ","):
                return new + text[len(old) :]
        return with_trigger(text, self.trigger)


def carry(folder: PreparedFolder, layout: Layout, words: Words, photos: Set[str]) -> tuple[Carried, ...]:
    """Take the pictures of these photos (sha256) into the training set, where the layout has them; but not one that is
    in it already, byte for byte.
    """
    found: dict[str, list[str]] = defaultdict(list)
    for name in sorted(folder.names):
        if name.endswith(".png") and folder.photo_of(name) in photos and folder.is_there(name):
            found[folder.photo_of(name)].append(name)
    texts, there = _texts(folder), set(folder.current.values())
    known = {item["file"]: item for item in folder.record.get("pictures", ())}
    carried = []
    for photo, names in found.items():
        digest = next((sha256_file(folder.root / name) for name in names if folder.untouched(name)), "")
        if digest not in there:
            carried.append(_carried(folder, layout, words, photo, names, texts, known))
            there |= {digest} - {""}
    return tuple(carried)


def pictures_of(folder: PreparedFolder) -> Callable[[str], Mapping[str, Any]]:
    """photo (sha256) -> what person.json said of the picture that was cut from it, or what can still be said."""
    listed = {str(item["source"]["sha256"]): item for item in folder.record.get("pictures", ())}
    names = {folder.photo_of(name): name for name in sorted(folder.names) if name.endswith(".png")}

    def of(photo: str) -> Mapping[str, Any]:
        return listed.get(photo) or _record(folder.root / names.get(photo, ""), photo)

    return of


def _carried(
    folder: PreparedFolder,
    layout: Layout,
    words: Words,
    photo: str,
    names: Sequence[str],
    texts: Mapping[str, str],
    known: Mapping[str, Mapping[str, Any]],
) -> Carried:
    """One picture, by its ``names``: two where a change of the layout was interrupted. ``known``: what person.json
    said of pictures, by file.
    """
    record = next((known[one] for one in names if one in known), None) or _record(folder.root / names[0], photo)
    before = next((texts[one] for one in names if texts.get(one)), record["text"])
    edit = words.edits.get(photo)
    text = words.now(one_line(before)) if edit is None else edit
    name = _placed(folder, layout, photo, names)
    if layout.text_files:
        folder.put_caption(Path(name).with_suffix(".txt").as_posix(), text, photo)
    return Carried(name, photo, text, edit is not None, record)


def _placed(folder: PreparedFolder, layout: Layout, photo: str, names: Sequence[str]) -> str:
    """Put a picture where the layout has it; one that the user changed, or whose place a file of the user's has, stays
    where it is.
    """
    name, origin = next(((one, made) for one in names if (made := folder.untouched(one))), (names[0], None))
    if origin is None:
        folder.leave(name)
        return name
    stem = Path(name).stem
    places = [layout.picture(one) for one in (stem, f"{stem}_{photo[:8]}")]
    place = next((one for one in places if _is_free(folder, one, origin)), name)
    if place == name:
        folder.claim(name)
    else:
        folder.put(place, (folder.root / name).read_bytes(), origin)
    return place


def _is_free(folder: PreparedFolder, name: str, origin: Origin) -> bool:
    return not (folder.root / name).exists() or folder.untouched(name) == origin


def _texts(folder: PreparedFolder) -> dict[str, str]:
    """The captions that lie in the folder, by picture."""
    found = {}
    for name in sorted(folder.names):
        path = (folder.root / name).with_suffix(".txt")
        if name.endswith(".png") and path.is_file():
            found[name] = path.read_text("utf-8-sig", errors="replace")
    lines = lines_of(folder.root / METADATA) if (folder.root / METADATA).is_file() else []
    return {str(line["file_name"]): str(line.get("text", "")) for line in lines} | found


def _record(picture: Path, photo: str) -> dict[str, Any]:
    """What can still be said of a picture of which person.json says nothing."""
    width, height, origin = _looks(picture)
    return {
        "text": "",
        "beside": False,
        "size": [width, height],
        "origin": origin,
        "source": {"path": "", "sha256": photo, "width": width, "height": height, "crop": [0, 0, width, height]},
        "remarks": [],
    }


def _looks(picture: Path) -> tuple[int, int, str]:
    """Width, height and origin; of a file that the user made unreadable nothing."""
    try:
        image = load_image(picture)
    except UnreadableImage:
        return 0, 0, "real"
    return image.pixels.shape[1], image.pixels.shape[0], image.origin
