"""Measures that need no model: sharpness, brightness, perceptual hash. NumPy and Pillow only."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image

from twinloop.domain.faces import Box, ImageArray

VERSION = "pixels-3"
"""Of these measures, and of the pixels that files are read as: what was measured or seen of a photo under another one
does not count. It rises whenever either changes, colours included.
"""
FACE_SIZE = 112
"""Side in pixels of the face crop on which ``face_sharpness`` is measured, so that it compares over image sizes."""
_BLURRED_BELOW = 0.12
"""Face sharpness as a share of the median under which a photo counts as blurred."""
_FEWEST_FOR_BLUR = 5
"""With fewer photos there is no median to be blurred against."""


def grey(image: ImageArray) -> npt.NDArray[np.float32]:
    """Luma (ITU-R BT.601) of an RGB image, 0..255."""
    return (image @ np.array([0.299, 0.587, 0.114], np.float32)).astype(np.float32)


def laplacian_variance(values: npt.NDArray[np.float32]) -> float:
    """Variance of the 4-neighbour Laplacian (Pech-Pacheco 2000); the usual blur measure, > 100 = sharp for photos of
    about a megapixel.
    """
    if min(values.shape) < 3:
        return 0.0
    p = np.pad(values, 1, mode="reflect")
    edges = p[:-2, 1:-1] + p[2:, 1:-1] + p[1:-1, :-2] + p[1:-1, 2:] - 4 * p[1:-1, 1:-1]
    return float(edges.var(dtype=np.float64))


def image_measures(image: ImageArray) -> dict[str, float]:
    """Whole-image numbers; names as in `Observation.measures`."""
    return grey_measures(grey(image))


def grey_measures(values: npt.NDArray[np.float32]) -> dict[str, float]:
    """The same, of a picture that is grey already (0..255)."""
    return {
        "sharpness": laplacian_variance(values),
        "brightness": float(values.mean(dtype=np.float64)),
        "contrast": float(values.std(dtype=np.float64)),
        "dark_share": float((values < 60).mean()),
        "bright_share": float((values > 195).mean()),
    }


def face_measures(image: ImageArray, box: Box) -> dict[str, float]:
    """``face_sharpness`` on the crop at 112 px and ``face_share`` (box height over image height)."""
    height, width = image.shape[:2]
    inside = box.clipped(width, height)
    measures = {"face_share": box.height / height}
    if inside.width >= 4 and inside.height >= 4:
        crop = image[int(inside.y0) : int(np.ceil(inside.y1)), int(inside.x0) : int(np.ceil(inside.x1))]
        small = Image.fromarray(crop).resize((FACE_SIZE, FACE_SIZE), Image.Resampling.LANCZOS)
        values = grey(np.asarray(small))
        measures["face_sharpness"] = laplacian_variance(values)
        measures["face_brightness"] = float(values.mean(dtype=np.float64))
    return measures


def blur_limit(sharpness: Sequence[float]) -> float:
    """Under which face sharpness one of these counts as blurred; 0 where there are too few for a median."""
    return _BLURRED_BELOW * float(np.median(sharpness)) if len(sharpness) >= _FEWEST_FOR_BLUR else 0.0


def _dct_matrix(size: int) -> npt.NDArray[np.float64]:
    k, n = np.mgrid[0:size, 0:size]
    return np.asarray(np.cos(np.pi * (2 * n + 1) * k / (2 * size)))


_DCT = _dct_matrix(32)


def perceptual_hash(image: ImageArray) -> str:
    """64-bit DCT hash (Zauner 2010) of the 32x32 grey image as 16 hex digits."""
    return grey_hash(Image.fromarray(image).convert("L"))


def grey_hash(image: Image.Image) -> str:
    """The same, of a picture that is grey already (mode L)."""
    small = np.asarray(image.resize((32, 32), Image.Resampling.LANCZOS), dtype=np.float64)
    low = (_DCT @ small @ _DCT.T)[:8, :8].ravel()
    bits = low > np.median(low[1:])
    return f"{int(''.join('1' if bit else '0' for bit in bits), 2):016x}"


def hash_distance(a: str, b: str) -> int:
    """Differing bits of two perceptual hashes, 0..64."""
    return (int(a, 16) ^ int(b, 16)).bit_count()
