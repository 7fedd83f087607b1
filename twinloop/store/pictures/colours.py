"""Colours as the file means them: pixels under a profile of their own become sRGB, which is what models and trainers
take them for.
"""

from __future__ import annotations

import io
from functools import lru_cache
from itertools import product

import numpy as np
from PIL import Image, ImageCms

_SRGB = ImageCms.createProfile("sRGB")
_MODES = {"RGB": "RGB", "RGBA": "RGBA", "CMYK": "RGB", "L": "RGB", "LAB": "RGB"}
"""What a profile can be about -> what it becomes."""
_ALIKE = 2
"""Levels by which profiles of sRGB itself, as several makers write it, move a colour."""


def to_srgb(image: Image.Image) -> Image.Image:
    """The picture in sRGB; one without a profile, or with one that cannot be read or does not fit, stays as it is."""
    data = image.info.get("icc_profile")
    if not isinstance(data, bytes) or image.mode not in _MODES or (image.mode in ("RGB", "RGBA") and _is_srgb(data)):
        return image
    try:
        return _changed(image, data)
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return image


def has_other_colours(image: Image.Image) -> bool:
    """Whether a program that leaves profiles aside sees other colours than `to_srgb` gives."""
    data = image.info.get("icc_profile")
    return isinstance(data, bytes) and not (image.mode == "RGB" and _is_srgb(data))


def _changed(image: Image.Image, data: bytes) -> Image.Image:
    # what lcms calls relative colorimetric, with black point compensation: what browsers do with photos
    changed = ImageCms.profileToProfile(
        image,
        ImageCms.ImageCmsProfile(io.BytesIO(data)),
        _SRGB,
        ImageCms.Intent.RELATIVE_COLORIMETRIC,
        outputMode=_MODES[image.mode],
        flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
    )
    return changed if changed is not None else image


@lru_cache(maxsize=32)
def _is_srgb(data: bytes) -> bool:
    """By what it does to colours, not by its name: phones write "Display P3 Gamut with sRGB Transfer"."""
    colours = np.array([*product(range(0, 256, 51), repeat=3)], np.uint8)[None]
    try:
        changed = _changed(Image.fromarray(colours), data)
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return False
    return bool(np.abs(np.asarray(changed).astype(int) - colours).max() <= _ALIKE)
