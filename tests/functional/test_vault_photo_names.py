"""Names that photo programs gave: shown, found by, and taken only at the user's word."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import ExifTags, Image

from tests.functional.console import Said, twinloop
from tests.helpers import xmp
from tests.helpers.fake_photos import fake_photo

FIXTURES = Path(__file__).parents[2] / ".." / "shared" / "fixtures"
PEOPLE = ((1, "a", 5), (2, "b", 4))


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Path:
    """A vault of 5 photos of one fake person and 4 of another, told apart; no name anywhere."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    for person, letter, count in PEOPLE:
        for number in range(count):
            fake_photo(tmp_path / f"photos/{letter}{number}.png", seed=10 * person + number, size=256, person=person)
    assert vault(capsys, "scan", "photos", "--models-dir", "fake", "--workers", "0").code == 0
    assert vault(capsys, "cluster").code == 0
    return tmp_path


def vault(capsys: pytest.CaptureFixture[str], *argv: object) -> Said:
    return twinloop(capsys, "vault", *argv)


def name_faces(capsys: pytest.CaptureFixture[str], names: dict[str, str]) -> None:
    """Write sidecars with regions around the faces that were found, as digiKam does."""
    for item in vault(capsys, "clusters", "--json").data:
        for face in item["faces"]:
            path = Path(face["path"])
            if path.stem in names:
                x0, y0, x1, y1 = (value / 256 for value in face["box"])
                area = ((x0 + x1) / 2, (y0 + y1) / 2, 1.2 * (x1 - x0), 1.2 * (y1 - y0))
                body = xmp.lightroom([(names[path.stem], area)], applied=(256, 256))
                path.with_name(f"{path.name}.xmp").write_bytes(xmp.packet(body))


ANNA = {f"a{number}": "Anna Maier" for number in range(3)}


def known(capsys: pytest.CaptureFixture[str], names: dict[str, str]) -> tuple[Said, Said]:
    """A scan that finds these names, and a clustering."""
    name_faces(capsys, names)
    return vault(capsys, "scan", "--workers", "0"), vault(capsys, "cluster")


def test_names_are_shown_and_given_to_nobody(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scanned, clustered = known(capsys, ANNA)
    assert "names of people from photo programs on 3 photos" in scanned.out
    assert "names of people in .xmp and .json files beside photos are read" in scanned.out
    line = "p001 is called 'Anna Maier' in your photos (3 faces): twinloop vault name p001 'Anna Maier'"
    assert line in clustered.out and line in vault(capsys, "clusters").out
    first, second = vault(capsys, "clusters", "--json").data[:2]
    assert first["name"] is None and first["named_in_photos"] == [{"name": "Anna Maier", "faces": 3}]
    assert "named_in_photos" not in second
    recorded = json.loads(Path("outputs/facevault/people.json").read_text())
    assert recorded["people"][0]["named_in_photos"] == first["named_in_photos"] and len(recorded["named"]) == 3
    assert Path("outputs/facevault/people.json").stat().st_mode & 0o077 == 0
    assert vault(capsys, "history", "--json").data == []
    assert vault(capsys, "name", "anna maier", "Anna Maier").code == 0
    assert line not in vault(capsys, "clusters").out


def test_a_run_takes_whom_photos_call_so(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    known(capsys, {"b0": "Bea", "b1": "Bea"})
    said = vault(
        capsys, "run", "photos", "--workers", "0", "--person", "Bea", "--consent", "fictional", "--size", "128"
    )
    assert said.code == 0, said.err
    assert "Bea: p002, who is called 'Bea' in your photos (2 faces)" in said.out
    assert Path("outputs/facevault/organized/Bea").is_dir()


def test_what_does_not_fit_together_is_told(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, clustered = known(capsys, {**ANNA, "b0": "Anna Maier"})
    assert "p001, p002 have one name in your photos. If they are one person:" in clustered.out
    two = vault(capsys, "label", "Anna Maier", "--trigger", "ohwx anna")
    assert two.code == 2 and "p001 (3 faces), p002 (1 face)" in two.err and "merge p001 p002" in two.err
    assert vault(capsys, "run", "photos", "--workers", "0", "--person", "Anna Maier").code == 2
    assert vault(capsys, "name", "p002", "anna maier").code == 0
    said = vault(capsys, "clusters").out
    assert "p001 is called 'Anna Maier' in your photos (3 faces); so is p002\n" in said
    assert "p002 (anna maier), p001 have one name in your photos" in said and "vault merge p002 p001" in said
    assert "vault name" not in said
    assert vault(capsys, "hide", "p002").code == 0
    said = vault(capsys, "clusters").out
    assert "so is p002, who is hidden: twinloop vault show p002" in said and "merge" not in said
    assert vault(capsys, "undo").code == vault(capsys, "name", "p001", "alice").code == 0
    assert "have one name" not in vault(capsys, "clusters").out, "the user told them apart"
    _, clustered = known(capsys, {**ANNA, "a3": "Eve", "a4": "Eve"})
    assert "p001 (alice) may mix two people, by the names in your photos: 'Anna Maier' (3 faces), 'Eve' (2 faces)" in (
        clustered.out
    )


def test_only_a_name_that_the_user_took_leaves_the_vault(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    known(capsys, ANNA)
    assert vault(capsys, "label", "p001", "--name", "subject", "--trigger", "ohwx", "--consent", "fictional").code == 0
    assert vault(capsys, "prep", "subject", "--size", "128").code == 0
    prepared = b"".join(path.read_bytes() for path in Path("outputs/facevault/organized").rglob("*") if path.is_file())
    assert prepared and b"Maier" not in prepared


def test_forgetting_takes_the_names_along(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    known(capsys, {**ANNA, "b0": "Bea"})
    assert vault(capsys, "forget", "Anna Maier", "--yes").code == 0
    files = [path for path in Path("outputs/facevault").rglob("*") if path.is_file()]
    assert not [path for path in files if b"Maier" in path.read_bytes()]
    Path("photos/a0.png.xmp").touch()
    regions = [("ANNA MAIER", (0.1, 0.1, 0.1, 0.1)), ("Cid", (0.9, 0.9, 0.1, 0.1))]
    Path("photos/b1.png.xmp").write_bytes(xmp.packet(xmp.lightroom(regions, applied=(256, 256))))
    vault(capsys, "scan", "--workers", "0")
    clustered = vault(capsys, "cluster")
    assert b"Cid" in Path("outputs/facevault/catalog.sqlite").read_bytes()
    assert not [path for path in files if path.is_file() and b"maier" in path.read_bytes().lower()]
    assert "Maier" not in clustered.out and "called 'Bea'" in clustered.out
    assert b"Maier" not in Path("outputs/facevault/catalog.sqlite").read_bytes()


@pytest.mark.skipif(
    not FIXTURES.is_dir(), reason="shared fixtures are not on this machine (looked for ../shared/fixtures)"
)
def test_real_photos_with_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Copies of LFW photos with regions as Lightroom, Picasa and Windows write them, one of them lying on its side, and
    one with a keyword alone.
    """
    monkeypatch.chdir(tmp_path)
    Path("photos").mkdir()
    lfw = FIXTURES / "photos" / "lfw"
    often = [folder for folder in sorted(lfw.iterdir()) if folder.is_dir() and len(list(folder.glob("*.jpg"))) >= 15]
    area = (0.5, 0.5, 0.45, 0.45)
    for name, folder in zip(("Anna Maier", "Ben"), often, strict=False):
        bodies = [
            xmp.lightroom([(name, area)], applied=(250, 250)),
            xmp.picasa([(name, area)]),
            xmp.windows({name: "0.275, 0.275, 0.45, 0.45"}),
            xmp.keywords([name]),
        ]
        for number, path in enumerate(sorted(folder.glob("*.jpg"))[:6]):
            copy = Path(f"photos/{folder.name}{number}.jpg")
            data = path.read_bytes()
            if number == 0:
                with Image.open(path) as image:
                    exif = Image.Exif()
                    exif[ExifTags.Base.Orientation] = 6
                    image.transpose(Image.Transpose.ROTATE_90).save(copy, quality=95, exif=exif)
                data = copy.read_bytes()
            copy.write_bytes(xmp.in_jpeg(data, xmp.packet(bodies[number])) if number < len(bodies) else data)
    assert vault(capsys, "scan", "photos", "--models-dir", FIXTURES / "weights", "--workers", "0").code == 0
    assert vault(capsys, "cluster").code == 0
    people = [item for item in vault(capsys, "clusters", "--json").data if item["id"]]
    named = {item["named_in_photos"][0]["name"]: item for item in people if "named_in_photos" in item}
    assert set(named) == {"Anna Maier", "Ben"}
    for item in named.values():
        assert len(item["named_in_photos"]) == 1 and item["named_in_photos"][0]["faces"] >= 3
