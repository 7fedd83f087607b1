"""Colours as the file means them: pixels under a profile or code points of their own become sRGB, which is what models
and trainers take them for.
"""

from __future__ import annotations

import io
from functools import lru_cache
from itertools import product

import numpy as np
from PIL import Image, ImageCms

from twinloop.store.pictures.cicp import code_points, profile_by_code_points, remember_code_points

_SRGB = ImageCms.createProfile("sRGB")
_COLOURED = ("RGB", "RGBA", "P", "PA", "L", "LA")
"""Modes that a profile of red, green and blue can be about: palettes hold such colours, and greys are some of them."""
_FITTING = {"GRAY": ("L", "LA", "I;16"), "CMYK": ("CMYK",), "Lab": ("LAB",)}
"""The same of profiles of other colours."""
_ALIKE = 2
"""Levels by which profiles of sRGB itself, as several makers write it, move a colour."""
_ERRORS = (ImageCms.PyCMSError, OSError, ValueError, TypeError)


def to_srgb(image: Image.Image) -> Image.Image:
    """The picture in sRGB; one without a profile or code points, or with such that cannot be read or do not fit, stays
    as it is.
    """
    data = _profile_of(image)
    if data is None or _is_srgb(data):
        return image
    try:
        ready = _as_the_profile_has_it(image, data)
        return image if ready is None else _changed(ready, data)
    except _ERRORS:
        return image


def has_other_colours(image: Image.Image) -> bool:
    """Whether a program that leaves profiles and code points aside sees other colours than `to_srgb` gives.

    Args:
        image: just opened.
    """
    remember_code_points(image)
    data = _profile_of(image)
    return data is not None and not (image.mode == "RGB" and _is_srgb(data))


def _profile_of(image: Image.Image) -> bytes | None:
    """The picture's profile, or one of its code points, which go first."""
    told = code_points(image)
    made = None if told is None else profile_by_code_points(*told)
    data = image.info.get("icc_profile")
    return made or (data if isinstance(data, bytes) and data else None)


def _as_the_profile_has_it(image: Image.Image, data: bytes) -> Image.Image | None:
    """The picture in a mode that the profile is about; None = it is about others."""
    space = ImageCms.ImageCmsProfile(io.BytesIO(data)).profile.xcolor_space.strip()
    if space == "GRAY" and image.mode == "L" and image.has_transparency_data:
        return image.convert("LA")
    if space != "RGB":
        return image if image.mode in _FITTING.get(space, ()) else None
    if image.mode not in _COLOURED:
        return None
    mode = "RGBA" if image.has_transparency_data else "RGB"
    return image if image.mode == mode else image.convert(mode)


def _changed(image: Image.Image, data: bytes) -> Image.Image:
    if image.mode == "LA":  # of greys the engine loses it
        coloured = _changed(image.getchannel("L"), data)
        coloured.putalpha(image.getchannel("A"))
        return coloured
    # what lcms calls relative colorimetric, with black point compensation: what browsers do with photos
    changed = ImageCms.profileToProfile(
        image,
        ImageCms.ImageCmsProfile(io.BytesIO(data)),
        _SRGB,
        ImageCms.Intent.RELATIVE_COLORIMETRIC,
        outputMode="RGBA" if image.mode == "RGBA" else "RGB",
        flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
    )
    return changed if changed is not None else image


@lru_cache(maxsize=32)
def _is_srgb(data: bytes) -> bool:
    """By what it does to colours, not by its name: phones write "Display P3 Gamut with sRGB Transfer"."""
    colours = np.array([*product(range(0, 256, 51), repeat=3)], np.uint8)[None]
    try:
        changed = _changed(Image.fromarray(colours), data)
    except _ERRORS:
        return False
    return bool(np.abs(np.asarray(changed).astype(int) - colours).max() <= _ALIKE)
