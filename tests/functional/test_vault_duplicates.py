"""Duplicates through the commands people type, on pictures that nobody here took.

Skipped, loudly, where the fixtures are not.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.functional.console import ROOT, twinloop
from tests.unit.stages.vault.copies.makers import scanned
from tests.unit.things import Recording
from twinloop.stages.vault.copies.dedup import DedupOptions, dedup
from twinloop.stages.vault.opening import open_vault

FIXTURES = (ROOT / ".." / "shared" / "fixtures").resolve()
COPIES = FIXTURES / "images" / "imagededup"

pytestmark = pytest.mark.skipif(
    not FIXTURES.is_dir(), reason="shared fixtures are not on this machine (looked for ../shared/fixtures)"
)


Run = Callable[..., Any]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """``twinloop vault ... --json`` on one vault; ``refused`` = an error is expected, and returned."""

    def command(*words: object, refused: bool = False) -> Any:
        said = twinloop(capsys, "vault", *words, "--vault", tmp_path / "vault", "--json")
        assert said.code == (2 if refused else 0), said.err
        return said.err if refused else json.loads(said.out)

    return command


def test_every_group_of_the_imagededup_pictures_and_no_other(run: Run) -> None:
    """What belongs together is in the names: ``ukbench00120_resize.jpg`` is a copy of ``ukbench00120.jpg``."""
    run("scan", COPIES, "--models-dir", "fake")
    summary = run("dedup")
    assert summary["groups"] == {"exact": 2, "near": 1, "burst": 0}
    groups = run("duplicates")
    for group in groups:
        assert [file["kept"] for file in group["files"]] == [True] + [False] * (len(group["files"]) - 1)
        assert len({Path(file["path"]).stem.split("_")[0] for file in group["files"]}) == 1
    exact = {
        frozenset(Path(file["path"]).relative_to(COPIES).as_posix() for file in group["files"])
        for group in groups
        if group["kind"] == "exact"
    }
    assert exact == {
        frozenset(f"{folder}/ukbench{name}.jpg" for folder in ("base_images", "mixed_images"))
        for name in ("00120", "09268")
    }
    near = next(group for group in groups if group["kind"] == "near")
    assert {Path(file["path"]).name for file in near["files"]} == {
        f"ukbench00120{change}.jpg" for change in ("", "_hflip", "_resize", "_rotation")
    }
    assert Path(near["files"][0]["path"]).name == "ukbench00120.jpg"


def test_keep_and_distinct_as_commands(run: Run) -> None:
    run("scan", COPIES / "mixed_images", "--models-dir", "fake")
    run("dedup", "--distance", "8")
    mirrored = COPIES / "mixed_images" / "ukbench00120_hflip.jpg"
    assert run("keep", mirrored)["dropped"] == 2
    files = [Path(file["path"]).name for file in run("duplicates")[0]["files"]]
    assert files[0] == mirrored.name
    assert "ukbench00120_resize.jpg" not in files, "squeezed and mirrored at once: not like the one that is kept now"
    run("distinct", mirrored, COPIES / "mixed_images" / "ukbench00120.jpg")
    together = [{Path(file["path"]).name for file in group["files"]} for group in run("duplicates")]
    assert {"ukbench00120.jpg", "ukbench00120_resize.jpg"} in together
    assert not any({"ukbench00120.jpg", mirrored.name} <= names for names in together)
    assert "not a photo of this vault" in run("keep", COPIES / "SOURCES.md", refused=True)


@pytest.mark.parametrize("name", ["lfw", "caltech_faces_easy"])
def test_no_near_group_joins_two_people(tmp_path: Path, name: str) -> None:
    """Faces cut alike, and nothing known of who is who: hashes alone bring dozens of people together here."""
    folder = FIXTURES / "photos" / name
    scanned(tmp_path, sorted(folder.rglob("*.jpg")))
    with open_vault(tmp_path) as opened:
        found = dedup(opened, DedupOptions(distance=12, burst_seconds=0), Recording())
    people = [{person_of(folder, Path(file.path)) for file in group.files} for group in found.groups]
    assert all(len(group) == 1 for group in people)
    assert found.photos - found.kept == (2 if name == "lfw" else 0)


def person_of(folder: Path, path: Path) -> str:
    if path.parent != folder:
        return path.parent.name
    identities = json.loads((folder / "derived_identities.json").read_text())["identities"]
    return next(person for person, files in identities.items() if path.name in files)


def test_a_sideways_copy_of_a_photo_does_not_bring_its_other_copies_into_the_training_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Twenty photos of one man; one of them also on its side (the larger file, nobody's face) and resaved."""
    monkeypatch.chdir(tmp_path)
    caltech, photos = FIXTURES / "photos" / "caltech_faces_easy", tmp_path / "photos"
    identities = json.loads((caltech / "derived_identities.json").read_text())["identities"]
    files = max(identities.values(), key=len)[:20]
    photos.mkdir()
    for file in files:
        (photos / Path(file).name).symlink_to(caltech / file)
    with Image.open(caltech / files[0]) as first:
        first.transpose(Image.Transpose.ROTATE_90).save(photos / "sideways.jpg", quality=97)
        first.save(photos / "again.jpg", quality=80)
    models = ("--models-dir", FIXTURES / "weights", "--workers", "0")
    said = twinloop(capsys, "vault", "run", photos, "--person", "bob", "--consent", "fictional", *models, "--json")
    assert said.code == 0, said.err
    done = json.loads(said.out)
    assert (done["dedup"]["photos"], done["dedup"]["kept"], len(done["prep"]["pictures"])) == (22, 20, 20)
    chosen = twinloop(capsys, "vault", "keep", photos / "sideways.jpg")
    assert chosen.code == 0, chosen.err
    assert len(json.loads(twinloop(capsys, "vault", "prep", "bob", "--json").out)["pictures"]) == 20
