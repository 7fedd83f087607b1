"""A person's folder: what trainers read back, run twice, killed anywhere, and the user's own files in it."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.helpers.same_shot import note_same_shot
from tests.unit.stages.vault.dataset.preparing import LABEL, prepare, tree
from tests.unit.stages.vault.makers import fake_vault, fill, person_in, photo_of, work_on
from tests.unit.things import Recording, face
from twinloop.domain.faces import Box
from twinloop.domain.vault import Person
from twinloop.errors import InputError, StateError
from twinloop.stages.vault.copies.of_person import Copies
from twinloop.stages.vault.dataset.folder.prepared import lines_of
from twinloop.stages.vault.dataset.label import label_json, label_of
from twinloop.stages.vault.dataset.own_captions import edit, edits_of
from twinloop.stages.vault.dataset.prep import PrepOptions, prep
from twinloop.stages.vault.opened import OpenVault
from twinloop.stages.vault.opening import open_vault
from twinloop.stages.vault.people.record import people_of, read_people, write_people
from twinloop.store import atomic
from twinloop.store.atomic import sha256_file
from twinloop.store.journal import Journal
from twinloop.store.pictures.images import load_image
from twinloop.store.pictures.masks import MaskOrigin, mask_png
from twinloop.store.pictures.provenance import is_marked_synthetic, synthetic_xmp
from twinloop.store.vault.files import FileEntry
from twinloop.store.vault.listing import Listing


@contextmanager
def vault(home: Path, count: int = 6) -> Iterator[tuple[OpenVault, Person]]:
    with fake_vault(home, count) as made:
        yield made


# what trainers read


def as_kohya(folder: Path) -> dict[str, tuple[int, str, str]]:
    """As sd-scripts reads a train_data_dir: picture -> (repeats, class tokens, caption)."""
    found = {}
    for subset in folder.iterdir():
        match = re.fullmatch(r"(\d+)_(.+)", subset.name)
        if subset.is_dir() and match:
            for picture in subset.glob("*.png"):
                found[picture.name] = (int(match[1]), match[2], picture.with_suffix(".txt").read_text().strip())
    return found


def as_imagefolder(folder: Path) -> dict[str, str]:
    """As datasets' imagefolder reads a folder: file_name relative to metadata.jsonl, one JSON object a line, every
    picture named once.
    """
    rows = [json.loads(line) for line in (folder / "metadata.jsonl").read_text("utf-8").splitlines()]
    assert sorted(row["file_name"] for row in rows) == sorted(p.name for p in folder.glob("*.png"))
    return {row["file_name"]: row["text"] for row in rows}


def as_flat(folder: Path) -> dict[str, str]:
    return {picture.name: picture.with_suffix(".txt").read_text().strip() for picture in folder.glob("*.png")}


def test_each_layout_reads_back_as_its_trainer_does(tmp_path: Path) -> None:
    with vault(tmp_path) as (opened, person):
        flat = as_flat(prepare(opened, person).folder)
        kohya = as_kohya(prepare(opened, person, layout="kohya", repeats=7).folder)
        metadata = as_imagefolder(prepare(opened, person, layout="metadata").folder)
    assert len(flat) == 6 and all(text.startswith("ohwx alice woman, ") for text in flat.values())
    assert kohya == {name: (7, "ohwx alice woman", text) for name, text in flat.items()}
    assert metadata == flat


def test_pictures_fit_their_buckets_and_carry_nothing_of_the_source(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x010F], exif[0x8825] = "Maker", {1: "N", 2: (1.0, 2.0, 3.0)}
    path = tmp_path / "p" / "gps.jpg"
    path.parent.mkdir()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (700, 900, 3), dtype=np.uint8)).save(
        path, exif=exif, icc_profile=b"x" * 200
    )
    photo = photo_of(path, [face(box=Box(300, 200, 500, 460))])
    fill(tmp_path / "v", [photo])
    with open_vault(tmp_path / "v") as opened:
        found = prepare(opened, person_in([photo]), size=512)
    (picture,) = found.folder.glob("*.png")
    with Image.open(picture) as image:
        assert image.width % 64 == image.height % 64 == 0 and image.width * image.height <= 512 * 512
        assert dict(image.getexif()) == {} and image.info == {}
    assert not is_marked_synthetic(picture.read_bytes())


def test_the_mark_of_a_made_image_stays(tmp_path: Path) -> None:
    path = tmp_path / "p" / "made.jpg"
    path.parent.mkdir()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (256, 256, 3), dtype=np.uint8)).save(
        path, xmp=synthetic_xmp()
    )
    photo = photo_of(path, [face(box=Box(80, 60, 180, 190))])
    fill(tmp_path / "v", [photo])
    with open_vault(tmp_path / "v") as opened:
        found = prepare(opened, person_in([photo]))
    (picture,) = found.folder.glob("*.png")
    assert load_image(picture).origin == "synthetic"
    assert any(finding.about == "origin" for finding in found.readiness.findings)


def test_the_record_says_where_every_picture_comes_from(tmp_path: Path) -> None:
    with vault(tmp_path) as (opened, person):
        found = prepare(opened, person)
    data = json.loads((found.folder / "person.json").read_text())
    assert (data["trigger"], data["class_word"], data["prompt"]) == ("ohwx alice", "woman", "ohwx alice woman")
    assert data["consent"]["text"].startswith("the person themself")
    first = data["pictures"][0]
    assert (
        first["file"] == "IMG_0000.png"
        and first["source"]["crop"] == [0, 0, 256, 256]
        and first["text"] == as_flat(found.folder)["IMG_0000.png"]
    )
    assert {item["file"] for item in data["files"]} == set(tree(found.folder)) - {"person.json"}
    assert data["readiness"]["grade"] == "not yet"


# run twice, killed anywhere


@pytest.mark.parametrize("layout", ["flat", "kohya", "metadata"])
def test_run_twice_nothing_is_written(tmp_path: Path, layout: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with vault(tmp_path) as (opened, person):
        found = prepare(opened, person, layout=layout)
        before, times = tree(found.folder), {p: p.stat().st_mtime_ns for p in found.folder.rglob("*")}
        monkeypatch.setattr(
            "twinloop.stages.vault.dataset.cut_picture.load_image", lambda path: pytest.fail("nothing needs decoding")
        )
        again = prepare(opened, person, layout=layout)
    assert (again.written, again.removed, again.kept, again.adopted) == (0, (), (), ())
    assert tree(found.folder) == before and {p: p.stat().st_mtime_ns for p in found.folder.rglob("*")} == times


class Killed(BaseException):
    """Not an Exception: nothing may catch it, as nothing catches kill -9."""


@pytest.mark.parametrize("moment", ["before", "after"])
def test_killed_around_every_rename_it_ends_the_same(
    tmp_path: Path, moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, survived = os.replace, set[str]()

    def replace(source: Any, target: Any) -> None:
        fresh = os.fspath(target) not in survived
        survived.add(os.fspath(target))
        if fresh and moment == "before":
            raise Killed(target)
        real(source, target)
        if fresh:
            raise Killed(target)

    with vault(tmp_path, 3) as (opened, person):
        plans: list[dict[str, Any]] = [
            {},
            {"layout": "kohya"},
            {"layout": "kohya", "size": 192},
            {"layout": "metadata"},
            {"layout": "flat"},
        ]
        expected = []
        for plan in plans:  # the user changes his mind from run to run
            expected.append(tree(prepare(opened, person, output=tmp_path / "calm", **plan).folder))
        deaths = 0
        monkeypatch.setattr(atomic.os, "replace", replace)
        for plan, wanted in zip(plans, expected, strict=True):
            survived.clear()
            while True:
                try:
                    found = prepare(opened, person, output=tmp_path / "stormy", **plan)
                    break
                except Killed:
                    deaths += 1
            assert tree(found.folder) == wanted and found.kept == () and edits_of(opened.decisions, person.id) == {}
        assert deaths > 20


def test_a_torn_note_is_no_edit_of_the_users(tmp_path: Path) -> None:
    with vault(tmp_path, 2) as (opened, person):
        found = prepare(opened, person)
        before = tree(found.folder)
        (found.folder / ".prep.jsonl").write_bytes(b"torn")
        (found.folder / "IMG_0001.txt").unlink()
        again = prepare(opened, person)
    assert tree(found.folder) == before and (again.adopted, again.written) == ((), 1)


# the user's own files and words


def test_a_changed_caption_is_the_users_from_then_on(tmp_path: Path) -> None:
    with vault(tmp_path) as (opened, person):
        found = prepare(opened, person)
        path = found.folder / "IMG_0001.txt"
        path.write_text("ohwx alice woman at the sea,\n wearing a hat")
        again = prepare(opened, person)
        assert again.adopted == ("IMG_0001.txt",) and path.read_text() == "ohwx alice woman at the sea,\n wearing a hat"
        assert prepare(opened, person).adopted == ()
        kohya = as_kohya(prepare(opened, person, layout="kohya").folder)
        assert kohya["IMG_0001.png"][2] == "ohwx alice woman at the sea, wearing a hat"
        assert (
            as_imagefolder(prepare(opened, person, layout="metadata").folder)["IMG_0001.png"]
            == "ohwx alice woman at the sea, wearing a hat"
        )
        opened.decisions.undo()
        assert "at the sea" not in as_flat(prepare(opened, person, layout="flat").folder)["IMG_0001.png"]


def test_a_changed_line_of_metadata_is_the_users_too(tmp_path: Path) -> None:
    with vault(tmp_path) as (opened, person):
        found = prepare(opened, person, layout="metadata")
        path = found.folder / "metadata.jsonl"
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        rows[2]["text"] = "ohwx alice asleep"
        path.write_text("".join(json.dumps(row) + "\n" for row in [*rows, {"file_name": "my own.png", "text": "mine"}]))
        Image.new("RGB", (64, 64)).save(found.folder / "my own.png")
        again = prepare(opened, person, layout="metadata")
        assert again.adopted == (f"metadata.jsonl: {rows[2]['file_name']}",)
        texts = as_imagefolder(again.folder)
        assert texts[rows[2]["file_name"]] == "ohwx alice asleep" and texts["my own.png"] == "mine"
        assert list(edits_of(opened.decisions, person.id).values()) == ["ohwx alice asleep"]


def test_a_line_separator_within_a_caption_ends_no_line_of_metadata(tmp_path: Path) -> None:
    path = tmp_path / "metadata.jsonl"
    rows = [{"file_name": "a.png", "text": "one\u2028two"}, {"file_name": "b.png", "text": "three\x85four"}]
    path.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows) + "\n", "utf-8")
    assert lines_of(path) == rows
    with path.open("a") as file:
        file.write("\nnot json\n")
    with pytest.raises(StateError, match="line 4 is not JSON"):
        lines_of(path)
    path.write_text("[" * 200_000)
    with pytest.raises(StateError, match="line 1 is not JSON"):
        lines_of(path)


def test_files_of_the_user_are_neither_taken_nor_removed(tmp_path: Path) -> None:
    with vault(tmp_path) as (opened, person):
        folder = opened.vault.person("alice")
        folder.mkdir(parents=True)
        (folder / "IMG_0002.png").write_bytes(b"mine")
        (folder / "notes.txt").write_text("mine")
        found = prepare(opened, person)
        assert (folder / "IMG_0002.png").read_bytes() == b"mine"
        assert sum(name.startswith("IMG_0002_") for name in found.files.values()) == 1
        prepare(opened, person, layout="kohya")
        assert sorted(p.name for p in folder.iterdir()) == [
            "10_ohwx alice woman",
            "IMG_0002.png",
            "notes.txt",
            "person.json",
        ]


def test_a_picture_that_the_user_retouched_stays(tmp_path: Path) -> None:
    with vault(tmp_path) as (opened, person):
        folder = prepare(opened, person).folder
        (folder / "IMG_0003.png").write_bytes(b"retouched")
        for _ in range(2):
            assert prepare(opened, person).kept == ("IMG_0003.png",)
        moved = prepare(opened, person, layout="kohya")
        assert "IMG_0003.png" in moved.kept and (folder / "IMG_0003.png").read_bytes() == b"retouched"


def test_a_photo_that_drops_out_takes_its_files_along(tmp_path: Path) -> None:
    with vault(tmp_path) as (opened, person):
        prepare(opened, person)
        photo = person.faces[0].sha256
        found = prepare(opened, person, Copies({photo: "near copy of IMG_9.png"}))
        assert len(found.removed) == 2 and len(as_flat(found.folder)) == 5
        assert any(item.reason == "near copy of IMG_9.png" for item in found.left_out)
        assert any(finding.about == "duplicates" and finding.have == 1 for finding in found.readiness.findings)


def test_what_was_cut_from_a_photo_that_is_gone_stays(tmp_path: Path) -> None:
    with vault(tmp_path) as (opened, person):
        before = tree(prepare(opened, person).folder)
        lost = tmp_path / "photos" / "IMG_0004.png"
        lost.unlink()
        Listing(opened.catalog).forget_folder(lost, ())
        found = prepare(opened, person)
        assert found.gone == 1 and len(found.files) == 5 and found.removed == ()
        kept = tree(found.folder)
        assert {name: digest for name, digest in kept.items() if name != "person.json"} == {
            n: d for n, d in before.items() if n != "person.json"
        }
        assert prepare(opened, person).written == 0


@pytest.mark.parametrize("layout", ["flat", "kohya", "metadata"])
def test_another_photo_of_a_shot_takes_the_place_and_the_words_of_the_one_before(layout: str, tmp_path: Path) -> None:
    """A JPEG that was written beside a raw photo, or the raw photo where the JPEG is gone."""
    with vault(tmp_path) as (opened, person):
        before = prepare(opened, person, layout=layout)
        raws = {Path(photo.paths[0]).name: photo for photo in opened.catalog.photos("test")}
        edited, excluded = raws["IMG_0001.png"], raws["IMG_0004.png"]
        edit(opened, LABEL, edited.sha256, "ohwx alice asleep")
        opened.decisions.add("exclude", {"person": "p001", "photos": [excluded.sha256]})
        faces = {key.sha256: key for key in person.faces}
        for photo in (edited, excluded, raws["IMG_0002.png"]):
            path = tmp_path / "photos" / f"edited {Path(photo.paths[0]).name}"
            pixels = load_image(Path(photo.paths[0])).pixels
            Image.fromarray((pixels * 0.9).astype(np.uint8)).save(path)
            made = photo_of(path, [found.face for found in photo.faces])
            Listing(opened.catalog).forget_folder(Path(photo.paths[0]), ())
            opened.catalog.files.put(FileEntry(path, 1, 1, made.sha256))
            opened.catalog.put_photo(made, "test", b"")
            note_same_shot(opened.vault.same_shot, photo.sha256, made.sha256)
            faces[photo.sha256] = dataclasses.replace(faces[photo.sha256], sha256=made.sha256)
        del opened.decisions.same_shot  # another command reads it anew
        now = dataclasses.replace(person, faces=tuple(faces.values()))
        found = prepare(opened, now)
        assert {*found.files.values()} == {n for n in before.files.values() if not n.endswith("IMG_0004.png")}
        assert {path.name for path in found.folder.rglob("*.png")} == {Path(name).name for name in found.files.values()}
        assert (found.kept, found.others, len(found.by_hand.left_out)) == ((), (), 1)
        record = json.loads((found.folder / "person.json").read_text())
        texts = {item["source"]["path"]: item["text"] for item in record["pictures"]}
        assert texts[str(tmp_path / "photos" / "edited IMG_0001.png")] == "ohwx alice asleep"
        assert prepare(opened, now).written == 0


def test_a_photo_that_cannot_be_read_for_now_keeps_its_picture(tmp_path: Path) -> None:
    """A drive that is not plugged in: another size cannot be cut, and the old picture is better than none."""
    with vault(tmp_path) as (opened, person):
        folder = prepare(opened, person).folder
        (tmp_path / "photos" / "IMG_0004.png").rename(tmp_path / "away.png")
        found = prepare(opened, person, size=192)
        assert [item.file for item in found.carried] == ["IMG_0004.png"] and found.left_out == ()
        sizes = {}
        for path in folder.glob("*.png"):
            with Image.open(path) as image:
                sizes[path.name] = image.size
        assert sizes.pop("IMG_0004.png") == (256, 256) and set(sizes.values()) == {(192, 192)}
        (tmp_path / "away.png").rename(tmp_path / "photos" / "IMG_0004.png")
        again = prepare(opened, person, size=192)
        with Image.open(folder / "IMG_0004.png") as image:
            assert image.size == (192, 192)
        assert len(again.files) == 6 and again.kept == ()


def test_layout_and_repeats_stay_until_others_are_asked_for(tmp_path: Path) -> None:
    with vault(tmp_path, 2) as (opened, person):
        prepare(opened, person, layout="kohya", repeats=7)
        again = prepare(opened, person)
        assert (again.layout, again.repeats, again.written, again.removed) == ("kohya", 7, 0, ())
        assert set(prepare(opened, person, repeats=3).files.values()) == {
            f"3_ohwx alice woman/IMG_000{n}.png" for n in range(2)
        }
        assert not (again.folder / "7_ohwx alice woman").exists()


def test_names_are_safe_and_stay_with_their_photos(tmp_path: Path) -> None:
    folder = tmp_path / "p"
    names = ["a/x.png", "b/X.png", "c/we?ird\nname.png", "d/" + "n" * 200 + ".png"]
    photos = []
    for number, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True)
        Image.fromarray(np.random.default_rng(number).integers(0, 255, (256, 256, 3), dtype=np.uint8)).save(path)
        photos.append(photo_of(path, [face(box=Box(80, 60, 180, 190))]))
    fill(tmp_path / "v", photos)
    with open_vault(tmp_path / "v") as opened:
        first = prepare(opened, person_in(photos)).files
        assert len({name.casefold() for name in first.values()}) == 4 and all(
            re.fullmatch(r"[\w .()-]{1,100}\.png", name) for name in first.values()
        )
        later = prepare(opened, person_in(photos[1:])).files
        assert all(later[sha256] == first[sha256] for sha256 in later)


def test_an_unknown_layout_and_a_strange_person_json_are_refused(tmp_path: Path) -> None:
    with vault(tmp_path, 1) as (opened, person):
        with pytest.raises(InputError, match="flat, kohya, metadata"):
            prepare(opened, person, layout="onetrainer")
        (tmp_path / "mine").mkdir()
        (tmp_path / "mine" / "person.json").write_text('{"pet": true}')
        with pytest.raises(StateError, match="not written by this program"):
            prepare(opened, person, output=tmp_path / "mine")


# the folder and the person


OUTSIDE = ("../private/me.png", "..\\private\\me.png", "C:me.png", "\\\\server\\share\\me.png", "")


@pytest.mark.parametrize("name", [*OUTSIDE, "{home}/private/me.png"])
@pytest.mark.parametrize("kind", ["files", "pictures", "notes"])
def test_a_record_that_names_files_elsewhere_is_refused(tmp_path: Path, kind: str, name: str) -> None:
    """It may come from anywhere, and what it names would be removed, or taken into the training set."""
    folder, private = tmp_path / "fetched", tmp_path / "private"
    for made in (folder, private):
        made.mkdir()
    Image.new("RGB", (64, 64)).save(private / "me.png")
    (private / "me.txt").write_text("private words")
    digest = hashlib.sha256((private / "me.png").read_bytes()).hexdigest()
    file = {"file": name.format(home=tmp_path), "sha256": digest, "photo": "f" * 64, "key": ""}
    picture = {"file": file["file"], "text": "", "source": {"sha256": "f" * 64}}
    record: dict[str, Any] = {"files": [], "pictures": []}
    if kind == "notes":
        Journal(folder / ".prep.jsonl").record("1", [file["file"], digest, file["photo"], ""])
    else:
        record[kind].append(file if kind == "files" else picture)
    (folder / "person.json").write_text(json.dumps(record))
    before = tree(tmp_path / "private") | tree(folder)
    with (
        vault(tmp_path) as (opened, person),
        pytest.raises(StateError, match=r"names .*, which leads out of its folder"),
    ):
        prepare(opened, person, output=folder)
    assert tree(tmp_path / "private") | tree(folder) == before


def renamed(person: Person, name: str, id: str | None = None) -> Person:
    return dataclasses.replace(person, name=name, id=id or person.id)


def test_the_folder_follows_the_name_with_everything_in_it(tmp_path: Path) -> None:
    with vault(tmp_path, 3) as (opened, person):
        first = prepare(opened, person)
        (first.folder / "notes.md").write_text("mine")
        (first.folder / "IMG_0001.txt").write_text("ohwx alice, my words")
        before = tree(first.folder)
        found = prepare(opened, renamed(person, "Hanna"))
        assert (found.folder.name, found.was, found.also, found.written) == ("Hanna", first.folder, (), 0)
        assert not first.folder.exists() and found.adopted == ("IMG_0001.txt",)
        changed = {name for name, digest in tree(found.folder).items() if before.get(name) != digest}
        assert changed == {"person.json"}
        assert prepare(opened, renamed(person, "Hanna")).was is None


def masked(picture: Path, mask: Path) -> Path:
    """A mask of a picture, as it is made here."""
    mask.parent.mkdir(parents=True, exist_ok=True)
    mask.write_bytes(mask_png(np.full((4, 4), 255, np.uint8), MaskOrigin(sha256_file(picture), "u2net")))
    return mask


def test_its_masks_follow_the_name(tmp_path: Path) -> None:
    with vault(tmp_path, 3) as (opened, person):
        folder = prepare(opened, person).folder
        masks = folder.with_name("alice_masks")
        for picture in sorted(folder.glob("*.png")):
            masked(picture, masks / picture.name)
        before = tree(masks)
        theirs = prepare(opened, dataclasses.replace(person, name="alicia")).folder.with_name("alicia_masks")
        assert tree(theirs) == before and not masks.exists()
        masked(theirs.with_name("alicia") / "IMG_0000.png", folder.with_name("alice_masks") / "IMG_0000.png")
        prepare(opened, person)
        assert tree(theirs) == before, "others lie at the new place"


@pytest.mark.parametrize("layout", ["flat", "kohya"])
def test_the_mask_goes_with_its_picture(tmp_path: Path, layout: str) -> None:
    """Beside the picture, and beside the folder; one that somebody painted stays."""
    with vault(tmp_path, 3) as (opened, person):
        found = prepare(opened, person, layout=layout)
        folder, beside = found.folder, found.folder.with_name("alice_masks")
        for name in found.files.values():
            masked(folder / name, (folder / name).with_name(f"{Path(name).stem}-masklabel.png"))
            masked(folder / name, beside / name)
        mine = beside / next(name for name in found.files.values() if name.endswith("IMG_0001.png"))
        Image.new("L", (4, 4)).save(mine)
        assert prepare(opened, person).others == ()
        out = [key.sha256 for key in person.faces[:2]]
        opened.decisions.add("exclude", {"person": "p001", "photos": out})
        again = prepare(opened, dataclasses.replace(person, faces=person.faces[2:]))
        (left,) = again.files.values()
        label = Path(left).with_name(f"{Path(left).stem}-masklabel.png").as_posix()
        assert len(again.removed) == 4 and again.others == ()
        assert {name for name in tree(folder) if name.endswith(".png")} == {left, label}
        assert set(tree(beside)) == {left, mine.relative_to(beside).as_posix()}


def test_where_repeats_change_no_mask_stays_behind(tmp_path: Path) -> None:
    """sd-scripts would read the old folder as one of pictures."""
    with vault(tmp_path, 2) as (opened, person):
        found = prepare(opened, person, layout="kohya", repeats=7)
        for name in found.files.values():
            masked(found.folder / name, (found.folder / name).with_name(f"{Path(name).stem}-masklabel.png"))
        prepare(opened, person, repeats=3)
        assert [path.name for path in found.folder.iterdir() if path.is_dir()] == ["3_ohwx alice woman"]


def test_a_folder_with_two_names_is_no_second_one(tmp_path: Path) -> None:
    """As one whose name differs in case is on macOS and Windows: nobody is told to delete it."""
    with vault(tmp_path, 3) as (opened, person):
        first = prepare(opened, person).folder
        first.with_name("Alice").symlink_to(first)
        found = prepare(opened, renamed(person, "Alice"))
        assert (found.folder, found.was, found.also) == (first.with_name("Alice"), None, ())


def test_a_folder_that_a_dot_ends_is_found_and_moved(tmp_path: Path) -> None:
    with vault(tmp_path, 3) as (opened, person):
        old = prepare(opened, person).folder.rename(opened.vault.root / "organized" / "Alice Jr.")
        before = tree(old)
        found = prepare(opened, renamed(person, "Alice Jr."))
        assert (found.folder.name, found.was, found.also, found.written) == ("Alice Jr", old, (), 0)
        assert tree(found.folder).keys() == before.keys() and not old.exists()
        opened.decisions.add("name", {"person": "p001", "name": "Alice Jr.", "anchors": {}})
        write_people(opened.vault, people_of(read_people(opened.vault).found, opened.decisions.active()))
        with pytest.raises(StateError, match=r"of p001, of whose name it is the folder, too\. .*vault name p002 NAME"):
            prepare(opened, renamed(person, "Alice Jr", id="p002"))


def test_a_folder_of_somebody_else_goes_to_its_own_place(tmp_path: Path) -> None:
    with vault(tmp_path, 3) as (opened, person):
        before = tree(prepare(opened, person).folder)
        found = prepare(opened, renamed(person, "alice", id="p002"))
        place = opened.vault.person("p001")
        assert found.made_way == ("p001", place) and tree(place) == before
        assert json.loads((found.folder / "person.json").read_text())["person"] == "p002"


def test_a_folder_of_somebody_else_that_has_no_other_place_is_left_alone(tmp_path: Path) -> None:
    with vault(tmp_path, 3) as (opened, person):
        before = tree(prepare(opened, person).folder)
        opened.vault.person("p001").mkdir()
        with pytest.raises(StateError, match=r"training set of p001, who has another in .*p001. Move it away"):
            prepare(opened, renamed(person, "alice", id="p002"))
        with pytest.raises(StateError, match="another --output"):
            prepare(opened, renamed(person, "bea", id="p002"), output=opened.vault.person("alice"))
        assert tree(opened.vault.person("alice")) == before


def test_captions_and_label_of_who_was_merged_into_a_person_stand(tmp_path: Path) -> None:
    with vault(tmp_path, 3) as (opened, _):
        decisions = opened.decisions
        edit(opened, dataclasses.replace(LABEL, person="p002"), "a" * 64, "ohwx alice, laughing")
        decisions.add("label", label_json(dataclasses.replace(LABEL, person="p002", trigger="sks bob")))
        assert edits_of(decisions, "p001") == {} and label_of(decisions, "p001") is None
        decisions.add("merge", {"into": "p003", "people": ["p002"]})
        decisions.add("merge", {"into": "p001", "people": ["p003"]})
        assert edits_of(decisions, "p001") == {"a" * 64: "ohwx alice, laughing"}
        inherited = label_of(decisions, "p001")
        assert inherited is not None and (inherited.person, inherited.trigger) == ("p001", "sks bob")
        decisions.add("label", label_json(LABEL))
        decisions.undo()
        decisions.undo()
        assert label_of(decisions, "p001") is None


@pytest.mark.parametrize("layout", ["flat", "kohya"])
def test_when_person_json_is_lost_nothing_comes_twice(tmp_path: Path, layout: str) -> None:
    with vault(tmp_path, 3) as (opened, person):
        folder = prepare(opened, person, layout=layout).folder
        before = tree(folder)
        (folder / "person.json").unlink()
        again = prepare(opened, person, layout=layout)
        assert again.written == 0 and again.others == () and tree(folder) == before


def test_pictures_of_the_users_in_the_folder_are_told(tmp_path: Path) -> None:
    with vault(tmp_path, 3) as (opened, person):
        folder = prepare(opened, person).folder
        (folder / "own.JPG").write_bytes(b"x")
        assert prepare(opened, person).others == ("own.JPG",)


def test_own_captions_that_lack_a_new_trigger_are_told(tmp_path: Path) -> None:
    with vault(tmp_path, 3) as (opened, person):
        found = prepare(opened, person)
        (found.folder / "IMG_0001.txt").write_text("ohwx alice, my words")
        assert prepare(opened, person).captions.without_trigger == ()
        other = dataclasses.replace(LABEL, trigger="sks")
        told = prep(opened, work_on(opened, person, other), PrepOptions(), Recording())
        assert [Path(path).name for path in told.captions.without_trigger] == ["IMG_0001.png"]
        assert (found.folder / "IMG_0001.txt").read_text() == "ohwx alice, my words"
