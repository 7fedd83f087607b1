"""Small pictures for the page, made once for each content; what was made by a model keeps its mark."""

from __future__ import annotations

import hashlib
import io
import os
import stat
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path

from PIL import Image

from twinloop.domain.faces import Box
from twinloop.errors import InputError, UnreadableImage
from twinloop.store.pictures.images import MAX_BYTES, decode
from twinloop.store.pictures.photo_file import decode_small
from twinloop.store.pictures.provenance import is_marked_synthetic, synthetic_xmp

SIZES = (256, 1280)
"""Longest side in pixels: of a thumbnail, and of a picture to look at."""
FACE_SIDE = 192
FACE_ROOM = 1.5
"""Side of a face's picture in pixels, and over the longer side of its box."""


def picture(path: Path, longest: int, sha256: str | None = None) -> bytes:
    """A WebP of at most ``longest`` pixels, without any metadata but the mark of synthetic images.

    Args:
        sha256: what the file is expected to hold.

    Raises:
        InputError: the file is gone, is another one now, or cannot be decoded.
    """
    _check_size(longest)
    found = _stat(path)
    kept = _small if longest == SIZES[0] else _large
    return kept(path, found.st_mtime_ns, found.st_size, longest, sha256)


def photo(paths: Sequence[Path], longest: int, sha256: str) -> bytes:
    """As `picture`, of a photo that lies in one or several files.

    Args:
        paths: files that held the photo when it was scanned; the first that still does is taken.
    """
    return _first(paths, lambda path: picture(path, longest, sha256))


def _made(path: Path, _changed: int, _size: int, longest: int, sha256: str | None) -> bytes:
    data = _read(path, sha256)
    try:
        image = Image.fromarray(decode(data))
    except UnreadableImage as error:
        raise InputError(f"{path.name} {error}.") from error
    image.thumbnail((longest, longest), Image.Resampling.LANCZOS)
    return _webp(image, is_marked_synthetic(data))


_small = lru_cache(maxsize=2048)(_made)
_large = lru_cache(maxsize=32)(_made)
"""A picture to look at takes ten times the memory of a thumbnail, and is seldom looked at again."""


def thumbnail(jpeg: bytes, synthetic: bool) -> bytes:
    """A thumbnail of the vault's as the page gets it."""
    with Image.open(io.BytesIO(jpeg)) as image:
        return _webp(image.convert("RGB"), synthetic)


def face(paths: Sequence[Path], sha256: str, box: tuple[float, float, float, float]) -> bytes:
    """A square WebP around a face, of `FACE_SIDE` pixels at most and without metadata but the mark of synthetic images.

    Args:
        paths: files that held the photo when it was scanned; the first that still does is taken. box: as in `FaceKey`.

    Raises:
        InputError: no file holds the photo any more, or it cannot be decoded.
    """

    def cut(path: Path) -> bytes:
        found = _stat(path)
        return _cut_face(path, found.st_mtime_ns, found.st_size, sha256, box)

    return _first(paths, cut)


def _first(paths: Sequence[Path], make: Callable[[Path], bytes]) -> bytes:
    """From the first file that gives it; of several problems, the first one is told."""
    problem: InputError | None = None
    for path in filter(os.path.isfile, paths):
        try:
            return make(path)
        except InputError as error:
            problem = problem or error
    raise problem or InputError(f"{paths[0].name if paths else 'The photo'} is gone. Scan again: twinloop vault scan")


@lru_cache(maxsize=4096)
def _cut_face(path: Path, _changed: int, _size: int, sha256: str, box: tuple[float, float, float, float]) -> bytes:
    data = _read(path, sha256)
    x0, y0, x1, y1 = box
    try:
        # a face of a tenth of the photo needs ten times its pixels of the photo; cheap decodes come in eighths
        seen = decode_small(data, int(FACE_SIDE / max(x1 - x0, y1 - y0, 0.01)))
    except UnreadableImage as error:
        raise InputError(f"{path.name} {error}.") from error
    height, width = seen.small.shape[:2]
    around = Box(x0 * width, y0 * height, x1 * width, y1 * height)
    side = min(round(FACE_ROOM * max(around.width, around.height)), width, height)
    x, y = (
        round(min(max(middle - side / 2, 0), whole - side))
        for middle, whole in zip(around.center, (width, height), strict=True)
    )
    image = Image.fromarray(seen.small).crop((x, y, x + side, y + side))
    image.thumbnail((FACE_SIDE, FACE_SIDE), Image.Resampling.LANCZOS)
    return _webp(image, is_marked_synthetic(data))


def _check_size(longest: int) -> None:
    if longest not in SIZES:
        raise InputError(f"Pictures come in {SIZES} pixels, not {longest}.")


def _stat(path: Path) -> os.stat_result:
    try:
        found = path.stat()
    except OSError as error:
        raise InputError(f"{path.name} is gone: {error.strerror}.") from error
    except ValueError as error:  # no name of a file on this system
        raise InputError("There is no such picture.") from error
    if not stat.S_ISREG(found.st_mode):
        raise InputError(f"{path.name} is no picture file.")
    if found.st_size > MAX_BYTES:
        raise InputError(f"{path.name} is larger than {MAX_BYTES >> 20} MB.")
    return found


def _read(path: Path, sha256: str | None) -> bytes:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path.name} cannot be read: {error.strerror}.") from error
    if sha256 is not None and hashlib.sha256(data).hexdigest() != sha256:
        raise InputError(f"{path.name} was changed since it was recorded.")
    return data


def _webp(image: Image.Image, synthetic: bool) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", quality=80, method=2, xmp=synthetic_xmp() if synthetic else b"")
    return buffer.getvalue()
