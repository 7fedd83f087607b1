"""Masks as other trainers take them: a folder of grey PNGs beside the pictures', each named as its picture and of its
size.

All pictures get one, since sd-scripts wants that: a white one where all of the picture is learned. The floor is in the
grey values.
"""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from twinloop.errors import UnreadableImage
from twinloop.foreign.pictures import Picture
from twinloop.store.pictures.images import upright_size
from twinloop.store.pictures.masks import fitted, grey_of

WHITE = 255


def mask_png(picture: Picture, floor: float) -> bytes:
    """The mask of a picture, upright as that is written.

    Args:
        floor: how much is learned where the mask is black, against where it is white.

    Raises:
        StateError: the mask was changed. UnreadableImage: the photo is damaged or gone.
    """
    try:
        width, height = upright_size(picture.source.read_bytes())
    except OSError as error:
        raise UnreadableImage(f"{picture.source} cannot be read: {error.strerror or error}") from error
    if picture.mask is None:
        grey = np.full((height, width), WHITE, np.uint8)
    else:
        learned = fitted(grey_of(picture.mask), width, height) / WHITE
        grey = np.rint((floor + (1 - floor) * learned) * WHITE).astype(np.uint8)
    out = io.BytesIO()
    Image.fromarray(grey).save(out, "PNG")
    return out.getvalue()
