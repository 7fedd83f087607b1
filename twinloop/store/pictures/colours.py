"""Colours as the file means them: pixels under a profile of their own become sRGB, which is what models and trainers
take them for.
"""

from __future__ import annotations

import io

from PIL import Image, ImageCms

_SRGB = ImageCms.createProfile("sRGB")
_MODES = {"RGB": "RGB", "RGBA": "RGBA", "CMYK": "RGB", "L": "RGB", "LAB": "RGB"}
"""What a profile can be about -> what it becomes."""


def to_srgb(image: Image.Image) -> Image.Image:
    """The picture in sRGB; one without a profile, or with one that cannot be read or does not fit, stays as it is."""
    data = image.info.get("icc_profile")
    target = _MODES.get(image.mode)
    if not isinstance(data, bytes) or target is None:
        return image
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(data))
        if _is_srgb(profile):
            return image
        # what lcms calls relative colorimetric, with black point compensation: what browsers do with photos
        flags = ImageCms.Flags.BLACKPOINTCOMPENSATION
        changed = ImageCms.profileToProfile(
            image, profile, _SRGB, ImageCms.Intent.RELATIVE_COLORIMETRIC, outputMode=target, flags=flags
        )
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return image
    return changed if changed is not None else image


def _is_srgb(profile: ImageCms.ImageCmsProfile) -> bool:
    return "srgb" in (ImageCms.getProfileDescription(profile) or "").lower()
