"""Cluster and the people commands as people type them; and on photos that nobody here took."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from tests.functional.console import Said, twinloop
from tests.helpers.fake_photos import fake_photo

FIXTURES = Path(__file__).parents[2] / ".." / "shared" / "fixtures"


@pytest.fixture(scope="module")
def scanned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A vault with 5 photos of one fake person, 4 of another and one of a third."""
    home = tmp_path_factory.mktemp("people")
    for person, count in ((1, 5), (2, 4), (3, 1)):
        for number in range(count):
            path = home / "photos" / f"{'xabc'[person]}{number}.png"
            path.parent.mkdir(exist_ok=True)
            fake_photo(path, seed=10 * person + number, size=256, person=person)
    return home


@pytest.fixture
def home(scanned: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Path:
    monkeypatch.chdir(tmp_path)
    assert vault(capsys, "scan", scanned / "photos", "--models-dir", "fake", "--workers", "0").code == 0
    return scanned


def vault(capsys: pytest.CaptureFixture[str], *argv: object) -> Said:
    return twinloop(capsys, "vault", *argv, "--vault", "v")


def test_from_scan_to_named_people(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "twinloop vault cluster" in vault(capsys, "clusters").err
    done = vault(capsys, "cluster")
    assert done.code == 0 and "2 people with 9 faces; 1 face of strangers" in done.out and "New: p001, p002" in done.out
    assert "Nothing changed." in vault(capsys, "cluster").out
    assert vault(capsys, "name", "p001", "alice").out == (
        "p001 is called alice. To take it back: twinloop vault undo --vault v\n"
    )
    listed = vault(capsys, "clusters", "--json").data
    assert [(item["id"], item["name"], len(item["faces"])) for item in listed] == [
        ("p001", "alice", 5),
        ("p002", None, 4),
        (None, None, 1),
    ]
    face = listed[0]["faces"][0]
    x0, y0, x1, y1 = face["box"]
    assert (
        set(face) == {"path", "box", "confidence", "sha256"}
        and 0 <= x0 < x1 <= 256
        and 0 <= y0 < y1 <= 256
        and Path(face["path"]).parent == home / "photos"
    )
    table = vault(capsys, "clusters").out.splitlines()
    assert (
        table[0].split() == ["id", "name", "faces", "for", "example"]
        and table[1].split()[:3] == ["p001", "alice", "5"]
        and table[3].split()[1] == "strangers"
    )


def test_corrections_and_their_history(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    vault(capsys, "cluster")
    assert "1 face is not p001." in vault(capsys, "not-this-person", "p001", home / "photos/a0.png").out
    assert "1 face of p001 is now p003." in vault(capsys, "split", "p001", "a1.png").out
    assert "p003 now belongs to p002" in vault(capsys, "merge", "p002", "p003").out
    assert "1 face belongs to p001." in vault(capsys, "assign", "p001", "c0.png").out
    assert "p002 is hidden" in vault(capsys, "hide", "p002").out and "p002 " not in vault(capsys, "clusters").out
    hidden = vault(capsys, "clusters", "--json").data[1]
    assert (hidden["id"], hidden["hidden"], len(hidden["faces"])) == ("p002", True, 5)
    assert "Taken back: p002 is hidden" in vault(capsys, "undo").out
    lines = vault(capsys, "history").out.splitlines()
    assert len(lines) == 5 and lines[-1].endswith("p002 is hidden  (undone)") and "p003 merged into p002" in lines[2]
    assert [item["undone"] for item in vault(capsys, "history", "--json").data] == [False] * 4 + [True]
    assert "Nothing changed." in vault(capsys, "cluster").out


def test_mistakes_are_one_clear_line(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    vault(capsys, "cluster")
    wrong = vault(capsys, "name", "p009", "eve")
    assert wrong.code == 2 and wrong.err == "error: Nobody is called 'p009'. Known: p001, p002.\n"
    assert (
        vault(capsys, "cluster", "--limit", "7").code == 2
        and "from 0 to 1" in capsys.readouterr().err + vault(capsys, "cluster", "--limit", "7").err
    )
    assert "no decision to undo" in vault(capsys, "undo").err


def test_contact_sheets(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    vault(capsys, "cluster")
    vault(capsys, "name", "p001", "alice")
    assert "3 contact sheets in sheets" in vault(capsys, "clusters", "--sheets", "sheets").out
    assert sorted(path.name for path in Path("sheets").iterdir()) == ["p001-alice.jpg", "p002.jpg", "strangers.jpg"]
    with Image.open("sheets/p001-alice.jpg") as sheet:
        assert sheet.size == (5 * 96, 96) and not sheet.getexif()


@pytest.mark.parametrize("place", ["photos", "photos/sheets", "."])
def test_contact_sheets_stay_apart_from_the_photos(home: Path, capsys: pytest.CaptureFixture[str], place: str) -> None:
    vault(capsys, "cluster")
    before = sorted(home.rglob("*"))
    said = vault(capsys, "clusters", "--sheets", home / place)
    assert said.code == 2 and f"--sheets {home / place} " in said.err
    assert sorted(home.rglob("*")) == before


def test_a_contact_sheet_never_takes_the_place_of_a_photo(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    vault(capsys, "cluster")
    assert vault(capsys, "clusters", "--sheets", "sheets").code == 0
    drawn = Path("sheets/p001.jpg").stat().st_mtime_ns
    assert vault(capsys, "clusters", "--sheets", "sheets").code == 0  # over its own
    assert Path("sheets/p001.jpg").stat().st_mtime_ns > drawn
    with Image.new("RGB", (8, 8), "red") as photo:
        photo.save("sheets/p002.jpg")
    Path("sheets/p001.jpg").unlink()
    before = Path("sheets/p002.jpg").read_bytes()
    said = vault(capsys, "clusters", "--sheets", "sheets")
    assert said.code == 2 and "sheets/p002.jpg was there before and is no contact sheet" in said.err
    assert Path("sheets/p002.jpg").read_bytes() == before and not Path("sheets/p001.jpg").exists()
    Path("sheets/p002.jpg").write_bytes(b"no picture at all")
    assert vault(capsys, "clusters", "--sheets", "sheets").code == 2


@pytest.mark.skipif(
    not FIXTURES.is_dir(), reason="shared fixtures are not on this machine (looked for ../shared/fixtures)"
)
def test_real_people_among_real_strangers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Eight people of LFW with six photos each, twenty strangers, and the two look-alikes of Caltech."""
    monkeypatch.chdir(tmp_path)
    names = link_photos(tmp_path / "photos")
    assert vault(capsys, "scan", "photos", "--models-dir", FIXTURES / "weights", "--workers", "0").code == 0
    assert vault(capsys, "cluster").code == 0
    person_of: dict[str, str | None] = {}
    for item in vault(capsys, "clusters", "--json").data:  # people before strangers, who may be in the background
        for face in item["faces"]:
            person_of.setdefault(face["path"], item["id"])
    precision, recall = pairwise(names, {path: person_of.get(path) for path in names})
    assert precision >= 0.99 and recall >= 0.97, (precision, recall)
    assert not {person_of[path] for path in names if names[path] == "person_04"} & {
        person_of[path] for path in names if names[path] == "person_12"
    }


def link_photos(folder: Path) -> dict[str, str]:
    """Links to photos -> who is on them."""
    lfw, caltech = FIXTURES / "photos" / "lfw", FIXTURES / "photos" / "caltech_faces_easy"
    sets = {person.name: sorted(person.glob("*.jpg")) for person in sorted(lfw.iterdir()) if person.is_dir()}
    often = [name for name, photos in sets.items() if len(photos) >= 15][:8]
    once = [name for name, photos in sets.items() if len(photos) == 1][:20]
    identities = json.loads((caltech / "derived_identities.json").read_text())["identities"]
    chosen = [(name, path) for name in (*often, *once) for path in sets[name][:6]]
    chosen += [(name, caltech / file) for name in ("person_04", "person_12") for file in identities[name][:6]]
    names = {}
    for name, path in chosen:
        link = folder / f"{name}-{path.name}"
        link.parent.mkdir(exist_ok=True)
        link.symlink_to(path.resolve())
        names[str(link)] = name
    return names


def pairwise(truth: dict[str, str], found: dict[str, str | None]) -> tuple[float, float]:
    """Precision and recall over pairs of photos."""
    paths = sorted(truth)
    pairs = [(a, b) for place, a in enumerate(paths) for b in paths[place + 1 :]]
    same = {(a, b) for a, b in pairs if truth[a] == truth[b]}
    told = {(a, b) for a, b in pairs if found[a] is not None and found[a] == found[b]}
    return len(same & told) / len(told), len(same & told) / len(same)
