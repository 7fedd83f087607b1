"""Prep: a person's pictures, cut and captioned, in the folder that a trainer reads.

Run twice, nothing changes; killed, it goes on.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twinloop.domain.captions import holds_trigger
from twinloop.domain.choices import LAYOUTS
from twinloop.domain.vault import WHOLE
from twinloop.errors import InputError, UnreadableImage
from twinloop.ports import Reporter
from twinloop.stages.vault.copies.of_gone import shown_elsewhere
from twinloop.stages.vault.dataset.by_hand import ByHand, by_hand
from twinloop.stages.vault.dataset.caption import (
    BESIDE,
    EDITED,
    Captioned,
    Captioning,
    Captions,
    captions_of,
    none_made,
    record,
)
from twinloop.stages.vault.dataset.choose import LeftOut
from twinloop.stages.vault.dataset.cut import Cut
from twinloop.stages.vault.dataset.cut_picture import CutPicture, check_still_there
from twinloop.stages.vault.dataset.folder import location
from twinloop.stages.vault.dataset.folder.apart import originals_in
from twinloop.stages.vault.dataset.folder.carried import Carried, Words, carry, no_longer_there, unavailable
from twinloop.stages.vault.dataset.folder.layouts import Layout, layout_of, metadata_bytes, stems
from twinloop.stages.vault.dataset.folder.own_files import Origin
from twinloop.stages.vault.dataset.folder.prepared import PreparedFolder
from twinloop.stages.vault.dataset.folder.still_theirs import still_theirs
from twinloop.stages.vault.dataset.grade import Readiness
from twinloop.stages.vault.dataset.label import head_of
from twinloop.stages.vault.dataset.own_captions import edits_of
from twinloop.stages.vault.dataset.readiness import readiness
from twinloop.stages.vault.opened import OpenVault
from twinloop.stages.vault.people.record import read_people
from twinloop.stages.vault.people.without_face import beside
from twinloop.store.atomic import remove_leftovers, storage_errors
from twinloop.store.pictures.sidecar import METADATA
from twinloop.store.vault.files import VaultFiles
from twinloop.store.vault.vault_id import made_vault_id, note_outside

REPEATS = 10
FORMAT = "png-2"
"""Part of what a picture is made of: another way of reading photos, cutting or writing makes all pictures anew."""


@dataclass(frozen=True)
class PrepOptions:
    """How the folder is made.

    Attributes:
        layout: ``flat``, ``kohya`` or ``metadata``; None = as it is, ``flat`` at first. repeats: of kohya's folder;
            None = as it is, 10 at first.
        output: None = organized/<person> in the vault.
    """

    layout: str | None = None
    repeats: int | None = None
    output: Path | None = None


@dataclass(frozen=True, eq=False)
class _Shelf:
    """Where things go: the folder, its layout and the name of each photo's files."""

    folder: PreparedFolder
    layout: Layout
    names: Mapping[str, str]
    scanned: VaultFiles

    def picture(self, photo: str) -> str:
        return self.layout.picture(self.names[photo])

    def put(self, item: Captioned) -> None:
        """Write a picture, and its caption where the layout has a file for it.

        Raises UnreadableImage: the photo cannot be read, or is no longer what was scanned: a picture that was cut from
        it before could not be cut again.
        """
        photo, folder = item.cut.photo.sha256, self.folder
        name, origin = self.picture(photo), Origin(photo, f"{FORMAT}:{item.cut.key}")
        if folder.holds(name, origin):
            check_still_there(item.cut.photo, self.scanned)
            folder.claim(name)
        else:
            assert item.picture is not None  # fresh from the captioning
            folder.put(name, item.picture.png, origin)
        if self.layout.text_files:
            folder.put_caption(self.layout.caption(self.names[photo]), item.text, photo)

    def put_metadata(self, made: Sequence[Captioned], carried: Sequence[Carried]) -> None:
        """Write the one file of all captions, where the layout has it."""
        if not self.layout.text_files:
            texts = {self.picture(item.cut.photo.sha256): item.text for item in made}
            texts |= {item.file: item.text for item in carried}
            self.folder.put(METADATA, metadata_bytes(texts, self.folder.foreign_lines()), Origin())


@dataclass(frozen=True, eq=False, kw_only=True)
class Prepared:
    """The outcome.

    Attributes:
        files: sha256 of the photo -> name of its picture below ``folder``. written, removed: files of this run.
        kept: names of files that the user changed and that were left alone. adopted: captions that the user changed
            since the last run.
        was: where the folder lay until now, under an earlier name of the person; None = here. also: more folders of the
            person, from before.
        others: names of pictures in the folder that are not of this training set.
        made_way: (owner, new place) of somebody else's training set that lay here under an earlier name; None = there
            was none.
        by_hand, undated: as `ChosenPhotos` has them. carried: pictures of photos that are no longer there, or cannot be
            read for now. unread: how many of them are of the latter. without_face: paths of photos in the same folders
            as the person's on which no face was found, so that they are nobody's.
    """

    folder: Path
    layout: str
    repeats: int
    captions: Captions
    files: Mapping[str, str]
    readiness: Readiness
    written: int
    removed: tuple[str, ...]
    kept: tuple[str, ...]
    adopted: tuple[str, ...]
    gone: int
    was: Path | None
    also: tuple[Path, ...]
    others: tuple[str, ...]
    made_way: tuple[str, Path] | None
    by_hand: ByHand
    undated: int
    carried: tuple[Carried, ...] = ()
    unread: int = 0
    without_face: tuple[str, ...] = ()

    @property
    def taken_in(self) -> int:
        """How many pictures are of photos that were taken in by hand."""
        return sum(sha256 in self.by_hand.taken_in for sha256 in self.files)

    @property
    def pictures(self) -> int:
        """How many pictures a trainer takes from here, but for `others`."""
        return len(self.captions.captions) + len(self.carried)

    @property
    def carried_without_trigger(self) -> tuple[str, ...]:
        """Names of carried pictures whose caption is the user's own and lacks the trigger."""
        own, trigger = (item for item in self.carried if item.edited), self.captions.label.trigger
        return tuple(item.file for item in own if not holds_trigger(item.text, trigger))

    @property
    def left_out(self) -> tuple[LeftOut, ...]:
        return self.captions.left_out

    @property
    def remarks(self) -> tuple[tuple[str, str], ...]:
        """(picture, what the user should know of it)."""
        size = self.captions.cutting.size
        return tuple(
            (self.files[item.cut.photo.sha256], text)
            for item in self.captions.captions
            for text in item.cut.remarks(size)
        )

    def to_json(self) -> dict[str, Any]:
        return {
            "folder": str(self.folder),
            **_record(self),
            "written": self.written,
            "removed": list(self.removed),
            "kept": list(self.kept),
            "adopted": list(self.adopted),
            "gone": self.gone,
            "undated": self.undated,
            "was": None if self.was is None else str(self.was),
            "also": [str(path) for path in self.also],
            "others": list(self.others),
            "made_way": None
            if self.made_way is None
            else {"person": self.made_way[0], "folder": str(self.made_way[1])},
        }


def prep(opened: OpenVault, work: Captioning, options: PrepOptions, reporter: Reporter) -> Prepared:
    """Cut, caption and write a person's training set.

    Raises:
        InputError: an option. NothingToDo: no photo can be read. StateError: the folder is another's, or its
            person.json is.
    """
    place = location.settled(opened, work.person, options.output)
    folder = _opened_folder(opened, place.root)
    if options.output is not None:
        note_outside(opened.vault, work.person.id, options.output)
    layout, repeats = _layout(options, folder)
    adopted = folder.adopt_edits(opened, work.label)
    shelf = _shelf(opened, work, folder, layout_of(layout, work.label, repeats))
    captions = captions_of(opened, work, reporter, shelf.put)
    kept = _kept(opened, work, shelf, captions)
    if not captions.captions and not kept.carried:
        raise none_made(opened, work)
    without_face = _without_face(opened, [*captions.captions, *captions.left_out])
    captions = dataclasses.replace(captions, left_out=kept.without_a_picture(captions.left_out))
    shelf.put_metadata(captions.captions, kept.carried)
    removed = folder.remove_stale()
    found = Prepared(
        folder=folder.root,
        layout=layout,
        repeats=repeats,
        captions=captions,
        files={item.cut.photo.sha256: shelf.picture(item.cut.photo.sha256) for item in captions.captions},
        readiness=_readiness(work, captions, kept),
        written=folder.written,
        removed=tuple(removed),
        kept=tuple(folder.kept),
        adopted=tuple(adopted),
        gone=work.choice.gone,
        was=place.was,
        also=place.others,
        others=tuple(folder.others()),
        made_way=place.made_way,
        by_hand=kept.said,
        undated=work.choice.undated,
        carried=kept.carried,
        unread=sum(item.photo in kept.unread for item in kept.carried),
        without_face=without_face,
    )
    # within the vault its place says whose it is
    where = {} if options.output is None else {"vault": made_vault_id(opened.vault)}
    folder.finish({**_record(found), **where})
    record(opened, captions)
    return found


def _shelf(opened: OpenVault, work: Captioning, folder: PreparedFolder, layout: Layout) -> _Shelf:
    names = stems(work.choice.cuts, layout, folder, _is_cut, opened.decisions.same_shot)
    return _Shelf(folder, layout, names, opened.catalog.files)


@dataclass(frozen=True, eq=False)
class _Kept:
    """Pictures of earlier runs that stay though they cannot be cut again, and what was said of photos by hand.

    ``unread``: photos (sha256) that are known and cannot be read now.
    """

    carried: tuple[Carried, ...]
    unread: Set[str]
    said: ByHand

    def without_a_picture(self, left_out: Sequence[LeftOut]) -> tuple[LeftOut, ...]:
        on_hand = {item.photo for item in self.carried}
        return tuple(item for item in left_out if item.photo.sha256 not in on_hand)


def _kept(opened: OpenVault, work: Captioning, shelf: _Shelf, captions: Captions) -> _Kept:
    """Take into the training set what is still the person's and is not among the captioned pictures."""
    choice, label, folder = work.choice, work.label, shelf.folder
    unread = {item.photo.sha256 for item in captions.left_out[len(choice.left_out) :]}
    used = [item.cut.photo.sha256 for item in captions.captions]
    pictured = {folder.photo_of(name) for name in folder.names} - {""}
    gone = unavailable(opened, pictured) | no_longer_there(opened, pictured.difference(used))
    said = by_hand(opened.decisions, work.person, choice.alike, folder.record, gone)
    edits = edits_of(opened.decisions, label.person)
    words = Words.of(opened.decisions, label, work.options.style, folder.record, edits)
    theirs = still_theirs(opened, work.person, folder, gone - said.left_out - said.copies_out.keys())
    theirs -= shown_elsewhere(opened, theirs, {*used, *said.in_any_form}, choice.alike)
    return _Kept(carry(folder, shelf.layout, words, theirs | unread), unread, said)


def _readiness(work: Captioning, captions: Captions, kept: _Kept) -> Readiness:
    choice = work.choice
    taken_in = sum(item.cut.photo.sha256 in choice.by_hand.taken_in for item in captions.captions)
    by_hand_counts = (taken_in, len(kept.said.left_out))
    facets = work.writer.observer.facets
    return readiness(captions.captions, facets, choice.copies, choice.options, by_hand_counts, len(kept.carried))


def _without_face(opened: OpenVault, items: Sequence[Captioned | LeftOut]) -> tuple[str, ...]:
    people = read_people(opened.vault) if opened.vault.people.exists() else None
    photos = [item.photo if isinstance(item, LeftOut) else item.cut.photo for item in items]
    return beside(opened, people, [path for photo in photos for path in photo.paths])


def _opened_folder(opened: OpenVault, root: Path) -> PreparedFolder:
    with storage_errors(root):
        root.mkdir(parents=True, exist_ok=True)
    remove_leftovers(root)
    return PreparedFolder(root, originals_in(opened.catalog.files, root))


def _is_cut(picture: Path, cut: Cut) -> bool:
    """Whether the file holds what would be written there now, and is no copy of the photo itself."""
    with contextlib.suppress(UnreadableImage, OSError):
        data = picture.read_bytes()
        return data == CutPicture(cut).png and hashlib.sha256(data).hexdigest() != cut.photo.sha256
    return False


def _layout(options: PrepOptions, folder: PreparedFolder) -> tuple[str, int]:
    """Layout and repeats: as asked, else as the folder is."""
    layout = options.layout or str(folder.record.get("layout", LAYOUTS[0]))
    if layout not in LAYOUTS:
        raise InputError(f"Unknown layout '{layout}'. Known: {', '.join(LAYOUTS)}.")
    return layout, options.repeats or int(folder.record.get("repeats", REPEATS))


def _record(found: Prepared) -> dict[str, Any]:
    """person.json without its list of files."""
    captions = found.captions
    label = captions.label
    return {
        "person": captions.person.id,
        "name": captions.person.name,
        "trigger": label.trigger,
        "class_word": label.class_word,
        "prompt": head_of(label, captions.options.style),
        "consent": label.consent.to_json(),
        "layout": found.layout,
        "repeats": found.repeats,
        **captions.options.to_json(),
        "cutting": dataclasses.asdict(captions.cutting),
        "by_hand": found.by_hand.to_json(),
        "pictures": [
            *(_picture(item, found) for item in captions.captions),
            *(item.to_json() for item in found.carried),
        ],
        "left_out": [item.to_json() for item in captions.left_out],
        "unused_captions": list(captions.unused),
        "without_face": list(found.without_face),
        "audit": [item.to_json() for item in captions.audit],
        "readiness": found.readiness.to_json(),
    }


def _picture(item: Captioned, found: Prepared) -> dict[str, Any]:
    photo = item.cut.photo
    return {
        "file": found.files[photo.sha256],
        "text": item.text,
        "edited": item.source == EDITED,
        "beside": item.source == BESIDE,
        "size": list(item.cut.window.size),
        "origin": item.seen.origin,
        "source": {
            "path": photo.paths[0],
            "sha256": photo.sha256,
            "width": photo.width,
            "height": photo.height,
            "crop": list(item.cut.window.box),
            "face": list(WHOLE if item.cut.number is None else photo.key(item.cut.number).box),
        },
        "remarks": list(item.cut.remarks(found.captions.cutting.size)),
        "gone": False,
    }
