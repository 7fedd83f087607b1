"""Raw photos of cameras: which files are some, and the picture in one, as the camera made it or developed by LibRaw."""

from __future__ import annotations

import contextlib
import io
import os
import struct
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any

from PIL import ExifTags, Image

from twinloop.errors import UnreadableImage, pip_line
from twinloop.store.pictures.capture_time import time_tags

if TYPE_CHECKING:
    import rawpy

SUFFIXES = frozenset(
    ".cr2 .cr3 .crw .nef .nrw .arw .srf .sr2 .dng .raf .rw2 .rwl .orf .pef .srw .x3f .3fr .iiq .erf .mrw .raw".split()
)
MISSING = f"is a raw photo of a camera, and what reads those is not installed: {pip_line('raw')}"
DAMAGED = "is a raw photo that is damaged, or of a camera that LibRaw does not know"
PREVIEW_SIDE = 2048
"""Longer side in pixels from which the JPEG that the camera put in is taken for the photo."""

_TAIL = 1024
"""Bytes at the end of the camera's JPEG that must be in the file."""
_STARTS = (b"FUJIFILMCCD-RAW", b"FOVb", b"\0MRM", b"IIRO", b"IIRS", b"IIU\0", b"MMOR")
_DNG_VERSION, _SUBFILE, _COMPRESSION, _PHOTOMETRIC, _SUB_IFDS = 50706, 254, 259, 262, 330
_SENSOR = {_PHOTOMETRIC: {32803, 34892}, _COMPRESSION: {32767, 32770, 34316, 34713, 65000, 65535}}
"""What only the pixels of a sensor have: filtered colours or linear ones; compressions of Sony, Samsung, Panasonic,
Nikon, Kodak and Pentax."""
_MOST_IFDS, _MOST_TAGS = 32, 512
_TURNS = {0: 1, 1: 2, 2: 4, 3: 3, 4: 5, 5: 8, 6: 6, 7: 7}
"""LibRaw's number of a turn -> EXIF's."""
_SIDEWAYS = (5, 6, 7, 8)
_SRGB_CURVE = (2.4, 12.92)
_WHITE_POINT_SLACK = 0.9
"""Where the brightest value of a photo is at least so much of the camera's white, it counts as white: the white of many
cameras is a few percent too high in LibRaw's tables, and burnt-out skies would come out pink. Lower, and a photo would
be brightened for what it shows."""


def available() -> bool:
    """Whether the library that opens raw photos is there."""
    return _library() is not None


def library_version() -> str:
    """``rawpy 0.28.0 (LibRaw 0.22.2)``; "" where it is not installed."""
    rawpy = _library()
    return "" if rawpy is None else f"rawpy {rawpy.__version__} (LibRaw {'.'.join(map(str, rawpy.libraw_version))})"


def _library() -> ModuleType | None:
    try:
        import rawpy
    except ImportError:
        return None
    return rawpy


def is_raw(data: bytes) -> bool:
    """Whether the bytes of a file are a raw photo, whatever it is called.

    Most raw formats are TIFFs that begin with a thumbnail, which is what other decoders take for the photo.
    """
    if data.startswith(_STARTS) or data[4:12] == b"ftypcrx " or data[6:14] == b"HEAPCCDR":
        return True
    if data[:4] not in (b"II*\0", b"MM\0*"):
        return False
    if data[8:10] == b"CR" or data[8:12] in (b"IIII", b"MMMM"):  # Canon, Phase One
        return True
    try:
        return _tells_sensor(data)
    except struct.error:  # cut off, or no TIFF: its decoder says so
        return False


def _tells_sensor(data: bytes) -> bool:
    for number, tags in enumerate(_directories(data)):
        if any(tags.get(tag) in values for tag, values in _SENSOR.items()):
            return True
        # a TIFF whose first picture is a reduced one of another in it: a photo comes first in its own file
        if number == 0 and (_DNG_VERSION in tags or (tags.get(_SUBFILE) == 1 and _SUB_IFDS in tags)):
            return True
    return False


def _directories(data: bytes) -> Iterator[dict[int, int]]:
    """The directories of a TIFF, each as tag -> first value (of what does not fit: its place), the first one first."""
    order = "<" if data.startswith(b"II") else ">"
    waiting = [struct.unpack_from(f"{order}I", data, 4)[0]]
    seen = set[int]()
    while waiting and len(seen) < _MOST_IFDS:
        at = waiting.pop(0)
        if at == 0 or at in seen:
            continue
        seen.add(at)
        (count,) = struct.unpack_from(f"{order}H", data, at)
        if count > _MOST_TAGS:
            return
        tags = dict[int, int]()
        for entry in range(at + 2, at + 2 + 12 * count, 12):
            tag, kind, values = struct.unpack_from(f"{order}HHI", data, entry)
            tags[tag] = struct.unpack_from(f"{order}{'H' if kind == 3 else 'I'}", data, entry + 8)[0]
            if tag == _SUB_IFDS and values > 1:
                waiting += struct.unpack_from(f"{order}{min(values, _MOST_IFDS)}I", data, tags[tag])
            elif tag == _SUB_IFDS:
                waiting.append(tags[tag])
        yield tags
        waiting += struct.unpack_from(f"{order}I", data, at + 2 + 12 * count)


def open_raw(data: bytes, most: int) -> Image.Image:
    """The picture in the bytes of a raw photo: the camera's own JPEG where it is large enough, not yet decoded and with
    EXIF that says how it must be turned; else what is developed, upright. Its EXIF says when it was taken.

    Args:
        most: pixels that a photo may have.

    Raises:
        UnreadableImage: with the reason.
    """
    with _opened(data, most) as raw:
        image = _preview(raw, data)
        if image is None:
            image = Image.fromarray(raw.postprocess(**_development()))
    return _dated(image, data)


def raw_orientation(data: bytes, most: int) -> int:
    """How the picture on the sensor is turned upright, 1 to 8 as EXIF has it.

    Args:
        most: pixels that a photo may have.

    Raises:
        UnreadableImage: with the reason.
    """
    with _opened(data, most) as raw:
        return _TURNS.get(raw.sizes.flip, 1)


@dataclass(frozen=True, eq=False)
class Half:
    """A raw photo developed at half its size, upright; ``width`` and ``height`` are those of the whole."""

    image: Image.Image
    width: int
    height: int


def half_developed(data: bytes, least: int, most: int) -> Half | None:
    """A raw photo at half its size, in an eighth of the time; None where the camera's own JPEG is taken for it, where
    the longer side would be less than ``least``, or the sensor's pixels do not go into two.

    Raises:
        UnreadableImage: with the reason.
    """
    with _opened(data, most) as raw:
        size = raw.sizes
        if max(size.width, size.height) < 2 * least or size.pixel_aspect != 1 or _preview(raw, data) is not None:
            return None
        image = Image.fromarray(raw.postprocess(half_size=True, **_development()))
    sideways = _TURNS.get(size.flip) in _SIDEWAYS
    width, height = (size.height, size.width) if sideways else (size.width, size.height)
    if image.size != ((width + 1) // 2, (height + 1) // 2):
        return None
    return Half(_dated(image, data), width, height)


def _development() -> dict[str, Any]:
    """The camera's white balance, sRGB, and the exposure as it was: no histogram is stretched."""
    import rawpy

    return {
        "use_camera_wb": True,
        "output_color": rawpy.ColorSpace.sRGB,
        "output_bps": 8,
        "gamma": _SRGB_CURVE,
        "no_auto_bright": True,
        "adjust_maximum_thr": _WHITE_POINT_SLACK,
    }


@contextlib.contextmanager
def _opened(data: bytes, most: int) -> Iterator[rawpy.RawPy]:
    rawpy = _library()
    if rawpy is None:
        raise UnreadableImage(MISSING)
    try:
        with _quiet(), rawpy.imread(io.BytesIO(data)) as raw:
            size = raw.sizes
            if max(size.raw_width * size.raw_height, size.width * size.height) > most:
                raise UnreadableImage(f"has {size.width} x {size.height} pixels, more than this tool opens")
            yield raw
    except (MemoryError, rawpy.LibRawUnsufficientMemoryError, rawpy.LibRawTooBigError) as error:
        raise UnreadableImage("needs more memory to decode than this program may take") from error
    except (rawpy.LibRawError, rawpy.NotSupportedError, OSError, ValueError, AssertionError) as error:
        raise UnreadableImage(DAMAGED) from error


def _preview(raw: rawpy.RawPy, data: bytes) -> Image.Image | None:
    """The camera's own JPEG; asked for before anything is unpacked, since the file is let go of then.

    Raises:
        UnreadableImage: the file ends before it does.
    """
    import rawpy

    try:
        found = raw.extract_thumb()
    except (rawpy.LibRawNoThumbnailError, rawpy.LibRawUnsupportedThumbnailError, rawpy.NotSupportedError):
        return None
    if found.format is not rawpy.ThumbFormat.JPEG or not isinstance(found.data, bytes):
        return None
    try:
        image = Image.open(io.BytesIO(found.data), formats=("JPEG",))
    except (OSError, ValueError, SyntaxError):
        return None
    if max(image.size) < PREVIEW_SIDE:
        return None
    if found.data[-min(_TAIL, len(found.data) // 2) :] not in data:
        # LibRaw gives what happened to be in memory for what a file that is cut off lacks
        raise UnreadableImage(DAMAGED)
    image.getexif()[ExifTags.Base.Orientation] = _orientation(image, raw)
    return image


def _orientation(image: Image.Image, raw: rawpy.RawPy) -> int:
    """How the camera's JPEG must be turned. It may say so itself, leave it to the raw photo, or be upright already."""
    of_raw = _TURNS.get(raw.sizes.flip, 1)
    own = image.getexif().get(ExifTags.Base.Orientation)
    own = own if isinstance(own, int) and own in _TURNS.values() else of_raw
    if of_raw not in _SIDEWAYS or image.width == image.height:
        return own
    as_on_sensor = (image.width > image.height) == (raw.sizes.width > raw.sizes.height)
    if not as_on_sensor:
        return 1
    return own if own in _SIDEWAYS else of_raw


def _dated(image: Image.Image, data: bytes) -> Image.Image:
    tags = image.getexif().get_ifd(ExifTags.IFD.Exif)
    if not tags.get(ExifTags.Base.DateTimeOriginal):
        tags.update(time_tags(data))
    return image


_quieting = threading.Lock()
_silent = 0
_terminal = -1


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """LibRaw writes its complaints to the terminal itself; they are told as reasons instead."""
    _change_silence(+1)
    try:
        yield
    finally:
        _change_silence(-1)


def _change_silence(by: int) -> None:
    """Several threads may decode at once: the first one silences, the last one gives the terminal back."""
    global _silent, _terminal
    with _quieting:
        _silent += by
        if by > 0 and _silent == 1:
            with contextlib.suppress(OSError):  # no such descriptor: nobody listens
                _terminal = os.dup(2)
                nothing = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nothing, 2)
                os.close(nothing)
        elif _silent == 0 and _terminal >= 0:
            os.dup2(_terminal, 2)
            os.close(_terminal)
            _terminal = -1
