"""Small vaults for tests, made by the commands themselves: three people, a stranger, a copy of one picture."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from PIL import Image

from tests.helpers.fake_photos import fake_photo
from twinloop.cli.app import main
from twinloop.stages.vault.opening import open_vault
from twinloop.stages.vault.people.photo_names import VERSION
from twinloop.stages.vault.people.record import find_person, read_people
from twinloop.store.pictures.face_regions import PhotoName
from twinloop.store.vault.photo_names import PhotoNames

PEOPLE = ((15, 10), (3, 6), (7, 4))
"""(number of the fake person, photos)."""
YAWS = (0.0, 5.0, 30.0, -8.0, 0.0, -60.0, 3.0)


def write_photos(folder: Path) -> None:
    """Photos of `PEOPLE`, one of a stranger, and a JPEG copy of the first."""
    folder.mkdir(parents=True)
    number = 0
    for person, count in (*PEOPLE, (11, 1)):
        for place in range(count):
            fake_photo(
                folder / f"IMG_{number:04d}.png", seed=number, size=256, person=person, yaw=YAWS[place % 7],
                expression=("smile", "smile", "neutral")[place % 3], setting=("indoor", "outdoor")[place % 2],
            )  # fmt: skip
            number += 1
    with Image.open(folder / "IMG_0000.png") as image:
        image.save(folder / "copy.jpg", quality=95)


def command(*argv: object) -> None:
    """``twinloop vault ARGV`` in the working directory."""
    code = main(["vault", *map(str, argv)])
    assert code == 0, (argv, code)


def make(root: Path, *, prepared: bool = True) -> Path:
    """A working directory ``root/home`` with a vault of the photos in ``root/photos``; the largest person is prepared
    as ``ana``.
    """
    home = root / "home"
    home.mkdir()
    write_photos(root / "photos")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        command("scan", root / "photos", "--models-dir", "fake", "--workers", 0)
        command("cluster")
        command("dedup")
        if prepared:
            command(
                "label", "p001", "--trigger", "ohwx ana", "--class", "woman", "--name", "ana", "--consent", "fictional"
            )
            command("prep", "ana")
    return home


def call_in_photos(home: Path, person: str, name: str) -> None:
    """Have photo programs call all faces of a person so; nobody gets the name."""
    with open_vault(home / "outputs/facevault") as opened:
        names = PhotoNames(opened.catalog)
        names.make()
        for key in find_person(read_people(opened.vault), person).faces:
            names.put(key.sha256.encode(), key.sha256, VERSION, [PhotoName(name, key.box)])
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        command("cluster")


def copied(home: Path, to: Path) -> Path:
    """The same vault in another working directory; the photos stay where they are."""
    shutil.copytree(home, to)
    return to
