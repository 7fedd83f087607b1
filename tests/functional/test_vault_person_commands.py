"""label, caption and prep as people type them, on a scanned and clustered folder."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from PIL import ExifTags, Image

from tests.functional.console import Said, twinloop
from tests.helpers.fake_photos import fake_photo
from tests.helpers.standing import Standing
from tests.unit.stages.vault.makers import fake_photos


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Standing:
    return Standing(tmp_path_factory.mktemp("standing"))


@pytest.fixture
def home(standing: Standing, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Path:
    """A vault with one person of 12 photos."""

    def make() -> None:
        fake_photos(Path("photos"), 12)
        assert vault(capsys, "scan", "photos", "--models-dir", "fake").code == 0
        assert vault(capsys, "cluster").code == 0

    monkeypatch.chdir(standing.again(make))
    return Path.cwd()


def vault(capsys: pytest.CaptureFixture[str], *argv: object) -> Said:
    return twinloop(capsys, "vault", *argv, "--vault", "v")


def labelled(capsys: pytest.CaptureFixture[str]) -> Said:
    return vault(
        capsys,
        "label",
        "p001",
        "--name",
        "alice",
        "--trigger",
        "ohwx alice",
        "--class",
        "woman",
        "--consent",
        "self",
        "--by",
        "Alice",
        "--on",
        "2024-05-06",
        "--scope",
        "training",
        "--json",
    )


def test_from_label_to_a_folder_that_is_ready_for_training(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = labelled(capsys)
    assert said.code == 0 and said.data["prompt"] == "ohwx alice woman" and said.data["consent"]["kind"] == "self"
    captions = vault(capsys, "caption", "alice", "--size", 256, "--json")
    assert captions.code == 0 and len(captions.data["captions"]) == 12
    done = vault(capsys, "prep", "alice", "--json")
    assert done.code == 0, done.err
    folder = Path(done.data["folder"])
    assert folder == Path("v/organized/alice") and done.data["cutting"]["size"] == 256  # as captioned
    assert len(list(folder.glob("*.png"))) == len(list(folder.glob("*.txt"))) == 12
    assert done.data["readiness"]["grade"] == "usable"
    again = vault(capsys, "prep", "alice")
    assert (
        "nothing changed" in again.out
        and "Readiness: usable: 12 photos" in again.out
        and "Consent: the person themself" in again.out
    )
    assert "will fuse with the trigger" in again.err


def test_what_prompts_begin_with_is_in_the_style_of_the_captions(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labelled(capsys)
    vault(capsys, "prep", "alice", "--size", 256, "--style", "tags")
    said = vault(capsys, "label", "alice", "--trigger", "zwx alice")
    assert "prompts begin with 'zwx alice, 1girl'" in said.out
    Path("v/captions/p001.json").write_text("{")
    assert "prompts begin with 'ywx alice woman'" in vault(capsys, "label", "alice", "--trigger", "ywx alice").out


def test_edits_are_listed_and_kept(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    labelled(capsys)
    vault(capsys, "prep", "alice", "--size", 256)
    assert "ohwx alice, at the sea" in vault(capsys, "caption", "alice", "--edit", "IMG_0002.png", "at the sea").out
    Path("v/organized/alice/IMG_0003.txt").write_text("asleep")
    listed = vault(capsys, "caption", "alice", "--list").out
    assert "Yours from now on: IMG_0003.txt" in listed and listed.count("(yours)") == 2
    vault(capsys, "prep", "alice", "--layout", "kohya", "--repeats", 5)
    texts = {path.name: path.read_text().strip() for path in Path("v/organized/alice/5_ohwx alice woman").glob("*.txt")}
    assert (texts["IMG_0002.txt"], texts["IMG_0003.txt"]) == ("ohwx alice, at the sea", "asleep")


def test_what_is_missing_is_told_with_the_next_step(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    early = vault(capsys, "prep", "p001")
    assert early.code == 2 and 'twinloop vault label p001 --trigger "ohwx' in early.err
    wrong = vault(capsys, "label", "p001", "--trigger", "ohwx", "--on", "yesterday")
    assert wrong.code == 2 and "YYYY-MM-DD" in wrong.err and "kind of consent" in wrong.err
    bare = vault(capsys, "label", "p001", "--trigger", "alice")
    assert bare.code == 0 and "Consent: not recorded" in bare.out and "common word or name" in bare.err
    no_model = vault(capsys, "caption", "p001", "--captioner", "wd14")
    assert no_model.code == 2 and "--captioner-model" in no_model.err


def test_a_label_keeps_what_no_flag_says_and_consent_can_be_taken_back(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = vault(capsys, "label", "p001", "--class", "woman")
    assert first.code == 2 and "p001 has no trigger yet" in first.err and "--trigger" in first.err
    before = labelled(capsys).data
    corrected = vault(capsys, "label", "alice", "--trigger", "zwx alice", "--json")
    assert corrected.data["prompt"] == "zwx alice woman" and corrected.data["consent"] == before["consent"]
    lone = vault(capsys, "label", "alice", "--by", "Bob")
    assert lone.code == 2 and "need a kind of consent" in lone.err, "who gave it is not mixed into another consent"
    written = vault(capsys, "label", "alice", "--consent", "written", "--json").data
    assert written["trigger"] == "zwx alice" and written["consent"]["text"] == "written consent"
    taken_back = vault(capsys, "label", "alice", "--consent", "none")
    assert taken_back.code == 0 and "Consent: not recorded" in taken_back.out and "--consent self" in taken_back.err
    assert vault(capsys, "label", "alice", "--class", "girl", "--json").data["consent"]["kind"] is None
    vault(capsys, "undo"), vault(capsys, "undo")
    assert vault(capsys, "label", "alice", "--json").data["consent"]["kind"] == "written"


def test_another_folder_and_photos_that_went_away(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    labelled(capsys)
    assert (
        vault(capsys, "prep", "alice", "--size", 256, "--output", "set", "--layout", "metadata", "--max-photos", 8).code
        == 0
    )
    rows = [json.loads(line) for line in Path("set/metadata.jsonl").read_text().splitlines()]
    assert len(rows) == 8 and all(Path("set", row["file_name"]).is_file() for row in rows)
    shutil.rmtree("photos")
    said = vault(capsys, "prep", "alice", "--output", "set", "--size", 192)
    assert "8 pictures of photos that cannot be read now are used as they are" in said.out
    assert len(list(Path("set").glob("*.png"))) == 8
    said = vault(capsys, "prep", "alice", "--output", "another")
    assert said.code == 2 and "can be read" in said.err and f"scan --remove {home}/photos" in said.err


def dated(path: Path, day: str | None, seed: int) -> None:
    """A photo of one person, taken on that day by the camera's word."""
    picture = path.with_suffix(".png")
    fake_photo(picture, seed=seed, size=256, yaw=(0.0, 30.0, -60.0)[seed % 3], framing="portrait")
    exif = Image.Exif()
    if day is not None:
        exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] = f"{day.replace('-', ':')} 12:00:00"
    with Image.open(picture) as image:
        image.save(path, quality=97, exif=exif)
    picture.unlink()


@pytest.fixture
def album(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Path:
    """A vault with a person of twelve photos, one a year since 2004, and two without a date; labelled as alice."""
    monkeypatch.chdir(tmp_path)
    Path("photos").mkdir()
    for number in range(12):
        dated(Path(f"photos/{2004 + number}.jpg"), f"{2004 + number}-06-15", number)
    for number in (12, 13):
        dated(Path(f"photos/undated{number}.jpg"), None, number)
    assert vault(capsys, "scan", "photos", "--models-dir", "fake").code == 0
    assert vault(capsys, "cluster").code == 0
    assert labelled(capsys).code == 0
    return tmp_path


def pictures(folder: str = "v/organized/alice") -> list[str]:
    return sorted(path.stem for path in Path(folder).glob("*.png"))


def test_a_span_of_years_is_prepared_and_remembered(album: Path, capsys: pytest.CaptureFixture[str]) -> None:
    everything = vault(capsys, "prep", "alice", "--size", 256)
    assert len(pictures()) == 14 and "The dated photos span 11 years (2004 to 2015)" in everything.out
    done = vault(capsys, "prep", "alice", "--since", "2008-06-15", "--until", "2010")
    assert pictures() == ["2008", "2009", "2010", "undated12", "undated13"]
    assert "Only photos taken since 2008-06-15 until 2010; of those used, 2 have no date." in done.out
    assert "2011.jpg: taken on 2011-06-15, after 2010 (--until)" in done.out and "photos span" not in done.out
    record = json.loads(Path("v/organized/alice/person.json").read_text())
    assert (record["cutting"]["since"], record["cutting"]["until"]) == ("2008-06-15", "2010")
    again = vault(capsys, "prep", "alice", "--json").data
    assert (len(again["pictures"]), again["undated"], again["written"]) == (5, 2, 0)
    vault(capsys, "prep", "alice", "--since", "any")
    assert pictures()[:2] == ["2004", "2005"] and "2011" not in pictures()
    assert vault(capsys, "prep", "alice", "--since", "2012").code == 2, "until 2010, as before"
    everything = vault(capsys, "prep", "alice", "--since", "any", "--until", "any")
    assert len(pictures()) == 14 and "Only photos" not in everything.out


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--since", "last year"), "argument --since: expected YYYY, YYYY-MM, YYYY-MM-DD or any, not 'last year'"),
        (("--until", "2015-02-30"), "argument --until: expected"),
        (("--since", "2016", "--until", "2015-06"), "Nothing lies between --since 2016 and --until 2015-06"),
    ],
)
def test_dates_that_cannot_be_are_told_before_the_scan(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    flags: tuple[str, ...],
    words: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    fake_photos(tmp_path / "photos", 3)
    said = vault(capsys, "run", "photos", "--person", "alice", "--models-dir", "fake", *flags)
    assert said.code == 2 and words in said.err and not Path("v").exists()


def test_photos_are_chosen_by_hand_through_scans_and_taken_back(
    album: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    vault(capsys, "prep", "alice", "--size", 256, "--min-face", 64)
    said = vault(capsys, "exclude", "alice", "photos/2005.jpg", "v/organized/alice/2006.png")
    assert "2 photos are left out by hand from now on (p001 (alice)). To take it back: twinloop vault undo" in said.out
    assert "The training set is older than that. Next: twinloop vault prep p001 --vault v" in said.out
    assert "alice: 2 photos were chosen otherwise by hand since it was prepared" in vault(capsys, "status").out
    assert vault(capsys, "exclude", "alice", "2005.jpg").code == 2
    Path("photos/elsewhere").mkdir()
    Path("photos/2005.jpg").rename("photos/elsewhere/renamed.jpg")
    vault(capsys, "scan")
    vault(capsys, "cluster")
    done = vault(capsys, "prep", "alice", "--json")
    assert "2005" not in pictures() and "renamed" not in pictures() and "2006" not in pictures()
    assert len(done.data["by_hand"]["left_out"]) == 2 and done.data["by_hand"]["taken_in"] == []
    assert "otherwise" not in vault(capsys, "status").out
    told = vault(capsys, "prep", "alice", "--min-face", 250)
    assert told.code == 2 and "left out by hand" in told.err
    assert vault(capsys, "include", "alice", "2004.jpg", "renamed.jpg", "--json").data["behind"] == 2
    told = vault(capsys, "prep", "alice", "--min-face", 250)
    assert pictures() == ["2004", "renamed"] and "Chosen by hand: 2 taken in, 1 left out" in told.out
    vault(capsys, "include", "alice", "2004.jpg", "renamed.jpg", "--clear")
    vault(capsys, "undo")
    vault(capsys, "undo")
    assert "2 photos left out of the training set of alice" in vault(capsys, "history").out
    vault(capsys, "prep", "alice", "--min-face", 64)
    assert "2004" in pictures() and "renamed" not in pictures()


def test_what_is_taken_in_and_stays_out_all_the_same_is_told(album: Path, capsys: pytest.CaptureFixture[str]) -> None:
    vault(capsys, "prep", "alice", "--size", 256, "--since", "2010")
    said = vault(capsys, "include", "alice", "2004.jpg")
    assert said.code == 0
    assert "2004.jpg: taken on 2004-06-15, before 2010 (--since)" in said.out and "Left out all the same" in said.out
    Path("photos/nobody.jpg").write_bytes(Path("photos/2005.jpg").read_bytes())
    other = vault(capsys, "include", "alice", "photos/nobody.jpg")
    assert other.code == 2 and "not a photo of this vault" in other.err
