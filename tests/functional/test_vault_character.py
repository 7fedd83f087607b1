"""A character that is drawn, or has no face: what is said of pictures without a face, and how they are taken."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.functional.console import Said, twinloop
from tests.helpers.fake_photos import fake_photo
from tests.unit.stages.vault.copies.makers import picture

FAKE = ("--models-dir", "fake", "--workers", "0")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with four pictures on which a face is found, another face on three, and five without any."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "art"
    folder.mkdir()
    for person, count in ((1, 4), (2, 3)):
        for number in range(count):
            fake_photo(folder / f"{'xab'[person]}{number}.png", seed=10 * person + number, size=256, person=person)
    for number in range(5):
        picture(number + 50, (320, 400)).save(folder / f"chibi{number}.png")
    (folder / "chibi0.txt").write_text("1girl, chibi, green hair")
    (folder / "a0.txt").write_text("ohwx miku, close-up")
    return tmp_path


def vault(capsys: pytest.CaptureFixture[str], *argv: object) -> Said:
    return twinloop(capsys, "vault", *argv, "--vault", "v")


def everything(capsys: pytest.CaptureFixture[str], *more: object) -> Said:
    return vault(capsys, "run", "art", "--person", "miku", "--everything", "--consent", "fictional", *FAKE, *more)


def record(home: Path) -> dict[str, Any]:
    data: dict[str, Any] = json.loads((home / "v/organized/miku/person.json").read_text())
    return data


def test_a_drawn_set_is_told_in_tags_and_what_a_run_of_it_needs(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for lone in (*(home / "art").glob("a*.png"), *(home / "art").glob("b*.png")):
        lone.unlink()
    said = everything(capsys, "--class", "girl", "--style", "tags")
    assert said.code == 0 and "prompts begin with 'ohwx miku, 1girl'" in said.out
    graded = next(line for line in said.out.splitlines() if line.startswith("Training set: "))
    assert "not yet: 5 photos, 2 things to improve, 4 hints; no face was found in 5 of 5" in graded
    assert "no face was found in 5 of 5, so a run needs" in said.out and '"validation": {"faces": false}' in said.out
    texts = {path.read_text().strip() for path in (home / "v/organized/miku").glob("*.txt")}
    assert all(text.count("ohwx miku") == text.count("1girl") == 1 for text in texts), texts


def test_what_became_of_the_others_is_said(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = vault(capsys, "run", "art", "--person", "miku", "--reference", "art/a0.png", *FAKE)
    assert said.code == 0, said.err
    assert "5 pictures show no face that was found: chibi0.png, chibi1.png" in said.out
    assert "What became of 12 pictures: 4 in the training set, 5 without a face that was found, 3 of p002" in said.out
    assert "merge p001 p002" in said.out and "--everything" in said.out
    bare = [Path(path).name for path in record(home)["without_face"]]
    assert bare == [f"chibi{number}.png" for number in range(5)]
    for command in ("cluster", "status"):
        assert "5 pictures show no face that was found" in vault(capsys, command).out
    listed = json.loads(vault(capsys, "status", "--json").out)["without_face"]
    assert [Path(path).name for path in listed] == bare


def test_everything_is_of_one_character(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = everything(capsys)
    assert said.code == 0, said.err
    assert "12 photos of one character, 5 of them whole, because no face was found" in said.out
    assert "What became of" not in said.out, "nothing is left"
    found = record(home)
    assert len(found["pictures"]) == 12 and found["consent"]["kind"] == "fictional" and not found["without_face"]
    folder = home / "v/organized/miku"
    with Image.open(folder / "chibi1.png") as whole:
        assert whole.size == (320, 400), "all of it, and nothing resampled"
    assert (folder / "chibi0.txt").read_text().strip() == "ohwx miku, 1girl, chibi, green hair"
    assert [item["file"] for item in found["pictures"] if item["beside"]] == ["a0.png", "chibi0.png"]
    assert "Captions from files beside the photos: 2" in said.out
    before = (folder / "person.json").read_bytes()
    again = everything(capsys)
    assert again.code == 0 and "nothing changed" in again.out
    assert (folder / "person.json").read_bytes() == before


def test_copies_are_found_without_faces_unless_alike_ones_are_wanted(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture(50, (320, 400)).resize((160, 200)).save(home / "art/small.png")
    assert everything(capsys).code == 0
    assert [Path(item["path"]).name for item in record(home)["left_out"]] == ["small.png"]
    assert vault(capsys, "prep", "miku", "--keep-alike").code == 0
    assert record(home)["left_out"] == [] and len(record(home)["pictures"]) == 13
    assert vault(capsys, "prep", "miku").code == 0
    assert len(record(home)["pictures"]) == 13, "as in the last run"
    assert vault(capsys, "prep", "miku", "--no-keep-alike").code == 0
    assert len(record(home)["pictures"]) == 12


def test_captions_beside_the_pictures_can_be_left_alone(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert everything(capsys, "--own-captions", "ignore").code == 0
    text = (home / "v/organized/miku/chibi0.txt").read_text()
    assert "green hair" not in text and record(home)["own_captions"] == "ignore"
    assert vault(capsys, "caption", "miku", "--own-captions", "use").code == 0
    assert "green hair" in vault(capsys, "caption", "miku", "--list").out
    by_hand = vault(capsys, "caption", "miku", "--edit", "chibi0.png", "ohwx miku, said by hand")
    assert by_hand.code == 0
    assert vault(capsys, "prep", "miku").code == 0
    assert (home / "v/organized/miku/chibi0.txt").read_text().strip() == "ohwx miku, said by hand"


def test_single_pictures_are_taken_whole(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert vault(capsys, "run", "art", "--person", "miku", "--reference", "art/a0.png", *FAKE).code == 0
    refused = vault(capsys, "assign", "miku", "chibi0.png")
    assert refused.code == 2 and "assign PERSON FILE --without-face" in refused.err
    assert (
        "1 whole picture belongs to p001 (miku)" in vault(capsys, "assign", "miku", "chibi0.png", "--without-face").out
    )
    assert vault(capsys, "prep", "miku").code == 0
    assert "chibi0.png" in [item["file"] for item in record(home)["pictures"]]
    assert "4 pictures show no face" in vault(capsys, "status").out
    assert vault(capsys, "exclude", "miku", "chibi0.png").code == 0
    assert vault(capsys, "undo").code == 0 and vault(capsys, "undo").code == 0
    assert "5 pictures show no face" in vault(capsys, "status").out


def test_a_robot_is_forgotten_like_anybody(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert everything(capsys).code == 0
    assert vault(capsys, "forget", "miku", "--yes").code == 0
    assert "miku" not in vault(capsys, "clusters").out
    assert not (home / "v/organized/miku").exists()


def test_where_no_face_is_found_the_way_is_named(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (home / "robots").mkdir()
    for number in range(3):
        picture(number).save(home / "robots" / f"{number}.png")
    said = vault(capsys, "run", "robots", "--person", "bolt", *FAKE)
    assert said.code == 2 and "No faces were found" in said.err and "--everything" in said.err
    assert "--vault v" in said.err
    made = vault(capsys, "run", "robots", "--person", "bolt", "--everything", "--class", "robot", *FAKE)
    assert made.code == 0, made.err
    texts = [path.read_text() for path in (home / "v/organized/bolt").glob("*.txt")]
    assert len(texts) == 3 and all(text.startswith("ohwx bolt robot") for text in texts)
    assert not any(word in text for text in texts for word in ("smil", "profile", "view", "portrait, head"))


def test_everything_is_of_named_folders(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert vault(capsys, "scan", "art", *FAKE).code == 0
    said = vault(capsys, "run", "--person", "miku", "--everything")
    assert said.code == 2 and "name the folders in which all photos are of miku" in said.err


@pytest.mark.parametrize("flag", [("--reference", "art/a0.png"), ("--limit", "0.5"), ("--min-faces", "2")])
def test_what_says_nothing_with_everything_is_refused(
    home: Path, capsys: pytest.CaptureFixture[str], flag: tuple[str, str]
) -> None:
    said = everything(capsys, *flag)
    assert said.code == 2 and "--everything takes all photos" in said.err
    assert not (home / "v").exists()


def test_nothing_is_decided_for_a_hidden_character(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    vault(capsys, "scan", "art", *FAKE)
    vault(capsys, "cluster")
    vault(capsys, "name", "p001", "miku")
    vault(capsys, "hide", "p001")
    before = (home / "v/decisions.jsonl").read_bytes()
    said = everything(capsys)
    assert said.code == 2 and "is hidden. Show the person again first" in said.err
    assert (home / "v/decisions.jsonl").read_bytes() == before


def test_who_was_forgotten_stays_so_with_everything(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    vault(capsys, "scan", "art", *FAKE)
    vault(capsys, "cluster")
    assert vault(capsys, "forget", "p002", "--yes").code == 0
    said = everything(capsys)
    assert said.code == 0, said.err
    assert "9 photos of one character, 5 of them whole, because no face was found" in said.out
    assert "3 photos of somebody who was forgotten are left out" in said.out
    assert "What became of 12 pictures: 9 in the training set, 3 of somebody who was forgotten" in said.out
