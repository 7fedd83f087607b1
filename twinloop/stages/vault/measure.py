"""The fused pass: everything a scan wants to know of a file, from one read of its bytes."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from twinloop.domain.scanned import ListedFile, ScannedFile
from twinloop.domain.vault import VaultFace, VaultPhoto
from twinloop.errors import UnreadableImage
from twinloop.ports import DetectorPack
from twinloop.stages import pixels
from twinloop.stages.vault.find_faces import FaceFinder
from twinloop.stages.vault.measured_with import scan_fingerprint
from twinloop.store.pictures.photo_file import Pixels, decode_small, read_photo
from twinloop.store.pictures.provenance import is_marked_synthetic

VERSION = "scan-1"
MEASURE_SIDE = 480
"""Longer side in pixels at which ``sharpness``, ``contrast`` and the like are measured, so that they compare between
photos of any size. Smaller photos are measured as they are."""
DETECT_SIDE = 1280
"""Longer side that detectors get at least, where the photo has it: a face of 1/32 of a group photo's width is still 40
pixels."""
THUMBNAIL_SIDE = 256
_QUALITY = 82


def everything(sha256: str) -> bool:
    """No content is known already."""
    return True


@dataclass(frozen=True)
class PhotoMeasurer:
    """Measures files.

    Attributes:
        pack: detectors; None = only what needs no model.
        min_face: height of a face's box, in pixels of the photo, from which it is kept.
    """

    pack: DetectorPack | None = None
    min_face: int = 40

    @property
    def fingerprint(self) -> str:
        """Of what a scan asks: hands and slow measurers are not."""
        asked = None if self.pack is None else replace(self.pack, parts=(), slow=())
        return scan_fingerprint(VERSION, pixels.VERSION, self.min_face, "-" if asked is None else asked.fingerprint)

    def scan(self, listed: ListedFile, wanted: Callable[[str], bool] = everything) -> ScannedFile:
        """Look at one file; what is wrong with it becomes its ``problem``.

        Args:
            wanted: asked with the content's hash before anything is decoded; False = it was measured already.
        """
        sha256 = None
        try:
            listed, data = read_photo(listed.path)
            sha256 = hashlib.sha256(data).hexdigest()
            if not wanted(sha256):
                return ScannedFile(listed, sha256)
            photo, thumbnail = self.measure(data, sha256)
        except UnreadableImage as error:
            return ScannedFile(listed, sha256, problem=str(error))
        return ScannedFile(listed, sha256, photo, thumbnail)

    def measure(self, data: bytes, sha256: str) -> tuple[VaultPhoto, bytes]:
        """What is in the bytes of a photo: its numbers and faces, and a thumbnail.

        Raises:
            UnreadableImage: with the reason.
        """
        seen = decode_small(data, MEASURE_SIDE if self.pack is None else DETECT_SIDE)
        image = Image.fromarray(seen.small)
        grey = image.convert("L")
        measures = pixels.grey_measures(np.asarray(shrunk(grey, MEASURE_SIDE), dtype=np.float32))
        faces, of_photo = self._faces(seen)
        photo = VaultPhoto(
            sha256, (), seen.width, seen.height, pixels.grey_hash(grey), seen.taken,
            "synthetic" if is_marked_synthetic(data) else "real", {**measures, **of_photo}, faces,
        )  # fmt: skip
        return photo, _thumbnail(image)

    def _faces(self, seen: Pixels) -> tuple[tuple[VaultFace, ...], dict[str, float]]:
        return ((), {}) if self.pack is None else FaceFinder(self.pack, self.min_face).find(seen)


def shrunk(image: Image.Image, side: int) -> Image.Image:
    """At most ``side`` pixels along the longer side.

    The Hamming filter is as good as Lanczos's for making smaller, at half its time.
    """
    scale = side / max(image.size)
    if scale >= 1:
        return image
    size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    return image.resize(size, Image.Resampling.HAMMING, reducing_gap=2.0)


def _thumbnail(image: Image.Image) -> bytes:
    """A JPEG of the upright pixels alone: no metadata of the photo goes along."""
    buffer = io.BytesIO()
    shrunk(image, THUMBNAIL_SIDE).save(buffer, "JPEG", quality=_QUALITY)
    return buffer.getvalue()
