"""Pictures of photos that are no longer there: in the layout, with the trigger, and never lost."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.unit.stages.vault.dataset.preparing import LABEL, lose, prepare, tree
from tests.unit.stages.vault.makers import fake_vault, work_on
from tests.unit.things import Recording
from twinloop.stages.vault.copies.of_person import Copies
from twinloop.stages.vault.dataset import cut_picture
from twinloop.stages.vault.dataset.choose import CutOptions, choose
from twinloop.stages.vault.dataset.folder import prepared, whose
from twinloop.stages.vault.dataset.folder.carried import Words
from twinloop.stages.vault.dataset.folder.owner import read_record
from twinloop.stages.vault.dataset.label import label_json
from twinloop.stages.vault.dataset.prep import PrepOptions, prep
from twinloop.stages.vault.people.membership import faces_of
from twinloop.store import atomic


@pytest.mark.parametrize("layout", ["kohya", "metadata"])
def test_killed_around_every_rename_it_ends_the_same(
    tmp_path: Path, layout: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        """Not an Exception: nothing may catch it."""

    real, survived = os.replace, set[str]()

    def replace(source: Any, target: Any) -> None:
        fresh = os.fspath(target) not in survived
        survived.add(os.fspath(target))
        real(source, target)
        if fresh:
            raise Killed(target)

    with fake_vault(tmp_path, 3) as (opened, person):
        for name in ("calm", "stormy"):
            prepare(opened, person, output=tmp_path / name)
        now = lose(opened, person, tmp_path, "IMG_0001.png")
        wanted = tree(prepare(opened, now, output=tmp_path / "calm", layout=layout).folder)
        monkeypatch.setattr(atomic.os, "replace", replace)
        deaths = 0
        while True:
            try:
                found = prepare(opened, now, output=tmp_path / "stormy", layout=layout)
                break
            except Killed:
                deaths += 1
    assert deaths > 2 and tree(found.folder) == wanted and found.kept == () and found.pictures == 3


def test_one_whose_photo_is_gone_without_a_scan_stays_where_others_are_chosen(tmp_path: Path) -> None:
    """It could not be cut again: --max-photos is for once, and later runs use all again."""
    with fake_vault(tmp_path, 4) as (opened, person):
        folder = prepare(opened, person).folder
        few = choose(opened, person, Copies(), CutOptions(size=256, max_photos=1))
        (left, *others) = [Path(item.photo.paths[0]) for item in few.left_out]
        left.unlink()
        work = dataclasses.replace(work_on(opened, person, LABEL), choice=few)
        found = prep(opened, work, PrepOptions(), Recording())
        assert (folder / f"{left.stem}.png").is_file() and found.pictures == 2
        assert not any((folder / f"{other.stem}.png").exists() for other in others)


def test_one_that_the_user_retouched_stays_where_it_is_with_its_words(tmp_path: Path) -> None:
    with fake_vault(tmp_path, 3) as (opened, person):
        folder = prepare(opened, person).folder
        now = lose(opened, person, tmp_path, "IMG_0001.png")
        (folder / "IMG_0001.png").write_bytes(b"retouched")
        for _ in range(2):
            found = prepare(opened, now, layout="kohya")
            assert found.kept == ("IMG_0001.png",) and found.others == () and found.pictures == 3
            assert (folder / "IMG_0001.png").read_bytes() == b"retouched" and (folder / "IMG_0001.txt").is_file()


def test_a_file_of_the_users_at_its_place_is_left_alone(tmp_path: Path) -> None:
    with fake_vault(tmp_path, 3) as (opened, person):
        folder = prepare(opened, person).folder
        now = lose(opened, person, tmp_path, "IMG_0001.png")
        taken = folder / "10_ohwx alice woman" / "IMG_0001.png"
        taken.parent.mkdir()
        taken.write_bytes(b"mine")
        found = prepare(opened, now, layout="kohya")
        (carried,) = found.carried
        assert taken.read_bytes() == b"mine" and carried.file == f"{taken.parent.name}/IMG_0001_{carried.photo[:8]}.png"
        assert (folder / carried.file).with_suffix(".txt").is_file() and not (folder / "IMG_0001.png").exists()


def test_a_set_whose_record_says_nothing_of_it_gets_a_record(tmp_path: Path) -> None:
    """As sets that were prepared before these pictures were listed."""
    with fake_vault(tmp_path, 3) as (opened, person):
        folder = prepare(opened, person).folder
        now = lose(opened, person, tmp_path, "IMG_0001.png")
        text = (folder / "IMG_0001.txt").read_text().strip()
        data = json.loads((folder / "person.json").read_text())
        data["pictures"] = [item for item in data["pictures"] if item["file"] != "IMG_0001.png"]
        (folder / "person.json").write_text(json.dumps(data))
        found = prepare(opened, now)
        record = json.loads((folder / "person.json").read_text())["pictures"]
    (item,) = (item for item in record if item["gone"])
    assert (item["text"], item["size"], item["origin"]) == (text, [256, 256], "real")
    assert item["source"]["sha256"] == found.carried[0].photo and found.kept == found.adopted == ()


def test_a_photo_that_cannot_be_read_for_now_is_counted_apart(tmp_path: Path) -> None:
    with fake_vault(tmp_path, 3) as (opened, person):
        prepare(opened, person)
        now = lose(opened, person, tmp_path, "IMG_0001.png")
        (tmp_path / "photos" / "IMG_0002.png").rename(tmp_path / "away.png")
        other = dataclasses.replace(LABEL, trigger="zwx")
        found = prep(opened, work_on(opened, now, other, 192), PrepOptions(), Recording())
        assert (len(found.carried), found.unread, found.pictures) == (2, 1, 3)
        texts = [path.read_text() for path in found.folder.glob("*.txt")]
    assert len(texts) == 3 and all(text.startswith("zwx woman, ") for text in texts)


def test_captions_begin_as_the_label_says_now(tmp_path: Path) -> None:
    with fake_vault(tmp_path, 1) as (opened, _):
        opened.decisions.add("label", label_json(LABEL))
        now = dataclasses.replace(LABEL, trigger="ohwx", class_word="girl")
        words = Words.of(opened.decisions, now, "prose", {"trigger": "zwx bea", "class_word": "lady"}, {})
    assert words.now("ohwx alice woman, at the sea") == "ohwx girl, at the sea"
    assert words.now("zwx bea lady, smiling") == "ohwx girl, smiling"
    assert words.now("zwx bea walks home") == "ohwx walks home", "own words behind a trigger"
    assert words.now("ohwx girl, smiling") == "ohwx girl, smiling"
    assert words.now("she stands at the sea") == "ohwx, she stands at the sea"
    assert words.now("") == "ohwx"


@pytest.mark.parametrize("kind", ["reject", "assign", "split"])
def test_what_was_taken_from_the_person_does_not_come_back(tmp_path: Path, kind: str) -> None:
    with fake_vault(tmp_path, 3) as (opened, person):
        folder = prepare(opened, person).folder
        pictures = json.loads((folder / "person.json").read_text())["pictures"]
        (taken,) = (item["source"]["sha256"] for item in pictures if item["file"] == "IMG_0001.png")
        (key,) = (key for key in person.faces if key.sha256 == taken)
        # somebody else's face on the photo of another picture says nothing of the person's own there
        (kept,) = (key for key in person.faces if key.sha256 not in (taken, pictures[0]["source"]["sha256"]))
        beside = dataclasses.replace(kept, box=(0.0, 0.0, 0.1, 0.1))
        now = lose(opened, lose(opened, person, tmp_path, "IMG_0001.png"), tmp_path, "IMG_0002.png")
        whose = "p001" if kind in ("reject", "split") else "p002"
        opened.decisions.add("assign", {"person": "p002", "faces": [beside.to_json()]})
        opened.decisions.add(kind, {"person": whose, "new": "p003", "faces": [key.to_json()]})
        found = prepare(opened, now)
        assert [item.photo for item in found.carried] == [kept.sha256] and "IMG_0001.png" in found.removed
        opened.decisions.undo()
        assert [item.photo for item in prepare(opened, now).carried] == [kept.sha256], "it is gone for good"


def test_what_was_given_back_to_the_person_stays(tmp_path: Path) -> None:
    with fake_vault(tmp_path, 3) as (opened, person):
        prepare(opened, person)
        now = lose(opened, person, tmp_path, "IMG_0001.png")
        (key,) = set(person.faces) - set(now.faces)
        opened.decisions.add("reject", {"person": "p001", "faces": [key.to_json()]})
        opened.decisions.add("assign", {"person": "p001", "faces": [key.to_json()]})
        assert [item.photo for item in prepare(opened, now).carried] == [key.sha256]


def test_a_picture_that_is_there_already_byte_for_byte_is_not_carried(tmp_path: Path) -> None:
    """A photo that was moved and got other metadata; nothing measured of the old one is left."""
    with fake_vault(tmp_path, 3) as (opened, person):
        folder = prepare(opened, person).folder
        data = json.loads((folder / "person.json").read_text())
        gone = "f" * 64
        (entry,) = (item for item in data["files"] if item["file"] == "IMG_0001.png")
        (folder / "old.png").write_bytes((folder / "IMG_0001.png").read_bytes())
        data["files"].append({**entry, "file": "old.png", "photo": gone})
        (folder / "person.json").write_text(json.dumps(data))
        found = prepare(opened, person)
        assert found.carried == () and found.removed == ("old.png",) and found.pictures == 3


def test_a_carried_picture_is_not_left_out_as_well(tmp_path: Path) -> None:
    with fake_vault(tmp_path, 3) as (opened, person):
        prepare(opened, person)
        (tmp_path / "photos" / "IMG_0002.png").rename(tmp_path / "away.png")
        found = prepare(opened, person, size=192)
        record = json.loads((found.folder / "person.json").read_text())
        written = json.loads(opened.vault.captions("p001").read_text())
    assert (len(found.carried), found.unread) == (1, 1)
    assert found.left_out == () and record["left_out"] == written["left_out"] == []


@pytest.mark.parametrize("assigned", [0, 20])
def test_the_record_and_the_decisions_are_read_once_for_all_that_are_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, assigned: int
) -> None:
    class Counted(dict[str, Any]):
        """A person.json that counts how often its pictures are asked for."""

        def get(self, name: str, other: Any = None) -> Any:
            asked[0] += name == "pictures"
            return super().get(name, other)

    def read_faces(data: Any) -> Any:
        parsed[0] += 1
        return faces_of(data)

    asked, parsed, counts = [0], [0], list[tuple[int, int]]()
    monkeypatch.setattr(prepared, "read_record", lambda path: Counted(read_record(path)))
    monkeypatch.setattr(whose, "faces_of", read_faces)
    for gone in (1, 5):
        with fake_vault(tmp_path / str(gone), 8) as (opened, person):
            prepare(opened, person)
            for _ in range(assigned):
                data = {"person": person.id, "faces": [key.to_json() for key in person.faces]}
                opened.decisions.add("assign", data)
            now = person
            for number in range(gone):
                now = lose(opened, now, tmp_path / str(gone), f"IMG_000{number}.png")
            asked[0] = parsed[0] = 0
            assert len(prepare(opened, now).carried) == gone
            counts.append((asked[0], parsed[0]))
    assert counts[0] == counts[1] and counts[0][1] == assigned


@pytest.mark.parametrize("happened", ["gone", "edited"])
def test_every_run_says_that_a_photo_is_gone_also_where_its_picture_is_as_it_should_be(
    tmp_path: Path, happened: str
) -> None:
    """Without a scan, a run that goes by what it wrote itself must see it like the one that had to cut it anew."""
    with fake_vault(tmp_path, 3) as (opened, person):
        folder = prepare(opened, person).folder
        photo = tmp_path / "photos" / "IMG_0001.png"
        if happened == "gone":
            photo.unlink()
        else:
            photo.write_bytes((tmp_path / "photos" / "IMG_0002.png").read_bytes())
        told = []
        for layout in ("flat", "kohya", "kohya", "flat", "flat"):
            found = prepare(opened, person, layout=layout)
            record = json.loads((folder / "person.json").read_text())
            gone = {Path(item["file"]).name: item["gone"] for item in record["pictures"]}
            assert gone == {"IMG_0000.png": False, "IMG_0001.png": True, "IMG_0002.png": False}
            assert (len(found.carried), found.unread, found.pictures, found.kept) == (1, 1, 3, ())
            told.append((record["readiness"], record["left_out"]))
        assert all(one == told[0] for one in told)


def test_photos_that_look_as_the_scan_left_them_are_not_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with fake_vault(tmp_path, 3) as (opened, person):
        prepare(opened, person)
        for entry in opened.catalog.files.all().values():
            seen = entry.path.stat()
            times = {"mtime_ns": seen.st_mtime_ns, "ctime_ns": seen.st_ctime_ns}
            opened.catalog.files.put(dataclasses.replace(entry, size=seen.st_size, **times))
        monkeypatch.setattr(cut_picture, "sha256_file", None)
        assert prepare(opened, person).carried == ()
