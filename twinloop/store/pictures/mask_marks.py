"""The marks in a mask that this program made: by them it is told from a photo wherever it lies."""

from __future__ import annotations

from pathlib import Path

from twinloop.store.pictures.image_texts import png_texts

PHOTO, MADE_BY, PIXELS = "twinloop-mask-of", "twinloop-mask-by", "twinloop-mask-pixels"
"""Keywords of the texts: sha256 of the photo, fingerprint of what made it, sha256 of the grey values."""
_HEAD = 1 << 14
"""Bytes within which the texts begin: this program writes them before the pixels, and an editor that keeps them adds at
most a colour profile."""


def is_marked_mask(path: Path) -> bool:
    """Whether a file is a mask that was made here, also where somebody painted in it since and the texts are still
    there. One read of a PNG, no pixel is decoded; False of any other file, and of one that may not be read.
    """
    if path.suffix.lower() != ".png":
        return False
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
    except OSError:
        return False
    return PHOTO.encode() in head and PHOTO in png_texts(head)
