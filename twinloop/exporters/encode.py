"""Pictures to bytes: nothing of the source file's metadata goes along, except the mark of what a model made."""

from __future__ import annotations

import io

from PIL import Image

from twinloop.errors import InputError
from twinloop.store.pictures.provenance import clean_png, synthetic_xmp

QUALITIES = (92, 85, 75, 60)


def jpeg(picture: Image.Image, synthetic: bool, most_bytes: int | None = None) -> bytes:
    """A baseline JPEG; of the first quality that stays within ``most_bytes``.

    Raises:
        InputError: no quality does.
    """
    data = b""
    for quality in QUALITIES:
        buffer = io.BytesIO()
        xmp = synthetic_xmp() if synthetic else b""
        picture.convert("RGB").save(buffer, "JPEG", quality=quality, subsampling=0, xmp=xmp)
        data = buffer.getvalue()
        if most_bytes is None or len(data) <= most_bytes:
            return data
    raise InputError(
        f"A picture of {picture.width} x {picture.height} pixels does not fit into {most_bytes:,} bytes; ask for a"
        " smaller size."
    )


def png(picture: Image.Image, synthetic: bool) -> bytes:
    """A PNG."""
    return clean_png(picture, synthetic)
