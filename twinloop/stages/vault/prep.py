"""Prep: a person's pictures, cut and captioned, in the folder that a trainer reads. Run twice, nothing changes; killed, it goes on."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twinloop.domain.vault import Label, Person
from twinloop.errors import InputError, NothingToDo, UnreadableImage
from twinloop.ports import Reporter
from twinloop.stages.vault import caption as captioning
from twinloop.stages.vault import person_folder
from twinloop.stages.vault.audit import Constant
from twinloop.stages.vault.caption import EDITED, Captioned, CaptionOptions, Captions, Writer
from twinloop.stages.vault.choose import Choice, LeftOut, choose
from twinloop.stages.vault.cut import Cut, CutOptions
from twinloop.stages.vault.grade import Readiness
from twinloop.stages.vault.label import head_of
from twinloop.stages.vault.layouts import LAYOUTS, Layout, layout_of, metadata_bytes, stems
from twinloop.stages.vault.opened import OpenVault
from twinloop.stages.vault.own_files import Origin
from twinloop.stages.vault.picture import CutPicture
from twinloop.stages.vault.prepared import PreparedFolder
from twinloop.stages.vault.readiness import readiness
from twinloop.store.atomic import remove_leftovers, storage_errors
from twinloop.store.sidecar import METADATA

REPEATS = 10
FORMAT = "png-1"
"""Part of what a picture is made of: another way of cutting or writing makes all pictures anew."""


@dataclass(frozen=True)
class PrepOptions:
    """How the folder is made.

    Attributes:
        layout: ``flat``, ``kohya`` or ``metadata``; None = as it is, ``flat`` at first. repeats: of kohya's folder; None = as it is, 10 at first.
        output: None = organized/<person> in the vault.
    """

    layout: str | None = None
    repeats: int | None = None
    output: Path | None = None
    cutting: CutOptions = CutOptions()  # noqa: RUF009 - frozen
    captions: CaptionOptions = CaptionOptions()  # noqa: RUF009 - frozen


@dataclass(frozen=True, eq=False)
class _Shelf:
    """Where things go: the folder, its layout and the name of each photo's files."""

    folder: PreparedFolder
    layout: Layout
    names: Mapping[str, str]

    def picture(self, photo: str) -> str:
        return self.layout.picture(self.names[photo])


@dataclass(frozen=True, eq=False)
class Prepared:
    """The outcome.

    Attributes:
        files: sha256 of the photo -> name of its picture below ``folder``. written, removed: files of this run.
        kept: names of files that the user changed and that were left alone. adopted: captions that the user changed since the last run.
        was: where the folder lay until now, under an earlier name of the person; None = here. also: more folders of the person, from before.
        others: names of pictures in the folder that are not of this training set.
        made_way: (owner, new place) of somebody else's training set that lay here under an earlier name; None = there was none.
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
    was: Path | None = None
    also: tuple[Path, ...] = ()
    others: tuple[str, ...] = ()
    made_way: tuple[str, Path] | None = None

    @property
    def audit(self) -> tuple[Constant, ...]:
        return self.captions.audit

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
            "folder": str(self.folder), **_record(self), "written": self.written, "removed": list(self.removed), "kept": list(self.kept),
            "adopted": list(self.adopted), "gone": self.gone, "was": None if self.was is None else str(self.was),
            "also": [str(path) for path in self.also], "others": list(self.others),
            "made_way": None if self.made_way is None else {"person": self.made_way[0], "folder": str(self.made_way[1])},
        }  # fmt: skip


def prep(
    opened: OpenVault, person: Person, label: Label, duplicates: Mapping[str, str], options: PrepOptions, writer: Writer, reporter: Reporter
) -> Prepared:  # fmt: skip
    """Cut, caption and write a person's training set.

    Args:
        duplicates: sha256 -> reason of every photo that is a worse copy of another.

    Raises:
        InputError: an option, or the person is hidden. NothingToDo: no photo can be used. StateError: the folder is another's, or its person.json is.
    """
    choice = choose(opened, person, duplicates, options.cutting)
    place = person_folder.settled(opened, person, options.output)
    folder = _opened_folder(place.root)
    layout, repeats = _layout(options, folder)
    adopted = folder.adopt_edits(opened, label)
    placed = layout_of(layout, label, repeats)
    shelf = _Shelf(folder, placed, stems(choice.cuts, placed, folder, _is_cut))
    captions = _written(opened, person, label, choice, options, writer, reporter, shelf)
    unread = {item.photo.sha256 for item in captions.left_out[len(choice.left_out) :]}
    removed = folder.remove_stale(_unavailable(opened, folder) | unread)
    found = Prepared(
        folder.root, layout, repeats, captions, {item.cut.photo.sha256: shelf.picture(item.cut.photo.sha256) for item in captions.captions},
        readiness(
            captions.captions, writer.observer.facets, sum(item.photo.sha256 in duplicates for item in choice.left_out), options.cutting
        ),
        folder.written, tuple(removed), tuple(folder.kept), tuple(adopted), choice.gone,
        place.was, place.others, tuple(folder.others()), place.made_way,
    )  # fmt: skip
    folder.finish(_record(found))
    captioning.record(opened, captions)
    return found


def _opened_folder(root: Path) -> PreparedFolder:
    with storage_errors(root):
        root.mkdir(parents=True, exist_ok=True)
    remove_leftovers(root)
    return PreparedFolder(root)


def _is_cut(picture: Path, cut: Cut) -> bool:
    """Whether the file holds what would be written there now."""
    with contextlib.suppress(UnreadableImage, OSError):
        return picture.read_bytes() == CutPicture(cut).png
    return False


def _layout(options: PrepOptions, folder: PreparedFolder) -> tuple[str, int]:
    """Layout and repeats: as asked, else as the folder is."""
    layout = options.layout or str(folder.record.get("layout", LAYOUTS[0]))
    if layout not in LAYOUTS:
        raise InputError(f"Unknown layout '{layout}'. Known: {', '.join(LAYOUTS)}.")
    return layout, options.repeats or int(folder.record.get("repeats", REPEATS))


def _written(
    opened: OpenVault, person: Person, label: Label, choice: Choice, options: PrepOptions, writer: Writer, reporter: Reporter, shelf: _Shelf
) -> Captions:  # fmt: skip
    """Every picture and its caption, file by file."""
    made: list[Captioned] = []
    left_out = list(choice.left_out)
    for item in captioning.captioned(opened, label, choice.cuts, options.captions, writer, reporter):
        if isinstance(item, LeftOut):
            left_out.append(item)
            continue
        try:
            _write(shelf, item)
        except UnreadableImage as error:
            left_out.append(LeftOut(item.cut.photo, str(error)))
        else:
            made.append(dataclasses.replace(item, picture=None))
    if not made:
        raise NothingToDo(
            f"None of the photos of {person.name or person.id} can be read. Scan again: {opened.vault.command('scan')}"
        )
    if not shelf.layout.text_files:
        _write_metadata(shelf, made)
    audit = captioning.audit_of(made, label, options.captions, writer.observer.facets)
    return Captions(person, label, options.captions, options.cutting, tuple(made), audit, tuple(left_out))


def _write(shelf: _Shelf, item: Captioned) -> None:
    photo, folder = item.cut.photo.sha256, shelf.folder
    name, origin = shelf.picture(photo), Origin(photo, f"{FORMAT}:{item.cut.key}")
    if folder.holds(name, origin):
        folder.claim(name)
    else:
        assert item.picture is not None  # fresh from the captioning
        folder.put(name, item.picture.png, origin)
    if shelf.layout.text_files:
        folder.put_caption(shelf.layout.caption(shelf.names[photo]), item.text, photo)


def _write_metadata(shelf: _Shelf, made: Sequence[Captioned]) -> None:
    texts = {shelf.picture(item.cut.photo.sha256): item.text for item in made}
    shelf.folder.put(METADATA, metadata_bytes(texts, shelf.folder.foreign_lines()), Origin())


def _unavailable(opened: OpenVault, folder: PreparedFolder) -> frozenset[str]:
    """Photos behind files of the folder that the catalogue no longer finds anywhere."""
    photos = {folder.photo_of(name) for name in folder.names} - {""}
    return frozenset(photo for photo in photos if opened.catalog.photo(photo, opened.fingerprint) is None)


def _record(found: Prepared) -> dict[str, Any]:
    """person.json without its list of files."""
    captions = found.captions
    label = captions.label
    return {
        "person": captions.person.id, "name": captions.person.name, "trigger": label.trigger, "class_word": label.class_word,
        "prompt": head_of(label, captions.options.style), "consent": label.consent.to_json(),
        "layout": found.layout, "repeats": found.repeats, **captions.options.to_json(), "cutting": dataclasses.asdict(captions.cutting),
        "pictures": [_picture(item, found) for item in captions.captions],
        "left_out": [item.to_json() for item in captions.left_out],
        "audit": [item.to_json() for item in captions.audit],
        "readiness": found.readiness.to_json(),
    }  # fmt: skip


def _picture(item: Captioned, found: Prepared) -> dict[str, Any]:
    photo = item.cut.photo
    return {
        "file": found.files[photo.sha256], "text": item.text, "edited": item.source == EDITED, "size": list(item.cut.window.size), "origin": item.seen.origin,
        "source": {"path": photo.paths[0], "sha256": photo.sha256, "width": photo.width, "height": photo.height, "crop": list(item.cut.window.box)},
        "remarks": list(item.cut.remarks(found.captions.cutting.size)),
    }  # fmt: skip
