"""One photo file, read once: its bytes, and its pixels at the size that serves."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image

from twinloop.domain.faces import ImageArray
from twinloop.domain.scanned import ListedFile
from twinloop.errors import UnreadableImage
from twinloop.store.pictures.capture_time import seconds_of
from twinloop.store.pictures.images import (
    DECODER_ERRORS,
    MAX_BYTES,
    MAX_PIXELS,
    decode,
    decoded,
    opened_image,
    turn_of,
    upright_rgb,
)
from twinloop.store.pictures.raw import half_developed, is_raw
from twinloop.system.files import NO_WAIT

_SCALES = (8, 4, 2)
"""Powers of two at which a JPEG decoder makes a smaller picture for little more than the cost of reading it."""


def read_photo(path: Path) -> tuple[ListedFile, bytes]:
    """The stat of a file just before it was read, and its bytes.

    Raises:
        UnreadableImage: no regular file, too large, not permitted, or it changed meanwhile (a download or a copy that
            goes on).
    """
    try:
        # a FIFO that took the file's place since it was listed must not block
        handle = os.open(path, os.O_RDONLY | NO_WAIT)
        with open(handle, "rb", closefd=True) as file:
            before = os.fstat(handle)
            if not stat.S_ISREG(before.st_mode):
                raise UnreadableImage("is no regular file")
            if before.st_size > MAX_BYTES:
                raise UnreadableImage(f"larger than {MAX_BYTES >> 20} MB")
            data = file.read(before.st_size + 1)
            after = os.fstat(handle)
    except OSError as error:
        raise UnreadableImage(f"cannot be read: {error.strerror or error}") from error
    if len(data) != before.st_size or after.st_mtime_ns != before.st_mtime_ns:
        raise UnreadableImage("changed while it was read: scan again when it is complete")
    return ListedFile(path, before.st_size, before.st_mtime_ns, before.st_ctime_ns), data


@dataclass(frozen=True, eq=False)
class Pixels:
    """A decoded photo.

    Attributes:
        small: uint8 HxWx3 RGB, upright; a whole fraction (1/2, 1/4, 1/8) of the photo, or all of it.
        width, height: of the photo, upright. taken: as in `VaultPhoto`.
        full: gives the pixels at full size; decodes again where that was not needed so far.
    """

    small: ImageArray
    width: int
    height: int
    taken: float | None
    full: Callable[[], ImageArray]


def decode_small(data: bytes, least: int) -> Pixels:
    """Decode to the smallest cheap size whose longer side is still at least ``least`` (the photo itself where it is
    smaller).

    Raises:
        UnreadableImage: with the reason.
    """
    half = half_developed(data, least, MAX_PIXELS) if is_raw(data) else None
    if half is not None:
        # asking for the whole develops anew: few photos have faces that are too small at half its size
        return Pixels(_reduced(half.image, least), half.width, half.height, taken_at(half.image), lambda: decode(data))
    with opened_image(data) as image:
        if image.format not in ("JPEG", "MPO"):
            whole = upright_rgb(image)
            return Pixels(
                _reduced(whole, least),
                whole.width,
                whole.height,
                taken_at(image),
                lambda: np.asarray(whole, dtype=np.uint8),
            )
        width, height = image.size
        if turn_of(image) in (
            Image.Transpose.TRANSPOSE,
            Image.Transpose.TRANSVERSE,
            Image.Transpose.ROTATE_90,
            Image.Transpose.ROTATE_270,
        ):
            width, height = height, width
        scale = scale_for(max(width, height), least)
        # no mode: only the size is drafted, so that colours are made as in a full decode
        image.draft("", (image.width // scale, image.height // scale))
        small, taken = decoded(image), taken_at(image)
    return Pixels(small, width, height, taken, (lambda: small) if scale == 1 else (lambda: decode(data)))


def scale_for(longer: int, least: int) -> int:
    """The largest of 8, 4, 2, 1 by which a side of ``longer`` pixels can be divided and still be ``least``."""
    return next((scale for scale in _SCALES if longer // scale >= least), 1)


def _reduced(whole: Image.Image, least: int) -> ImageArray:
    scale = scale_for(max(whole.size), least)
    return np.asarray(whole if scale == 1 else whole.reduce(scale), dtype=np.uint8)


def taken_at(image: Image.Image) -> float | None:
    """When the camera says it took the picture: seconds since 1970 in the camera's own time, None when it does not say.

    Asked after decoding: Pillow looks for the EXIF of a PNG behind its pixels, and would hide that they are damaged.
    """
    try:
        exif = image.getexif().get_ifd(ExifTags.IFD.Exif)
        text = str(exif.get(ExifTags.Base.DateTimeOriginal, ""))
        return seconds_of(text, str(exif.get(ExifTags.Base.SubsecTimeOriginal, "")))
    except DECODER_ERRORS:
        return None
