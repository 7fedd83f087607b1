"""Pictures that can be told apart, their copies, and a vault that was scanned from them without detectors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from twinloop.domain.faces import Box, Face, FloatArray, HeadPose
from twinloop.domain.scanned import ListedFile
from twinloop.domain.vault import VaultFace
from twinloop.stages.same_picture.alignment import Thumbnail
from twinloop.stages.vault.measure import PhotoMeasurer
from twinloop.stages.vault.opened import OpenVault, ScanRecord
from twinloop.stages.vault.opening import open_vault
from twinloop.store.vault.catalog import VaultCatalog
from twinloop.store.vault.files import FileEntry
from twinloop.store.vault.folder import Vault

MEASURER = PhotoMeasurer()
SIZE = (320, 240)


def picture(seed: int, size: tuple[int, int] = SIZE) -> Image.Image:
    """Blobs, edges and texture, different for every seed."""
    random = np.random.default_rng(seed)
    layers = [
        np.asarray(
            Image.fromarray(random.integers(0, 256, (cells, cells, 3), np.uint8)).resize(
                size, Image.Resampling.BICUBIC
            ),
            np.float32,
        )
        for cells in (4, 9, 24)
    ]
    return Image.fromarray((0.5 * layers[0] + 0.3 * layers[1] + 0.2 * layers[2]).astype(np.uint8))


def thumbnail(image: Image.Image) -> Thumbnail:
    return Thumbnail(image.convert("L"))


def save(image: Image.Image, path: Path, quality: int = 92) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, "JPEG" if path.suffix == ".jpg" else None, quality=quality)
    return path


def face(
    embedding: FloatArray | None = None,
    sharpness: float = 200.0,
    eyes: float = 1.0,
    yaw: float = 0.0,
    box: Box | None = None,
    **measures: float,
) -> VaultFace:
    """A face in the middle of a picture of the usual size."""
    found = Face(box or Box(110, 60, 210, 180), 0.9, pose=HeadPose(yaw, 0.0, 0.0), embedding=embedding)
    return VaultFace(found, 0.9, {"sharpness": sharpness, "eyes_open": eyes, **measures})


def scanned(
    root: Path,
    files: Sequence[Path],
    faces: Mapping[str, Sequence[VaultFace]] | None = None,
    taken: Mapping[str, float] | None = None,
) -> Vault:
    """A vault with these files; ``faces`` and ``taken`` by file name."""
    vault = Vault(root)
    ScanRecord(folders=(str(root),), models_dir="", fingerprint=MEASURER.fingerprint).write(vault)
    with VaultCatalog(vault.catalog) as catalog:
        for path in files:
            seen = MEASURER.scan(ListedFile(path, 0, 0))
            catalog.files.put(FileEntry(path, path.stat().st_size, 0, seen.sha256, seen.problem))
            if seen.photo is not None:
                photo = replace(
                    seen.photo, faces=tuple((faces or {}).get(path.name, ())), taken=(taken or {}).get(path.name)
                )
                catalog.put_photo(photo, MEASURER.fingerprint, seen.thumbnail)
    return vault


@contextmanager
def vault_of(root: Path, files: Sequence[Path], **known: Mapping[str, object]) -> Iterator[OpenVault]:
    """The same, opened."""
    scanned(root, files, **known)  # type: ignore[arg-type]
    with open_vault(root) as opened:
        yield opened
