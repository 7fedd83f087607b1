"""Pictures on the page: small WebP images as data URIs. What was made by a model keeps its mark."""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from twinloop.errors import UnreadableImage
from twinloop.store.pictures.images import MAX_BYTES, decode
from twinloop.store.pictures.provenance import is_marked_synthetic, synthetic_xmp

LONGEST = 160
"""Pixels of a thumbnail's longer side; smaller pictures keep their size."""
_QUALITY = 78


@dataclass(frozen=True)
class Thumbnail:
    """A picture ready for the page, width and height in pixels."""

    uri: str
    width: int
    height: int


def thumbnail(data: bytes, longest: int = LONGEST) -> Thumbnail:
    """An image file's bytes -> a small WebP as a data URI; the same bytes give the same text.

    Raises:
        UnreadableImage: not an image, or a damaged one.
    """
    image = Image.fromarray(decode(data))
    image.thumbnail((longest, longest), Image.Resampling.LANCZOS, reducing_gap=None)
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", quality=_QUALITY, method=4, xmp=synthetic_xmp() if is_marked_synthetic(data) else b"")
    return Thumbnail(f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}", *image.size)


@dataclass
class Pictures:
    """Finds the images that artefacts name and keeps the thumbnails made so far.

    Artefacts hold paths relative to the folder that the run was started in. The page may be written from elsewhere, so
    a relative path is tried from the output folder's parents too; the hash makes sure that it is the same picture.

    ``longest``: pixels of a thumbnail's longer side.
    """

    root: Path
    longest: int = LONGEST
    _made: dict[str, Thumbnail | None] = field(default_factory=dict)

    def named(self, path: str, sha256: str | None = None) -> Thumbnail | None:
        """The picture that an artefact names; None when it is gone, changed or unreadable."""
        return self._first(self._places(path), sha256)

    def at(self, path: Path, sha256: str | None = None) -> Thumbnail | None:
        """The picture in this place."""
        return self._first(iter((path,)), sha256)

    def _places(self, path: str) -> Iterator[Path]:
        yield Path(path)
        if not Path(path).is_absolute():
            yield from (parent / path for parent in self.root.resolve().parents)

    def _first(self, places: Iterator[Path], sha256: str | None) -> Thumbnail | None:
        if sha256 is not None and sha256 in self._made:
            return self._made[sha256]
        data = next(
            (d for d in map(_bytes_of, places) if d is not None and sha256 in (None, hashlib.sha256(d).hexdigest())),
            None,
        )
        made = None if data is None else _thumbnail_or_none(data, self.longest)
        if sha256 is not None:
            self._made[sha256] = made
        return made


def _bytes_of(path: Path) -> bytes | None:
    try:
        return path.read_bytes() if path.is_file() and path.stat().st_size <= MAX_BYTES else None
    except (OSError, ValueError):  # ValueError: a name that no file system takes
        return None


def _thumbnail_or_none(data: bytes, longest: int) -> Thumbnail | None:
    try:
        return thumbnail(data, longest)
    except UnreadableImage:
        return None
