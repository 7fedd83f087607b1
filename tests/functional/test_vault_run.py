"""``twinloop vault run``: a messy folder in, one person's training set out; run twice, or killed at any moment, it
comes to the same.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
import unicodedata
from pathlib import Path

import pytest
from PIL import Image

from tests.functional.console import ROOT, twinloop
from tests.helpers.fake_photos import fake_photo

FIXTURES = (ROOT / ".." / "shared" / "fixtures").resolve()
needs_fixtures = pytest.mark.skipif(
    not FIXTURES.is_dir(), reason="shared fixtures are not on this machine (looked for ../shared/fixtures)"
)
LFW = FIXTURES / "photos" / "lfw"
PEOPLE = (("Alejandro_Toledo", 14), ("Serena_Williams", 9), ("Silvio_Berlusconi", 6))
STRANGERS = 10
SHARED = ("catalog.sqlite", "crops.sqlite", "likeness.sqlite", ".lock")
"""Caches, whose bytes depend on their history."""


def mixed(folder: Path) -> Path:
    """Three people, strangers, copies, and files that are no pictures."""
    folder.mkdir()
    for name, count in PEOPLE:
        for photo in sorted((LFW / name).glob("*.jpg"))[:count]:
            shutil.copy(photo, folder / photo.name)
    alone = [path for path in sorted(LFW.iterdir()) if path.is_dir() and len(list(path.glob("*.jpg"))) == 1]
    for person in alone[:STRANGERS]:
        shutil.copy(next(person.glob("*.jpg")), folder)
    first, second, third = sorted(folder.glob("Alejandro*"))[:3]
    shutil.copy(first, folder / "copy of the first.jpg")
    with Image.open(second) as image:
        image.resize((200, 200)).save(folder / "small copy of the second.jpg", quality=70)
    (folder / "broken.jpg").write_bytes(third.read_bytes()[:3000])
    (folder / "page.jpg").write_text("<html>not found</html>")
    (folder / "empty.png").write_bytes(b"")
    return folder


def tree(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.startswith(SHARED)
    }


@needs_fixtures
def test_three_people_duplicates_corrupt_files_and_strangers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    photos = mixed(tmp_path / "photos")
    before = tree(photos)
    argv = (
        "vault",
        "run",
        photos,
        "--person",
        "alex",
        "--class",
        "man",
        "--models-dir",
        FIXTURES / "weights",
        "--workers",
        0,
        "--json",
    )
    said = twinloop(capsys, *argv)
    assert said.code == 0, said.err
    assert tree(photos) == before, "originals are only read"
    assert said.data["cluster"]["people"] == 3
    assert {Path(item["path"]).name for item in said.data["scan"]["skipped"]} == {"broken.jpg", "page.jpg", "empty.png"}
    folder = tmp_path / "outputs/facevault/organized/alex"
    pictures = sorted(path.stem for path in folder.glob("*.png"))
    assert len(pictures) >= 12 and all(stem.startswith("Alejandro") for stem in pictures), pictures
    assert all((folder / f"{stem}.txt").read_text().startswith("ohwx alex") for stem in pictures)
    made = tree(tmp_path / "outputs/facevault")
    again = twinloop(capsys, *argv)
    assert again.code == 0 and tree(tmp_path / "outputs/facevault") == made, "run twice: no change"
    assert again.data["prep"]["written"] == 0 and again.data["scan"]["measured"] == 0


@needs_fixtures
def test_a_reference_photo_says_who_is_meant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    photos = mixed(tmp_path / "photos")
    serena = sorted(photos.glob("Serena*"))[0]
    argv = ("vault", "run", photos, "--models-dir", FIXTURES / "weights", "--workers", 0)
    said = twinloop(capsys, *argv, "--person", "serena", "--reference", serena)
    assert said.code == 0, said.err
    pictures = list((tmp_path / "outputs/facevault/organized/serena").glob("*.png"))
    assert pictures and all(path.stem.startswith("Serena") for path in pictures)
    stranger = twinloop(capsys, *argv, "--person", "x", "--reference", photos / "page.jpg")
    assert stranger.code == 2 and "shows nobody who is known" in stranger.err
    taken = twinloop(capsys, *argv, "--person", "other", "--reference", serena)
    assert taken.code == 2 and "who is called serena" in taken.err


def write_faces(folder: Path) -> None:
    """Fake photos of one person, large enough to be told apart."""
    folder.mkdir(parents=True)
    for number in range(14):
        fake_photo(
            folder / f"IMG_{number:04d}.png",
            seed=number,
            size=256,
            yaw=(0.0, 5.0, 30.0, -8.0)[number % 4],
            expression=("smile", "neutral")[number % 2],
        )


@pytest.mark.parametrize("name", ["../alice", "a/b", ".hidden", "a\u200bb", "", "x" * 121])
def test_a_name_that_cannot_be_is_refused_before_anything_is_done(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_faces(tmp_path / "photos")
    said = twinloop(capsys, "vault", "run", "photos", "--person", name, "--models-dir", "fake", "--workers", 0)
    assert said.code == 2 and "name of a folder" in said.err and "Scan" not in said.out
    assert [path.name for path in tmp_path.iterdir()] == ["photos"]


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (("--trigger", "ohwx [ana]"), "the trigger holds"),
        (("--class", "[]"), "the class word holds"),
        (("--on", "yesterday"), "a kind of consent"),
    ],
)
def test_a_label_that_cannot_be_is_refused_before_anything_is_done(
    argv: tuple[str, str],
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    write_faces(tmp_path / "photos")
    said = twinloop(capsys, "vault", "run", "photos", "--person", "ana", "--models-dir", "fake", *argv)
    assert said.code == 2 and words in said.err and "Scan" not in said.out
    assert [path.name for path in tmp_path.iterdir()] == ["photos"]


@pytest.mark.parametrize("name", ["अनिल", "José", "ශ්‍රියානි"])
def test_a_name_of_any_script_composed_or_not_is_one_person(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_faces(tmp_path / "photos")
    for form in ("NFD", "NFC"):
        called = unicodedata.normalize(form, name)
        said = twinloop(capsys, "vault", "run", "photos", "--person", called, "--models-dir", "fake", "--workers", 0)
        assert said.code == 0, said.err
    (folder,) = (tmp_path / "outputs/facevault/organized").iterdir()
    composed = unicodedata.normalize("NFC", name)
    assert folder.name == composed and len(list(folder.glob("*.png"))) == 14
    assert (folder / "IMG_0000.txt").read_text(encoding="utf-8").startswith(f"ohwx {composed}")


def start(home: Path) -> subprocess.Popen[bytes]:
    argv = ["vault", "run", "photos", "--person", "ana", "--models-dir", "fake", "--workers", "0", "--vault", "vault"]
    environment = {**os.environ, "SOURCE_DATE_EPOCH": "1700000000", "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [sys.executable, "-m", "twinloop", *argv],
        cwd=home,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


@pytest.mark.slow
def test_killed_at_any_moment_it_comes_to_the_same(tmp_path: Path) -> None:
    write_faces(tmp_path / "photos")
    began = time.monotonic()
    done = start(tmp_path)
    output, _ = done.communicate(timeout=120)
    took = time.monotonic() - began
    assert done.returncode == 0, output.decode()
    calm = tree(tmp_path / "vault")
    shutil.rmtree(tmp_path / "vault")
    for share in (0.35, 0.5, 0.6, 0.7, 0.8, 0.9):
        victim = start(tmp_path)
        time.sleep(share * took)
        victim.send_signal(signal.SIGKILL)
        victim.wait()
    last = start(tmp_path)
    output, _ = last.communicate(timeout=120)
    assert last.returncode == 0, output.decode()
    assert tree(tmp_path / "vault") == calm
