"""label, caption and prep as people type them, on a scanned and clustered folder."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.functional.console import Said, twinloop
from tests.unit.stages.vault.makers import fake_photos


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Path:
    """A vault with one person of 12 photos."""
    monkeypatch.chdir(tmp_path)
    fake_photos(tmp_path / "photos", 12)
    assert vault(capsys, "scan", "photos", "--models-dir", "fake").code == 0
    assert vault(capsys, "cluster").code == 0
    return tmp_path


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
    assert said.code == 2 and "can be read" in said.err
    assert len(list(Path("set").glob("*.png"))) == 8
