"""Colours told by code points (CICP, ITU-T H.273) instead of a profile: nclx in HEIC and AVIF, cICP in PNG. They become
an ICC profile, so that one colour engine changes everything.

PQ and HLG tell light beyond white. Up to `_KNEE` of white it stays what it is; above, it is pressed together, for each
of red, green and blue by itself. HLG is read as for a display of 1,000 cd/m2. That comes close to a photo without HDR,
and no more than that.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
from PIL import Image

from twinloop.store.pictures.hevc_colours import code_points_of_stream

_INFO = "nclx_profile"
"""Where pillow-heif puts the code points of a HEIC, among a picture's ``info``."""
_PRIMARIES, _TRANSFER = "color_primaries", "transfer_characteristics"
_MOST_CHUNKS = 1000
"""Chunks of a PNG that are looked at for cICP, which stands before the pixels."""

_Values = npt.NDArray[np.float64]
_CORNERS = {
    1: ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06)),  # BT.709, as sRGB
    9: ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046)),  # BT.2020
    12: ((0.68, 0.32), (0.265, 0.69), (0.15, 0.06)),  # Display P3
}
"""Code -> (x, y) of red, green and blue."""
_D65 = (0.3127, 0.3290)
_D50 = np.array([63190, 65536, 54061]) / 65536
"""White of profiles, as they write it."""
_CONES = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
"""Bradford's, by which profiles adapt one white to another."""
_WHITE_NITS = 203.0
"""cd/m2 of white paper in an HDR picture (BT.2408)."""
_KNEE = 0.75
_SAMPLES = 4096


def remember_code_points(image: Image.Image) -> None:
    """Put the code points of a just opened PNG or AVIF, and of a HEIC that tells them in its stream alone, where those
    of other HEICs are: Pillow and pillow-heif pass them over.
    """
    file = getattr(image, "fp", None)
    if file is None or _INFO in image.info:
        return
    place = file.tell()
    if image.format == "PNG":
        found = _of_png(file)
    elif image.format == "AVIF" and "icc_profile" not in image.info:  # there the profile goes first
        found = _of_avif(file)
    elif image.format == "HEIF" and "icc_profile" not in image.info:  # what the container says goes first
        found = _of_heic(file)
    else:
        return
    file.seek(place)
    if found is not None:
        image.info[_INFO] = found


def code_points(image: Image.Image) -> tuple[int, int] | None:
    """(primaries, transfer) that the picture tells."""
    told = image.info.get(_INFO)
    return (told[_PRIMARIES], told[_TRANSFER]) if isinstance(told, Mapping) else None


def _of_png(file: BinaryIO) -> dict[str, int] | None:
    file.seek(8)
    for _ in range(_MOST_CHUNKS):
        head = file.read(8)
        if len(head) < 8:
            return None
        length, kind = struct.unpack(">I4s", head)
        if kind == b"IDAT":
            return None
        if kind == b"cICP":
            told = file.read(2)
            return {_PRIMARIES: told[0], _TRANSFER: told[1]} if length == 4 and len(told) == 2 else None
        file.seek(length + 4, 1)
    return None


def _of_avif(file: BinaryIO) -> dict[str, int] | None:
    """By pillow-heif, which reads the head of an AVIF although it may not decode its pixels."""
    import pillow_heif

    file.seek(0)
    try:
        told = pillow_heif.open_heif(file.read()).info.get(_INFO)
    except (OSError, ValueError, SyntaxError, RuntimeError, EOFError):
        return None
    return told if isinstance(told, dict) else None


def _of_heic(file: BinaryIO) -> dict[str, int] | None:
    file.seek(0)
    told = code_points_of_stream(file.read())
    return None if told is None else {_PRIMARIES: told[0], _TRANSFER: told[1]}


@lru_cache(maxsize=32)
def profile_by_code_points(primaries: int, transfer: int) -> bytes | None:
    """An ICC profile (RGB) of these colours; None of those that are not known, which hardly any photo has."""
    if primaries not in _CORNERS or transfer not in _TRANSFERS:
        return None
    light = _TRANSFERS[transfer](np.linspace(0.0, 1.0, _SAMPLES))
    curve = b"curv" + struct.pack(">4xI", _SAMPLES) + np.round(np.clip(light, 0, 1) * 65535).astype(">u2").tobytes()
    columns = np.round(_to_profile_space(primaries) * 65536).astype(int).T.tolist()
    tags = {f"{name}XYZ".encode(): b"XYZ " + struct.pack(">4x3i", *column)
            for name, column in zip("rgb", columns, strict=True)}  # fmt: skip
    return _written(tags | {f"{name}TRC".encode(): curve for name in "rgb"})


def _written(tags: Mapping[bytes, bytes]) -> bytes:
    """A display profile of these tags: its header, the table of them, and what they hold (whole words all)."""
    table, body, begin = b"", b"", 128 + 4 + 12 * len(tags)
    for name, value in tags.items():
        table += struct.pack(">4sII", name, begin + len(body), len(value))
        body += value
    white = np.round(_D50 * 65536).astype(int)
    head = struct.pack(
        ">I4xI4s4s4s12x4s24xI3i48x",
        begin + len(body), 0x04300000, b"mntr", b"RGB ", b"XYZ ", b"acsp", 1, *white.tolist(),
    )  # fmt: skip
    return head + struct.pack(">I", len(tags)) + table + body


def _to_profile_space(primaries: int) -> _Values:
    """(3, 3): linear red, green, blue to XYZ under the white of profiles."""
    corners = np.array([_xyz(*corner) for corner in _CORNERS[primaries]]).T
    white = np.array(_xyz(*_D65))
    adapted = np.linalg.solve(_CONES, np.diag((_CONES @ _D50) / (_CONES @ white)) @ _CONES)
    return np.asarray(adapted @ (corners * np.linalg.solve(corners, white)))


def _xyz(x: float, y: float) -> tuple[float, float, float]:
    return x / y, 1.0, (1 - x - y) / y


def _srgb(values: _Values) -> _Values:
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def _pq(values: _Values) -> _Values:
    """BT.2100, in cd/m2 before it is pressed together."""
    root = values ** (32 / 2523)
    linear = np.maximum(root - 3424 / 4096, 0) / (2413 / 128 - 2392 / 128 * root)
    return _below_white(10_000 * linear ** (16384 / 2610) / _WHITE_NITS)


def _hlg(values: _Values) -> _Values:
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    scene = np.where(values <= 0.5, values**2 / 3, (np.exp((values - c) / a) + b) / 12)
    return _below_white(1_000 * scene**1.2 / _WHITE_NITS)


def _below_white(light: _Values) -> _Values:
    """Light of which 1 is white paper, into 0..1."""
    over = np.maximum(light - _KNEE, 0) / (1 - _KNEE)
    return np.where(light <= _KNEE, light, _KNEE + (1 - _KNEE) * (1 - np.exp(-over)))


_TRANSFERS: Mapping[int, Callable[[_Values], _Values]] = {
    # still pictures with the curve of video are shown as sRGB everywhere; 2 says nothing
    **dict.fromkeys((1, 2, 6, 13, 14, 15), _srgb),
    4: lambda values: values**2.2,
    8: lambda values: values,
    16: _pq,
    18: _hlg,
}
