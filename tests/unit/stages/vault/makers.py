"""A vault filled straight through its catalogue, without a scan: what the later stages find there."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.helpers.fake_photos import fake_photo
from tests.unit.things import digest, face, observation
from twinloop.adapters.fakes import fake_pack
from twinloop.domain.crops import Window
from twinloop.domain.faces import Box, Face
from twinloop.domain.vault import FaceKey, Label, Person, VaultFace, VaultPhoto
from twinloop.facets import BUILTIN
from twinloop.stages.observe import Observer
from twinloop.stages.pixels import face_measures, perceptual_hash
from twinloop.stages.vault.copies.of_person import Copies
from twinloop.stages.vault.dataset.caption import Captioned, Captioning, CaptionOptions, Writer
from twinloop.stages.vault.dataset.choose import choose
from twinloop.stages.vault.dataset.cut import Cut, CutOptions
from twinloop.stages.vault.opened import OpenVault, ScanRecord
from twinloop.stages.vault.opening import open_vault
from twinloop.stages.vault.people.record import Found, people_of, write_people
from twinloop.store.pictures.images import load_image
from twinloop.store.vault.catalog import VaultCatalog
from twinloop.store.vault.files import FileEntry
from twinloop.store.vault.folder import Vault

FINGERPRINT = "test"
FAKE = Observer(fake_pack(), BUILTIN)


def fake_photos(folder: Path, count: int = 10, size: int = 256) -> list[Path]:
    """Fake photos of one person: mostly frontal and smiling, two of seven turned."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"IMG_{number:04d}.png" for number in range(count)]
    for number, path in enumerate(paths):
        fake_photo(
            path,
            seed=number,
            size=size,
            yaw=(0.0, 5.0, 30.0, -8.0, 0.0, -60.0, 3.0)[number % 7],
            expression=("smile", "smile", "neutral")[number % 3],
            setting=("indoor", "outdoor")[number % 2],
            framing="portrait",
            hands=int(number % 4 == 0),
        )
    return paths


def photo_of(path: Path, faces: Sequence[Face], taken: float | None = None) -> VaultPhoto:
    """What a scan would know of a file with these faces."""
    image = load_image(path)
    height, width = image.pixels.shape[:2]
    found = tuple(
        VaultFace(face, 0.9, {"sharpness": face_measures(image.pixels, face.box).get("face_sharpness", 0.0)})
        for face in faces
    )
    return VaultPhoto(
        image.sha256,
        (os.path.abspath(path),),
        width,
        height,
        perceptual_hash(image.pixels),
        taken,
        image.origin,
        {},
        found,
    )


def fill(root: Path, photos: Sequence[VaultPhoto], folder: str = "photos") -> Vault:
    """Write a vault with these photos, as scanned."""
    vault = Vault(root)
    ScanRecord(folders=(os.path.abspath(folder),), models_dir="fake", fingerprint=FINGERPRINT).write(vault)
    with VaultCatalog(vault.catalog) as catalog:
        for photo in photos:
            for path in photo.paths:
                stat = Path(path).stat()
                catalog.files.put(FileEntry(Path(path), stat.st_size, stat.st_mtime_ns, photo.sha256))
            catalog.put_photo(photo, FINGERPRINT, b"")
    return vault


def person_in(
    photos: Sequence[VaultPhoto], numbers: Mapping[str, int] | None = None, id: str = "p001", name: str | None = "alice"
) -> Person:
    """The person with one face of every photo: the first, or that of ``numbers`` (by sha256)."""
    keys: list[FaceKey] = [photo.key((numbers or {}).get(photo.sha256, 0)) for photo in photos]
    return Person(id, name, tuple(keys))


def clustered(groups: Mapping[str, tuple[FaceKey, ...]], fingerprint: str = FINGERPRINT) -> Found:
    """These groups as clustering found them, with nobody else there."""
    return Found(
        groups=groups,
        strangers=(),
        last=len(groups),
        fingerprint=fingerprint,
        limit=0.5,
        chosen=None,
        min_faces=3,
        inputs="test",
    )


@contextmanager
def fake_vault(home: Path, count: int = 10, size: int = 256) -> Iterator[tuple[OpenVault, Person]]:
    """An open vault with ``count`` fake photos of one person."""
    photos = [
        photo_of(path, FAKE.observe(load_image(path)).faces) for path in fake_photos(home / "photos", count, size)
    ]
    fill(home / "vault", photos)
    with open_vault(home / "vault") as opened:
        person = person_in(photos)
        write_people(opened.vault, people_of(clustered({person.id: person.faces}, opened.fingerprint), ()))
        yield opened, person


def work_on(
    opened: OpenVault,
    person: Person,
    label: Label,
    size: int = 256,
    copies: Copies | None = None,
    options: CaptionOptions | None = None,
    writer: Writer | None = None,
) -> Captioning:
    """All that is usable of a person, to be captioned by the fake detectors unless something else is asked for."""
    choice = choose(opened, person, copies or Copies(), CutOptions(size=size))
    return Captioning(person, label, choice, options or CaptionOptions(), writer or Writer(FAKE))


def captioned(name: object, yaw: float | None, taken: float | None = None, tall: float = 300) -> Captioned:
    """A captioned picture of a face of that yaw (None = not measured) and height, in a vault that is nowhere."""
    box = Box(100, 100, 100 + 0.75 * tall, 100 + tall)
    seen = observation(name, faces=[face(yaw, box=box)], measures={"face_share": 0.4}, measured={"faces", "pose"})
    photo = VaultPhoto(
        digest(name),
        (f"/photos/{name}.jpg",),
        1024,
        1024,
        "0" * 16,
        taken,
        "real",
        {},
        (VaultFace(seen.faces[0], 0.9),),
    )
    return Captioned(Cut(photo, 0, Window((0, 0, 1024, 1024), (1024, 1024), True, 0)), None, seen, "ohwx", "template")
