"""Small raw photos for tests: DNG files whose sensor saw a known picture."""

from __future__ import annotations

import io
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image

from twinloop.domain.faces import ImageArray

WIDTH, HEIGHT = 240, 160
WHITE = 65535
_XYZ_TO_SRGB = (3.2404542, -1.5371385, -0.4985314, -0.9692660, 1.8760108, 0.0415560, 0.0556434, -0.2040259, 1.0572252)
"""XYZ under D65 -> linear sRGB: a camera of this matrix sees colours as sRGB has them."""
_BYTE, _ASCII, _SHORT, _LONG, _RATIONAL, _SRATIONAL = 1, 2, 3, 4, 5, 10
_SIZES = {_BYTE: 1, _ASCII: 1, _SHORT: 2, _LONG: 4, _RATIONAL: 8, _SRATIONAL: 8}
_HEADER = 8


@dataclass(frozen=True)
class Light:
    """How much of red, green and blue the sensor takes up where the scene is white: what white balance undoes."""

    red: float = 0.5
    green: float = 1.0
    blue: float = 0.625


def dng(
    picture: ImageArray,
    orientation: int = 1,
    preview: bytes = b"",
    taken: str = "",
    light: Light | None = None,
    dng_version: bool = True,
    linear: bool = False,
) -> bytes:
    """A DNG of a picture (uint8 HxWx3 sRGB, even sides): one 16-bit value a pixel under an RGGB filter, as it lay on
    the sensor, and a small black picture in front, which careless programs take for the photo.

    Args:
        orientation: how EXIF says the sensor's picture must be turned. preview: a JPEG to put in. taken: as EXIF has
            it ("2024:05:01 10:00:00"). dng_version: without it, the file says by its filter alone that it is raw.
        linear: all three colours of each pixel, as phones have them: nothing is guessed from neighbours.
    """
    seen = _linear(picture, light or Light())
    mosaic = np.rint((seen if linear else _mosaic(seen)) * WHITE).astype("<u2").tobytes()
    size = picture.shape[1], picture.shape[0]
    shown = light or Light()

    def directories(at: int) -> bytes:
        return _directories(size, at, len(mosaic), preview, orientation, taken, shown, dng_version, linear)

    # pixels last, as cameras write them: where a file is cut off, its directories are there
    head = directories(len(directories(0)))
    return head + preview.ljust(len(preview) + len(preview) % 2, b"\0") + mosaic


def scene(width: int = WIDTH, height: int = HEIGHT) -> ImageArray:
    """Smooth, and different at each corner and side."""
    x, y = np.meshgrid(np.linspace(0, 1, width), np.linspace(0, 1, height))
    return np.stack([30 + 190 * x, 40 + 170 * y, 220 - 180 * x * y], -1).astype(np.uint8)


def jpeg(picture: ImageArray, orientation: int = 0, taken: str = "") -> bytes:
    """A JPEG as cameras write it: EXIF comes first, and there is no JFIF. ``orientation``: 0 = it does not say."""
    exif = Image.Exif()
    if orientation:
        exif[ExifTags.Base.Orientation] = orientation
    if taken:
        exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] = taken
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=92, exif=exif if len(exif) or taken else b"")
    data = buffer.getvalue()
    assert data[2:4] == b"\xff\xe0"
    return data[:2] + data[20:]


def _directories(
    size: tuple[int, int],
    at: int,
    length: int,
    preview: bytes,
    orientation: int,
    taken: str,
    light: Light,
    dng_version: bool,
    linear: bool,
) -> bytes:
    """All but the pixels, which begin ``at``: the preview, then the sensor's."""
    width, height = size
    preview_at, mosaic_at = at, at + len(preview) + len(preview) % 2
    body, colours = bytearray(_HEADER), 3 if linear else 1
    small = bytes(8 * 12 * 3)
    small_at = _put(body, small)
    raw_ifd = _ifd(
        body,
        {
            254: (_LONG, [0]),
            256: (_LONG, [width]),
            257: (_LONG, [height]),
            258: (_SHORT, [16] * colours),
            259: (_SHORT, [1]),
            262: (_SHORT, [34892 if linear else 32803]),
            273: (_LONG, [mosaic_at]),
            277: (_SHORT, [colours]),
            278: (_LONG, [height]),
            279: (_LONG, [length]),
            **({} if linear else {33421: (_SHORT, [2, 2]), 33422: (_BYTE, [0, 1, 1, 2])}),
            50714: (_SHORT, [0] * colours),
            50717: (_LONG, [WHITE] * colours),
        },
    )
    subs = [raw_ifd]
    if preview:
        with Image.open(io.BytesIO(preview)) as image:
            wide, high = image.size
        subs.append(
            _ifd(
                body,
                {
                    254: (_LONG, [1]),
                    256: (_LONG, [wide]),
                    257: (_LONG, [high]),
                    258: (_SHORT, [8, 8, 8]),
                    259: (_SHORT, [7]),
                    262: (_SHORT, [6]),
                    273: (_LONG, [preview_at]),
                    277: (_SHORT, [3]),
                    278: (_LONG, [high]),
                    279: (_LONG, [len(preview)]),
                },
            )
        )
    exif = {34665: (_LONG, [_ifd(body, {36867: (_ASCII, list(taken.encode() + b"\0"))})])} if taken else {}
    first = _ifd(
        body,
        {
            254: (_LONG, [1]),
            256: (_LONG, [12]),
            257: (_LONG, [8]),
            258: (_SHORT, [8, 8, 8]),
            259: (_SHORT, [1]),
            262: (_SHORT, [2]),
            271: (_ASCII, list(b"Twinloop\0")),
            272: (_ASCII, list(b"Test camera\0")),
            273: (_LONG, [small_at]),
            274: (_SHORT, [orientation]),
            277: (_SHORT, [3]),
            278: (_LONG, [8]),
            279: (_LONG, [len(small)]),
            330: (_LONG, subs),
            **exif,
            **({50706: (_BYTE, [1, 4, 0, 0])} if dng_version else {}),
            50708: (_ASCII, list(b"Twinloop Test camera\0")),
            50721: (_SRATIONAL, [part for value in _XYZ_TO_SRGB for part in (round(value * 10_000), 10_000)]),
            50728: (
                _RATIONAL,
                [part for value in (light.red, light.green, light.blue) for part in (round(value * 1000), 1000)],
            ),
            50778: (_SHORT, [21]),
        },
    )
    body[:_HEADER] = struct.pack("<2sHI", b"II", 42, first)
    return bytes(body.ljust(len(body) + len(body) % 2, b"\0"))


def _linear(picture: ImageArray, light: Light) -> npt.NDArray[np.float64]:
    """How much of each colour the sensor sees, 0..1."""
    share = picture / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    return np.asarray(linear * np.array([light.red, light.green, light.blue]))


def _mosaic(seen: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """One colour a pixel, by the filter before it."""
    mosaic = seen[:, :, 1].copy()
    mosaic[0::2, 0::2] = seen[0::2, 0::2, 0]
    mosaic[1::2, 1::2] = seen[1::2, 1::2, 2]
    return mosaic


def _put(body: bytearray, data: bytes) -> int:
    body.extend(b"\0" * (len(body) % 2))
    body.extend(data)
    return len(body) - len(data)


def _ifd(body: bytearray, tags: Mapping[int, tuple[int, list[Any]]]) -> int:
    """Append a directory with its values; returns where it begins."""
    entries = b""
    for tag, (kind, values) in sorted(tags.items()):
        packed = _packed(kind, values)
        count = len(packed) // _SIZES[kind]
        where = packed.ljust(4, b"\0") if len(packed) <= 4 else struct.pack("<I", _put(body, packed))
        entries += struct.pack("<HHI", tag, kind, count) + where
    return _put(body, struct.pack("<H", len(tags)) + entries + bytes(4))


def _packed(kind: int, values: list[Any]) -> bytes:
    letter = {_BYTE: "B", _ASCII: "B", _SHORT: "H", _LONG: "I", _RATIONAL: "I", _SRATIONAL: "i"}[kind]
    return struct.pack(f"<{len(values)}{letter}", *values)
