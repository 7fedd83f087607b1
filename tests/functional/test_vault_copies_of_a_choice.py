"""What was said of a photo holds for its copies: of those that were scanned first and of better ones that came later;
and what was cut from a photo stays in the training set when the photo goes.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from tests.functional.console import Said, twinloop
from tests.helpers.standing import Standing
from tests.unit.stages.vault.makers import fake_photos
from twinloop.domain.faces import Box
from twinloop.stages.vault.opened import ScanRecord
from twinloop.store.atomic import read_json
from twinloop.store.vault.catalog import VaultCatalog
from twinloop.store.vault.folder import Vault

SET = Path("v/organized/alice")


def vault(capsys: pytest.CaptureFixture[str], *argv: object) -> Said:
    said = twinloop(capsys, "vault", *argv, "--vault", "v")
    assert said.code == 0, (argv, said.err)
    return said


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Standing:
    return Standing(tmp_path_factory.mktemp("standing"))


@pytest.fixture
def home(standing: Standing, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Path:
    """JPEGs of 12 photos, scanned and prepared as alice; the originals lie elsewhere."""

    def make() -> None:
        Path("phone").mkdir()
        for path in fake_photos(Path("camera"), 12):
            with Image.open(path) as image:
                image.save(f"phone/{path.stem}.jpg", quality=95)
        scan(capsys, "phone")
        vault(capsys, "label", "p001", "--name", "alice", "--trigger", "ohwx alice", "--class", "woman")
        vault(capsys, "prep", "alice", "--size", 256)

    monkeypatch.chdir(standing.again(make))
    return Path.cwd()


def scan(capsys: pytest.CaptureFixture[str], *folders: str) -> None:
    vault(capsys, "scan", *folders, "--models-dir", "fake", "--workers", 0)
    vault(capsys, "cluster")
    vault(capsys, "dedup")


def sources(data: dict[str, object] | None = None) -> list[str]:
    """The photos behind the training set, as folder/stem."""
    record = data or read_json(SET / "person.json")
    paths = [Path(item["source"]["path"]) for item in record["pictures"]]
    return sorted(f"{path.parent.name}/{path.stem}" for path in paths)


def captions() -> list[str]:
    """As a trainer reads them, in the order of the photos' names."""
    pictures = read_json(SET / "person.json")["pictures"]
    pictures.sort(key=lambda item: Path(item["source"]["path"]).name)
    return [(SET / item["file"]).with_suffix(".txt").read_text().strip() for item in pictures]


def test_a_picture_that_was_left_out_does_not_come_back_as_a_better_copy(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    vault(capsys, "exclude", "alice", "phone/IMG_0002.jpg")
    scan(capsys, "phone", "camera")
    told = vault(capsys, "prep", "alice")
    assert sources() == [f"camera/IMG_{n:04d}" for n in range(12) if n != 2]
    reason = "a copy of IMG_0002.jpg, which was left out by hand"
    assert f"Left out with them, as copies: {home}/camera/IMG_0002.png ({reason})" in told.out
    assert "otherwise" not in vault(capsys, "status").out
    # a word of its own wins, also that prep decides
    cleared = vault(capsys, "include", "alice", "camera/IMG_0002.png", "--clear")
    assert "Next: twinloop vault prep p001" in cleared.out
    assert "camera/IMG_0002" in sources(vault(capsys, "prep", "alice", "--json").data)
    said = vault(capsys, "exclude", "alice", "camera/IMG_0003.png")
    assert f"Left out with it: {home}/phone/IMG_0003.jpg: a copy of IMG_0003.png" in said.out
    said = vault(capsys, "exclude", "alice", "phone/IMG_0004.jpg")
    assert "Left out with it" not in said.out
    vault(capsys, "prep", "alice")
    assert sources() == [f"camera/IMG_{n:04d}" for n in range(12) if n != 3], "a worse copy was not used anyway"


def test_a_picture_that_was_taken_in_is_there_once(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    vault(capsys, "include", "alice", "phone/IMG_0002.jpg")
    scan(capsys, "phone", "camera")
    told = vault(capsys, "prep", "alice")
    assert [name for name in sources() if name.endswith("0002")] == ["phone/IMG_0002"] and len(sources()) == 12
    assert "IMG_0002.png: a copy of IMG_0002.jpg, which was taken in by hand and is used instead" in told.out
    vault(capsys, "prep", "alice", "--keep-alike")
    assert len(sources()) == 24, "who wants copies has them"


def test_captions_of_the_worse_copies_go_to_the_better_ones(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    vault(capsys, "caption", "alice", "--edit", "phone/IMG_0001.jpg", "ohwx alice at the sea")
    for number in (1, 2, 3):
        Path(f"phone/IMG_{number:04d}.txt").write_text(f"ohwx alice, number {number}")
    Path("camera/IMG_0003.txt").write_text("ohwx alice, of the original")
    scan(capsys, "phone", "camera")
    told = vault(capsys, "prep", "alice")
    assert set(sources()) == {f"camera/IMG_{n:04d}" for n in range(12)}
    assert captions()[1:4] == ["ohwx alice at the sea", "ohwx alice, number 2", "ohwx alice, of the original"]
    assert "Captions from files beside the photos: 2; 1 beside copies of the photos that are used" in told.out
    unused = f"Captions not used, because another copy of their photo is used: 1 ({home}/phone/IMG_0003.jpg)"
    assert unused in told.out and unused in vault(capsys, "caption", "alice").out
    assert read_json(SET / "person.json")["unused_captions"] == [f"{home}/phone/IMG_0003.jpg"]
    listed = vault(capsys, "caption", "alice", "--list").out
    assert "camera/IMG_0001.png (yours)\n    ohwx alice at the sea" in listed
    vault(capsys, "caption", "alice", "--edit", "camera/IMG_0001.png", "")
    vault(capsys, "prep", "alice", "--own-captions", "ignore")
    assert all(text.startswith("ohwx alice woman, ") for text in captions()), "words are taken back of the copy, too"


@pytest.mark.parametrize("layout", ["flat", "kohya", "metadata"])
def test_pictures_of_photos_that_are_gone_go_along(home: Path, capsys: pytest.CaptureFixture[str], layout: str) -> None:
    for number in (4, 5):
        Path(f"phone/IMG_{number:04d}.jpg").unlink()
    scan(capsys, "phone")
    for _ in range(2):
        told = vault(capsys, "prep", "alice")
        assert "2 pictures of photos that are no longer there are used, too" in told.out
        assert ": 12 pictures (flat)" in told.out and "Readiness: usable: 12 photos" in told.out
    vault(capsys, "caption", "alice", "--edit", str(SET / "IMG_0005.png"), "ohwx alice, my words")
    vault(capsys, "label", "alice", "--trigger", "zwx bea", "--class", "girl")
    told = vault(capsys, "prep", "alice", "--layout", layout)
    record = read_json(SET / "person.json")
    texts = {item["file"]: item["text"] for item in record["pictures"]}
    assert len(texts) == 12 and sum(item["gone"] for item in record["pictures"]) == 2
    assert {path.relative_to(SET).as_posix() for path in SET.rglob("*.png")} == set(texts), "none at its old place"
    if layout == "metadata":
        lines = [json.loads(line) for line in (SET / "metadata.jsonl").read_text().splitlines()]
        assert {line["file_name"]: line["text"] for line in lines} == texts and not list(SET.rglob("*.txt"))
    else:
        assert {name: (SET / name).with_suffix(".txt").read_text().strip() for name in texts} == texts
    edited = next(name for name in texts if name.endswith("IMG_0005.png"))
    assert texts.pop(edited) == "ohwx alice, my words" and "IMG_0005.png" in told.err, "the user's own words stay"
    assert all(text.startswith("zwx bea girl, ") and "ohwx" not in text for text in texts.values())
    assert "nothing changed" in vault(capsys, "prep", "alice").out
    picture = next(SET.rglob("IMG_0004.png"))
    said = vault(capsys, "exclude", "alice", picture)
    assert "The photo of 1 picture is no longer there" in said.out and "Next: " in said.out
    told = vault(capsys, "prep", "alice")
    assert ": 11 pictures" in told.out and "1 picture of a photo that is no longer there is used, too" in told.out
    assert not list(SET.rglob("IMG_0004.*")) and "Chosen by hand: 0 taken in, 1 left out" in told.out
    assert "otherwise" not in vault(capsys, "status").out


def test_a_copy_stands_in_for_a_kept_photo_whose_face_is_too_small(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scan(capsys, "phone", "camera")
    vault(capsys, "keep", "IMG_0002.jpg")
    with VaultCatalog(Vault(Path("v")).catalog) as catalog:
        fingerprint = ScanRecord.read(Vault(Path("v"))).fingerprint
        (kept,) = (photo for photo in catalog.photos(fingerprint) if photo.paths[0].endswith("phone/IMG_0002.jpg"))
        found = kept.faces[0].face
        lower = replace(found, box=Box(found.box.x0, found.box.y1 - 0.6 * found.box.height, found.box.x1, found.box.y1))
        catalog.put_photo(replace(kept, faces=(replace(kept.faces[0], face=lower),)), fingerprint, b"")
    told = vault(capsys, "prep", "alice", "--min-face", 80)
    assert [name for name in sources() if name.endswith("0002")] == ["camera/IMG_0002"] and len(sources()) == 12
    reason = (
        f"the face is {lower.box.height:.0f} pixels high; 80 are the least (--min-face); IMG_0002.png is used instead"
    )
    assert f"A copy stands in: {home}/phone/IMG_0002.jpg ({reason})" in told.out


def rewrite(number: int, comment: str) -> None:
    """The photo with other metadata and the same pixels, so that its content is another one."""
    path = Path(f"phone/IMG_{number:04d}.jpg")
    with Image.open(path) as image:
        image.save(path, quality="keep", comment=comment.encode())


def test_a_photo_that_was_written_anew_is_there_once(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(5, 12):
        Path(f"phone/IMG_{number:04d}.jpg").unlink()
        vault(capsys, "exclude", "alice", SET / f"IMG_{number:04d}.png")
    for comment in ("one", "two"):
        for number in (1, 2, 4):
            rewrite(number, comment)
        scan(capsys, "phone")
        told = vault(capsys, "prep", "alice")
        assert ": 5 pictures (flat)" in told.out and "Readiness: not yet: 5 photos" in told.out
        assert len(sources()) == len(list(SET.glob("*.png"))) == 5 and "no longer there is" not in told.out


@pytest.mark.parametrize("searched", [True, False])
def test_a_better_copy_that_went_is_not_there_beside_the_worse_one(
    home: Path, capsys: pytest.CaptureFixture[str], searched: bool
) -> None:
    scan(capsys, "phone", "camera")
    vault(capsys, "prep", "alice")
    assert "camera/IMG_0003" in sources()
    Path("camera/IMG_0003.png").unlink()
    if searched:
        scan(capsys, "phone", "camera")
    else:
        vault(capsys, "scan", "phone", "camera", "--models-dir", "fake", "--workers", 0)
        vault(capsys, "cluster")
    vault(capsys, "prep", "alice")
    assert "phone/IMG_0003" in sources() and len(sources()) == 12


def test_what_is_left_out_of_the_scan_is_not_used(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("phone/private").mkdir()
    Path("phone/IMG_0007.jpg").rename("phone/private/IMG_0007.jpg")
    scan(capsys, "phone")
    vault(capsys, "prep", "alice")
    assert "private/IMG_0007" in sources()
    vault(capsys, "scan", "--exclude", "IMG_0004*", "--exclude", "private", "--models-dir", "fake", "--workers", 0)
    vault(capsys, "cluster")
    Path("phone/private/IMG_0007.jpg").unlink()
    told = vault(capsys, "prep", "alice")
    assert ": 10 pictures (flat)" in told.out and "no longer there is used" not in told.out
    assert not list(SET.glob("IMG_0004.*")) and not list(SET.glob("IMG_0007.*"))


def test_photos_of_a_folder_that_was_taken_out_are_not_used(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("phone/IMG_0001.jpg").rename(home / "camera" / "phone_1.jpg")
    for path in (home / "camera").glob("*.png"):
        path.unlink()
    scan(capsys, "phone", "camera")
    vault(capsys, "prep", "alice")
    assert "camera/phone_1" in sources()
    vault(capsys, "scan", "--remove", "camera", "--models-dir", "fake", "--workers", 0)
    vault(capsys, "cluster")
    vault(capsys, "prep", "alice")
    assert "camera/phone_1" not in sources() and len(sources()) == 11


def test_a_photo_that_can_only_not_be_read_keeps_its_picture(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("phone/IMG_0004.jpg").write_bytes(Path("phone/IMG_0004.jpg").read_bytes()[:200])
    scan(capsys, "phone")
    vault(capsys, "prep", "alice")
    assert "phone/IMG_0004" in sources() and len(sources()) == 12


@pytest.mark.parametrize("layout", ["flat", "metadata"])
@pytest.mark.parametrize("there", [True, False])
def test_forgetting_somebody_reaches_pictures_in_the_set_of_another(
    home: Path, capsys: pytest.CaptureFixture[str], layout: str, there: bool
) -> None:
    vault(capsys, "prep", "alice", "--layout", layout)
    (photo,) = (one["source"]["sha256"] for one in read_json(SET / "person.json")["pictures"] if "0011" in one["file"])
    vault(capsys, "split", "alice", "phone/IMG_0010.jpg", "phone/IMG_0011.jpg")
    if not there:
        Path("phone/IMG_0011.jpg").unlink()
        scan(capsys, "phone")
    planned = vault(capsys, "forget", "p002")
    assert f"{SET}/IMG_0011.png" in planned.out and (SET / "IMG_0011.png").exists()
    vault(capsys, "forget", "p002", "--yes")
    assert {path.stem for path in SET.glob("*.png")} == {f"IMG_{number:04d}" for number in range(10)}
    assert not list(SET.glob("IMG_0011.*"))
    for record in (SET / "person.json", Path("v/captions/p001.json")):
        assert photo not in record.read_text() and "IMG_0003" in record.read_text()
    if layout == "metadata":
        assert "IMG_0011" not in (SET / "metadata.jsonl").read_text()
    told = vault(capsys, "prep", "alice")
    assert ": 10 pictures" in told.out and "Left alone" not in told.out and "Yours" not in told.out


def test_photos_on_a_disk_that_is_away_are_used_and_not_left_out(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("disk").mkdir()
    for number in range(3):
        Path(f"phone/IMG_{number:04d}.jpg").rename(f"disk/IMG_{number:04d}.jpg")
    scan(capsys, "phone", "disk")
    vault(capsys, "prep", "alice")
    Path("disk").rename("unplugged")
    flags = ("--person", "alice", "--models-dir", "fake", "--workers", 0, "--size", 192, "--json")
    told = vault(capsys, "run", *flags).data
    assert (told["account"]["used"], told["account"]["left_out"], told["prep"]["left_out"]) == (12, 0, [])
    assert len(told["prep"]["pictures"]) == 12


def test_a_training_set_elsewhere_is_named_with_the_command_that_brings_it_up_to_date(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = home / "my sets"
    vault(capsys, "prep", "alice", "--size", 256, "--output", "my sets")
    picture = next(mine.glob("*.png"))
    said = vault(capsys, "exclude", "alice", picture).out
    next_step = f"twinloop vault prep p001 --output '{mine}' --vault v"
    assert f"The training set in {mine} is older than that. Next: {next_step}\n" in said
    assert "The training set is older than that. Next: twinloop vault prep p001 --vault v\n" in said
    assert f"training set {mine}: 1 photo was chosen otherwise by hand" in vault(capsys, "status").out
    vault(capsys, "prep", "p001", "--output", mine)
    assert not picture.exists()
    again = vault(capsys, "exclude", "alice", next(mine.glob("*.png")), "--json").data
    assert again["behind"] == 2 and again["behind_outside"] == {str(mine): 1}
    assert f"  - {mine}\n" in vault(capsys, "forget", "alice").out
