"""Small pictures for the page, made once for each content; what was made by a model keeps its mark."""

from __future__ import annotations

import io
import stat
from functools import lru_cache
from pathlib import Path

from PIL import Image

from twinloop.errors import InputError, UnreadableImage
from twinloop.store.atomic import sha256_file
from twinloop.store.images import MAX_BYTES, decode
from twinloop.store.provenance import is_marked_synthetic, synthetic_xmp

SIZES = (256, 1280)
"""Longest side in pixels: of a thumbnail, and of a picture to look at."""


def picture(path: Path, longest: int, sha256: str | None = None) -> bytes:
    """A WebP of at most ``longest`` pixels, without any metadata but the mark of synthetic images.

    Args:
        sha256: what the file is expected to hold.

    Raises:
        InputError: the file is gone, is another one now, or cannot be decoded.
    """
    if longest not in SIZES:
        raise InputError(f"Pictures come in {SIZES} pixels, not {longest}.")
    try:
        found = path.stat()
    except OSError as error:
        raise InputError(f"{path.name} is gone: {error.strerror}.") from error
    if not stat.S_ISREG(found.st_mode):
        raise InputError(f"{path.name} is no picture file.")
    return _made(path, found.st_mtime_ns, found.st_size, longest, sha256)


@lru_cache(maxsize=2048)
def _made(path: Path, _changed: int, size: int, longest: int, sha256: str | None) -> bytes:
    if size > MAX_BYTES:
        raise InputError(f"{path.name} is larger than {MAX_BYTES >> 20} MB.")
    if sha256 is not None and sha256_file(path) != sha256:
        raise InputError(f"{path.name} was changed since it was recorded.")
    data = path.read_bytes()
    try:
        image = Image.fromarray(decode(data))
    except UnreadableImage as error:
        raise InputError(f"{path.name} {error}.") from error
    image.thumbnail((longest, longest), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", quality=80, method=2, xmp=synthetic_xmp() if is_marked_synthetic(data) else b"")
    return buffer.getvalue()
