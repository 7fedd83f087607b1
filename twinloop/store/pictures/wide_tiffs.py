"""TIFFs whose numbers Pillow has no mode for: colours in floating-point or 32 bits, greys of more than 8 bits with
transparency, more channels than colours and transparency.

Pillow and libtiff unpack their bytes, as if these were greys of 8 bits; what the bytes mean is told here. After Adobe's
TIFF 6.0 and its Technical Note 3 (floating-point predictor).
"""

from __future__ import annotations

import io
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image, TiffImagePlugin

from twinloop.errors import UnreadableImage
from twinloop.store.pictures.profile_curves import to_srgb_by
from twinloop.store.pictures.tiffs import tags_of

_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC, _OFFSETS, _SAMPLES = 256, 257, 258, 259, 262, 273, 277
_ROWS, _COUNTS, _PLANAR, _PREDICTOR, _TILE_WIDTH, _TILE_HEIGHT = 278, 279, 284, 317, 322, 323
_TILE_OFFSETS, _TILE_COUNTS, _EXTRA, _FORMAT, _PROFILE = 324, 325, 338, 339, 34675
_UNPACKED = (1, 5, 8, 32946, 32773, 34925, 50000)
"""Compressions that give bytes back as they were: none, LZW, deflate twice, PackBits, LZMA, Zstandard."""
_KINDS = {(1, 8): "u1", (1, 16): "u2", (1, 32): "u4", (3, 16): "f2", (3, 32): "f4", (3, 64): "f8"}
"""(sample format, bits) -> NumPy's name."""
_WHITE_IS_ZERO, _GREY, _RGB = 0, 1, 2
_PREMULTIPLIED, _TRANSPARENCY = 1, 2
_USUAL = (255.0, 65535.0)
"""White of floating-point pictures that are not in 0 to 1."""
_MOST_BYTES = 1 << 31
"""Of all numbers of a picture, unpacked."""
_PART = 1 << 20
"""Pixels that are computed with at a time."""
_Numbers = npt.NDArray[Any]


@dataclass(frozen=True)
class _Layout:
    """How the numbers of a picture lie in its file.

    Attributes:
        kind: NumPy's name of a number, without its order. order: of bytes, ``<`` or ``>``. samples: numbers of a pixel.
        apart: each of them has a plane of its own. tile: width and height of tiles; None = strips.
        predictor: 1 = none, 2 = differences, 3 = of bytes of floating-point numbers.
    """

    width: int
    height: int
    kind: str
    order: str
    samples: int
    apart: bool
    tile: tuple[int, int] | None
    predictor: int

    @property
    def together(self) -> int:
        """Numbers that lie beside each other for one pixel."""
        return 1 if self.apart else self.samples

    @property
    def size(self) -> int:
        """Bytes of a number."""
        return int(self.kind[1])


def open_wide(data: bytes, most_pixels: int) -> Image.Image | None:
    """The first picture of a TIFF, upright, in 8 bits: L, LA, RGB or RGBA; with its profile, unless it is in sRGB
    already. None where these bytes are none that is read here.

    Floating-point numbers are white at 1, and brighter ones are cut off there; where more than half of them are above
    1, white is 255 or 65535, whichever holds them all, else their highest.

    Raises:
        UnreadableImage: too large. As Pillow: damaged.
    """
    if data[:4] not in (b"II*\0", b"MM\0*"):
        return None
    tags = tags_of(data)
    layout = _layout(tags, "<" if data[:2] == b"II" else ">")
    if layout is None:
        return None
    if layout.width * layout.height > most_pixels:
        raise UnreadableImage(f"has {layout.width} x {layout.height} pixels, more than this tool opens")
    if layout.width * layout.height * layout.samples * layout.size > _MOST_BYTES:
        raise UnreadableImage("has more numbers than this tool opens: save it as RGB of 8 or 16 bits a colour")
    colours = 3 if tags[_PHOTOMETRIC] == _RGB else 1
    planes = [_unpacked(data, tags, layout, number) for number in range(layout.samples if layout.apart else 1)]
    numbers = np.concatenate(planes, axis=-1)
    extra = _listed(tags.get(_EXTRA, ()))[:1]
    alpha = numbers.shape[-1] > colours and bool(extra) and extra[0] in (_PREMULTIPLIED, _TRANSPARENCY)
    shown = numbers[..., : colours + alpha]
    profile = tags.get(_PROFILE)
    by_profile = to_srgb_by(profile) if colours == 3 and isinstance(profile, bytes) else None
    meaning = _Meaning(colours, tags[_PHOTOMETRIC] == _WHITE_IS_ZERO, alpha and extra[0] == _PREMULTIPLIED, by_profile)
    whole = _in_8_bits(shown, meaning)
    mode = ("RGB" if colours == 3 else "L") + "A" * alpha
    image = Image.fromarray(whole if whole.shape[-1] > 1 else whole[..., 0])
    assert image.mode == mode
    turn = _TURNS.get(tags.get(ExifTags.Base.Orientation, 1))
    image = image if turn is None else image.transpose(turn)
    image.info = {"icc_profile": profile} if by_profile is None and isinstance(profile, bytes) else {}
    return image


def orientation_of(file: BinaryIO) -> object:
    """What a TIFF says of how it is turned, whether Pillow opens it or not; None = nothing, or it is none."""
    file.seek(0)
    try:
        return tags_of(file.read()).get(ExifTags.Base.Orientation)
    except (OSError, ValueError, TypeError, SyntaxError, LookupError, struct.error):
        return None


_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def _layout(tags: Mapping[int, Any], order: str) -> _Layout | None:
    """None where this is no picture that is read here."""
    named = {_TILE_OFFSETS, _TILE_COUNTS, _TILE_HEIGHT} if _TILE_WIDTH in tags else {_OFFSETS, _COUNTS}
    if not {_WIDTH, _HEIGHT, _PHOTOMETRIC, *named} <= {*tags}:
        return None
    samples = int(tags.get(_SAMPLES, 1))
    bits, formats = _listed(tags.get(_BITS, 1)), _listed(tags.get(_FORMAT, 1))
    kind = _KINDS.get((formats[0], bits[0])) if len(set(bits)) == len(set(formats)) == 1 else None
    colours = {_WHITE_IS_ZERO: 1, _GREY: 1, _RGB: 3}.get(tags[_PHOTOMETRIC])
    predictor = int(tags.get(_PREDICTOR, 1))
    fits = predictor in (1, 2) or (predictor == 3 and kind is not None and kind[0] == "f")
    if kind is None or colours is None or samples < colours or not fits or tags.get(_COMPRESSION, 1) not in _UNPACKED:
        return None
    tile = (int(tags[_TILE_WIDTH]), int(tags[_TILE_HEIGHT])) if _TILE_WIDTH in tags else None
    apart = samples > 1 and tags.get(_PLANAR, 1) == 2
    return _Layout(int(tags[_WIDTH]), int(tags[_HEIGHT]), kind, order, samples, apart, tile, predictor)


def _unpacked(data: bytes, tags: Mapping[int, Any], layout: _Layout, plane: int) -> _Numbers:
    """(height, width, numbers that lie together) of one plane."""
    beside = layout.together * layout.size
    block = layout.width if layout.tile is None else layout.tile[0]
    across = -(-layout.width // block)
    named = (_OFFSETS, _COUNTS) if layout.tile is None else (_TILE_OFFSETS, _TILE_COUNTS)
    own: dict[int, Sequence[int]] = {}
    for tag in named:
        values = _listed(tags[tag])
        each = len(values) // (layout.samples if layout.apart else 1)
        own[tag] = values[plane * each : (plane + 1) * each]
    # as greys of 8 bits, tiles in full, so that nothing is cut off before the predictor is undone
    own |= {_WIDTH: [across * block * beside], _HEIGHT: [layout.height], _BITS: [8], _SAMPLES: [1]}
    own |= {_PHOTOMETRIC: [_GREY], _COMPRESSION: [int(tags.get(_COMPRESSION, 1))]}
    if layout.tile is None:
        own[_ROWS] = [min(int(tags.get(_ROWS, layout.height)), layout.height)]
    else:
        own |= {_TILE_WIDTH: [block * beside], _TILE_HEIGHT: [layout.tile[1]]}
    file = TiffImagePlugin.TiffImageFile(io.BytesIO(_with_tags(data, own, layout.order)))
    file.load()
    rows = np.asarray(file).reshape(layout.height, across, block * beside)
    found = _undone(rows, layout).reshape(layout.height, across * block, layout.together)
    return found[:, : layout.width]


def _with_tags(data: bytes, tags: Mapping[int, Sequence[int]], order: str) -> bytes:
    """The same file with these tags in the place of those that it has."""
    at = len(data) + len(data) % 2
    lists, entries = b"", struct.pack(f"{order}H", len(tags))
    behind = at + len(entries) + 12 * len(tags) + 4
    for tag, values in sorted(tags.items()):
        packed = struct.pack(f"{order}{len(values)}I", *values)
        place = packed if len(values) == 1 else struct.pack(f"{order}I", behind + len(lists))
        entries += struct.pack(f"{order}HHI", tag, 4, len(values)) + place
        lists += packed if len(values) > 1 else b""
    return data[:4] + struct.pack(f"{order}I", at) + data[8:].ljust(at - 8, b"\0") + entries + bytes(4) + lists


def _undone(rows: npt.NDArray[np.uint8], layout: _Layout) -> _Numbers:
    """(height, blocks, numbers of a block's row): the numbers of these bytes, their predictor undone."""
    height, across, length = rows.shape
    if layout.predictor == 3:
        stepped = rows.reshape(height, across, length // layout.together, layout.together)
        bytes_apart = np.add.accumulate(stepped, axis=2, dtype=np.uint8).reshape(height, across, layout.size, -1)
        return np.ascontiguousarray(bytes_apart.swapaxes(2, 3)).view(f">{layout.kind}")[..., 0]
    plain = np.ascontiguousarray(rows)
    if layout.predictor == 2:
        whole = plain.view(f"{layout.order}u{layout.size}").reshape(height, across, -1, layout.together)
        summed = np.add.accumulate(whole, axis=2, dtype=f"u{layout.size}")
        return summed.reshape(height, across, -1).view(layout.kind)
    return plain.view(f"{layout.order}{layout.kind}")


@dataclass(frozen=True)
class _Meaning:
    """What the numbers of a pixel are.

    Attributes:
        colours: so many of them are colours, one more is the transparency. inverted: zero is white.
        premultiplied: the colours are weakened by the transparency. to_srgb: of a profile that needs no 8 bits.
    """

    colours: int
    inverted: bool
    premultiplied: bool
    to_srgb: Callable[[npt.NDArray[np.float64]], npt.NDArray[np.float64]] | None


def _in_8_bits(numbers: _Numbers, meaning: _Meaning) -> npt.NDArray[np.uint8]:
    """(height, width, n): colours and transparency, if there is any, as 0 to 255."""
    colours = meaning.colours
    real = numbers.dtype.kind == "f"
    full = 1.0 if real else float(np.iinfo(numbers.dtype).max)
    white = _white(numbers[..., :colours]) if real else full
    made = np.empty(numbers.shape, np.uint8)
    rows = max(1, _PART // max(1, numbers.shape[1]))
    for top in range(0, len(numbers), rows):
        part = np.nan_to_num(numbers[top : top + rows].astype(np.float64), posinf=white)
        colour, alpha = part[..., :colours] / white, np.clip(part[..., colours:] / full, 0, 1)
        if meaning.premultiplied:
            colour = np.divide(colour, alpha, out=np.zeros_like(colour), where=alpha > 0)
        colour = np.clip(colour, 0, 1)
        colour = 1 - colour if meaning.inverted else colour
        colour = colour if meaning.to_srgb is None else meaning.to_srgb(colour)
        made[top : top + rows] = np.round(np.concatenate([colour, alpha], axis=-1) * 255)
    return made


def _white(colours: _Numbers) -> float:
    """What stands for white; highlights beyond it are no reason to darken all the rest."""
    finite = colours[np.isfinite(colours)]
    if not finite.size or 2 * int((finite > 1).sum()) <= finite.size:
        return 1.0
    highest = float(finite.max())
    return next((limit for limit in _USUAL if highest <= limit), highest)


def _listed(value: Any) -> Sequence[int]:
    return value if isinstance(value, tuple) else (value,)
