"""Vaults whose photos are numbers only: faces as vectors around made-up people."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from twinloop.domain.faces import Box, Face, FloatArray
from twinloop.domain.vault import FaceKey, VaultFace, VaultPhoto
from twinloop.errors import TwinLoopError
from twinloop.ports import NeighbourSearch, Reporter, SilentReporter
from twinloop.stages.vault.opened import OpenVault, ScanRecord
from twinloop.stages.vault.opening import open_vault
from twinloop.stages.vault.people.cluster import Clustered, ClusterOptions, cluster
from twinloop.store.vault.catalog import VaultCatalog
from twinloop.store.vault.files import FileEntry
from twinloop.store.vault.folder import Vault
from twinloop.store.vault.listing import Listing

DIMENSIONS = 128
STRANGERS = (0.0, DIMENSIONS**-0.5)
SIZE = 100


def unit(rows: FloatArray) -> FloatArray:
    return np.asarray(rows / np.linalg.norm(rows, axis=-1, keepdims=True), np.float32)


def faces_like(person: int, count: int, likeness: float = 0.7, seed: int = 0) -> FloatArray:
    """(count, D): faces of one made-up person, of which two have a cosine of about ``likeness``."""
    centre = unit(np.random.default_rng(1000 + person).standard_normal(DIMENSIONS, np.float32))
    noise = unit(np.random.default_rng([seed, person]).standard_normal((count, DIMENSIONS), np.float32))
    return unit(centre + noise * np.float32(np.sqrt(1 / likeness - 1)))


def strangers(count: int, seed: int = 7) -> FloatArray:
    """(count, D): nobody is like anybody."""
    return unit(np.random.default_rng(seed).standard_normal((count, DIMENSIONS), np.float32))


def made_photo(name: str, vectors: Sequence[FloatArray | None], shift: float = 0.0, quality: float = 0.9) -> VaultPhoto:
    """A photo ``/photos/NAME`` of 100 x 100 pixels with these faces side by side, from left to right; ``shift`` moves
    all boxes.
    """
    width = SIZE / max(1, len(vectors))
    faces = [
        VaultFace(
            Face(Box(place * width + shift, 10.0, (place + 0.9) * width + shift, 60.0), 0.9, embedding=vector), quality
        )
        for place, vector in enumerate(vectors)
    ]
    return VaultPhoto(sha_of(name), (f"/photos/{name}",), SIZE, SIZE, "0" * 16, None, "real", {}, tuple(faces))


def sha_of(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


def key_of(name: str, face: int = 0, faces: int = 1) -> FaceKey:
    return made_photo(name, [None] * faces).key(face)


def album(person: int, count: int, prefix: str, start: int = 0, likeness: float = 0.7) -> list[VaultPhoto]:
    """``count`` photos of one person: PREFIX0.jpg, PREFIX1.jpg..."""
    rows = faces_like(person, start + count, likeness)[start:]
    return [made_photo(f"{prefix}{number}.jpg", [row]) for number, row in enumerate(rows, start)]


def write_vault(root: Path, photos: Sequence[VaultPhoto], fingerprint: str = "eyes-1") -> Vault:
    """A vault that was scanned and has exactly these photos."""
    vault = Vault(root)
    ScanRecord(folders=("/photos",), models_dir="fake", fingerprint=fingerprint, strangers=STRANGERS).write(vault)
    with VaultCatalog(vault.catalog) as catalog:
        Listing(catalog).forget_folder(Path("/"), ())
        for photo in photos:
            catalog.files.put(FileEntry(Path(photo.paths[0]), 1, 1, photo.sha256))
            catalog.put_photo(photo, fingerprint, b"")
    return vault


@contextmanager
def vault_of(root: Path, photos: Sequence[VaultPhoto], fingerprint: str = "eyes-1") -> Iterator[OpenVault]:
    write_vault(root, photos, fingerprint)
    with open_vault(root) as opened:
        yield opened


def no_index() -> NeighbourSearch:
    raise TwinLoopError("asked for an index")


def clustered(
    opened: OpenVault, limit: float | None = None, min_faces: int | None = None, reporter: Reporter | None = None
) -> Clustered:
    return cluster(opened, ClusterOptions(limit, min_faces), no_index, reporter or SilentReporter())


def names_of(keys: Sequence[FaceKey], photos: Sequence[VaultPhoto]) -> set[str]:
    """The names of the photos that faces are on."""
    known = {photo.sha256: Path(photo.paths[0]).name for photo in photos}
    return {known[key.sha256] for key in keys}
