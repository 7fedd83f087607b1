"""TIFFs that Pillow does not read, or reads wrongly: deep Lab colours, white-is-zero of big-endian files, colours in
planes. Of those that stay unread, what they hold.
"""

from __future__ import annotations

import io
import threading
import warnings
from typing import Any

import numpy as np
from PIL import Image, TiffImagePlugin

_BITS, _COMPRESSION, _PHOTOMETRIC, _SAMPLES, _PLANAR, _FORMAT = 258, 259, 262, 277, 284, 339
_WHITE_IS_ZERO, _RGB, _CIELAB, _ICCLAB = 0, 2, 8, 9
_APART = 2
"""Value of the tag for planes: each colour has its own."""
_COLOURS = {_WHITE_IS_ZERO: 1, 1: 1, _RGB: 3, 3: 1, 5: 4, 6: 3, _CIELAB: 3, _ICCLAB: 3, 10: 3}
_CALLED = {1: "grey", _WHITE_IS_ZERO: "grey", _RGB: "RGB", 3: "palette", 5: "CMYK", 6: "YCbCr"} | dict.fromkeys(
    (_CIELAB, _ICCLAB, 10), "Lab"
)
_NUMBERS = {2: "signed ", 3: "floating-point "}
_NATIVE = {f"{kind}{order}{sign}": f"{kind}N{sign}" for kind, sign in (("I;16", "S"), ("I;32", "S"), ("F;32", "F"))
           for order in ("", "B")}  # fmt: skip
_lock = threading.Lock()


def teach_pillow() -> None:
    """Have it open a few more kinds; Lab comes as if it were RGB, for `as_meant`."""
    kinds = TiffImagePlugin.OPEN_INFO
    kinds.setdefault((TiffImagePlugin.MM, _WHITE_IS_ZERO, (1,), 1, (16,), ()), ("I;16", "I;16B"))
    for order, end in ((TiffImagePlugin.II, "L"), (TiffImagePlugin.MM, "B")):
        kinds.setdefault((order, _ICCLAB, (1,), 1, (8, 8, 8), ()), ("RGB", "RGB"))
        for colours in (_CIELAB, _ICCLAB):
            kinds.setdefault((order, colours, (1,), 1, (16, 16, 16), ()), ("RGB", f"RGB;16{end}"))


def readable(image: Image.Image, data: bytes) -> Image.Image:
    """A just opened picture of these bytes; of a TIFF one that will be read rightly."""
    if not isinstance(image, TiffImagePlugin.TiffImageFile):
        return image
    # Pillow by itself takes planes for such of 8 bits
    in_planes = image.tag_v2.get(_PLANAR) == _APART and not image.use_load_libtiff
    tiff = _opened_by_libtiff(data) if in_planes else image
    if tiff.use_load_libtiff:
        tiff.tile = [tile._replace(args=_in_native_order(tile.args)) for tile in tiff.tile]
    return tiff


def _in_native_order(args: Any) -> Any:
    """libtiff gives numbers as this machine has them, which Pillow knows of some kinds only."""
    return (_NATIVE.get(args[0], args[0]), *args[1:]) if isinstance(args, tuple) else args


def _opened_by_libtiff(data: bytes) -> TiffImagePlugin.TiffImageFile:
    """The TIFF in these bytes, read by libtiff, which Pillow uses for compressed ones only."""
    with _lock:
        TiffImagePlugin.READ_LIBTIFF = True
        try:
            return TiffImagePlugin.TiffImageFile(io.BytesIO(data))
        finally:
            TiffImagePlugin.READ_LIBTIFF = False


def as_meant(image: Image.Image) -> Image.Image:
    """A loaded picture: Lab that was opened as RGB becomes what it is, and greys of 16 bits are black at 0 and white at
    65535.
    """
    if image.mode == "RGB" and _tag(image, _PHOTOMETRIC) in (_CIELAB, _ICCLAB):
        return _as_lab(image)
    if image.mode == "I;16" and _tag(image, _BITS) == 12:
        return image.point(lambda value: value * 16 + 0)
    if image.mode == "I;16" and is_white_zero(image):
        return image.point(lambda value: value * -1 + 65535)
    return image


def _as_lab(image: Image.Image) -> Image.Image:
    values = np.array(image)
    if _tag(image, _PHOTOMETRIC) == _ICCLAB:
        values[..., 1:] ^= 0x80  # from 128 as grey to signed numbers
    made = Image.frombytes("LAB", image.size, values.tobytes(), "raw", "LAB")
    made.info = image.info
    return made


def is_white_zero(image: Image.Image) -> bool:
    """Whether 0 stands for white, and Pillow leaves it so: it inverts 8 bits only."""
    return image.mode.startswith(("I", "F")) and _tag(image, _PHOTOMETRIC) == _WHITE_IS_ZERO


def is_signed_16(image: Image.Image) -> bool:
    return _tag(image, _FORMAT) == 2 and _tag(image, _BITS) == 16


def is_unsigned_32(image: Image.Image) -> bool:
    """Whether the numbers are such, which Pillow takes for signed ones."""
    return image.mode == "I" and _tag(image, _BITS) == 32 and _tag(image, _FORMAT) in (None, 1)


def _tag(image: Image.Image, tag: int) -> int | None:
    """A number of a TIFF, the first one where there are several."""
    value = image.tag_v2.get(tag) if isinstance(image, TiffImagePlugin.TiffImageFile) else None
    first = value[0] if isinstance(value, tuple) and value else value
    return first if isinstance(first, int) else None


def unread_kind(data: bytes) -> str | None:
    """What the first picture of a TIFF holds that was not opened; None where these bytes do not tell, or where it would
    be read if nothing were wrong with it.
    """
    if data[:4] not in (b"II*\0", b"MM\0*"):
        return None
    try:
        tags = tags_of(data)
        compression = tags.get(_COMPRESSION, 1)
        bits, kind, colours = (_first(tags.get(tag, 1)) for tag in (_BITS, _FORMAT, _PHOTOMETRIC))
        more = int(tags.get(_SAMPLES, 1)) - _COLOURS[colours]
    except (OSError, ValueError, TypeError, KeyError, SyntaxError, LookupError):
        return None
    if compression not in TiffImagePlugin.COMPRESSION_INFO:
        return f"a TIFF with compression {compression}"
    if bits <= 16 and kind == 1 and more <= 0:
        return None
    beside = f" with {more} more channel{'' if more == 1 else 's'}" if more > 0 else ""
    return f"a TIFF of {bits}-bit {_NUMBERS.get(kind, '')}{_CALLED[colours]}{beside}"


def tags_of(data: bytes) -> TiffImagePlugin.ImageFileDirectory_v2:
    """Of the first picture of a TIFF.

    Raises:
        OSError, ValueError, SyntaxError, struct.error: damaged.
    """
    tags, file = TiffImagePlugin.ImageFileDirectory_v2(data[:8]), io.BytesIO(data)
    file.seek(tags.next)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tags.load(file)
    return tags


def _first(value: Any) -> int:
    return int(value[0] if isinstance(value, tuple) else value)
