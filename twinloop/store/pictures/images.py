"""Reading image files: formats by allow-list, orientation applied exactly once, one decode for everything."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import struct
import warnings
import zlib
from collections.abc import Iterator, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from twinloop.domain.faces import ImageArray
from twinloop.errors import InputError, UnreadableImage
from twinloop.store.pictures import raw
from twinloop.store.pictures.cicp import remember_code_points
from twinloop.store.pictures.colours import to_srgb
from twinloop.store.pictures.deep_grey import GreyScale, is_deep, strips, to_8_bits
from twinloop.store.pictures.mask_marks import is_marked_mask
from twinloop.store.pictures.provenance import is_marked_synthetic
from twinloop.store.pictures.raw_pairs import without_pairs
from twinloop.store.pictures.signatures import what_else
from twinloop.store.pictures.tiffs import as_meant, readable, teach_pillow, unread_kind
from twinloop.store.pictures.wide_tiffs import open_wide, orientation_of

FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "AVIF", "HEIF")
"""Pillow's names. JPEG takes the MPO of iPhones and Samsungs in: a JPEG with further pictures behind the first, which
counts."""
SUFFIXES = raw.SUFFIXES.union(
    ".jpg .jpeg .jpe .jfif .mpo .png .webp .tif .tiff .bmp .gif .avif .heic .heif .hif".split()
)
"""Of photos, raw ones included, which may be anything of this by their content."""
READS = "reads-2"
"""Of which files can be read at all: it rises with them, so that a scan tries those again that it passed over."""
MAX_PIXELS = 178_956_970
"""Where Pillow, too, sees a decompression bomb: half a gigabyte as RGB."""
MAX_BYTES = 512 << 20

_TIFF, _RAW_HEAD = (b"II*\0", b"MM\0*"), 16
"""What most raw photos and no other formats than TIFF begin with; bytes that tell the other raw ones."""

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SIDEWAYS = (
    Image.Transpose.TRANSPOSE,
    Image.Transpose.ROTATE_270,
    Image.Transpose.TRANSVERSE,
    Image.Transpose.ROTATE_90,
)
DECODER_ERRORS = (
    OSError,
    ValueError,
    TypeError,
    SyntaxError,
    EOFError,
    ArithmeticError,
    LookupError,
    AttributeError,
    RuntimeError,
    MemoryError,
    struct.error,
    zlib.error,
)
"""What decoders were seen to raise on damaged files (RuntimeError: AVIF and HEIC); a photo of the user's must never
stop a run."""


@dataclass(frozen=True, eq=False)
class LoadedImage:
    """One decoded file.

    Attributes:
        path: as found. sha256: of the file's bytes.
        pixels: uint8 HxWx3 RGB, upright.
        origin: ``synthetic`` if the file carries the mark of one, else ``real``.
    """

    path: Path
    sha256: str
    pixels: ImageArray
    origin: str


MASK_LABEL = "-masklabel.png"
"""At the end of the names of masks that lie beside their photos, as OneTrainer has them."""


def find_images(folder: Path, *, masks: bool = False) -> list[Path]:
    """Image files under ``folder`` (by suffix), sorted by path; hidden files and links to folders are not followed.

    A raw photo beside the JPEG or HEIC of the same shot is left out. So is a mask that this program made, whether its
    photo is still there or not.

    Args:
        masks: also such masks, and pictures whose names say that they are the masks of photos beside them
            (`MASK_LABEL`).

    Raises:
        InputError: no such folder, or one (also a folder in it) that may not be read.
    """
    if folder.is_file():
        return [folder]
    if not folder.is_dir():
        raise InputError(f"Folder not found: {folder}")
    found: list[Path] = []
    for root, folders, names in os.walk(folder, onerror=_refuse, followlinks=False):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        images = [name for name in names if Path(name).suffix.lower() in SUFFIXES and not name.startswith(".")]
        photos = set() if masks else {Path(name).stem for name in images}
        # without its photo it is no mask of it, but a picture that happens to be called so
        images = [name for name in images if not _labels_one_of(name, photos)]
        found += [Path(root) / name for name in without_pairs(Path(root), images)]
    return sorted((path for path in found if path.is_file() and (masks or not is_marked_mask(path))), key=os.fspath)


def _labels_one_of(name: str, photos: Set[str]) -> bool:
    return name.endswith(MASK_LABEL) and name.removesuffix(MASK_LABEL) in photos


def _refuse(error: OSError) -> None:
    raise InputError(
        f"Cannot look into the folder {error.filename}: {error.strerror}. Change its permissions or move it away."
    )


def load_image(path: Path) -> LoadedImage:
    """Read, hash and decode one file.

    Raises:
        UnreadableImage: not an allowed format, too large, truncated or damaged; says which.
    """
    if path.suffix.lower() in raw.SUFFIXES and not raw.available():
        raise UnreadableImage(raw.MISSING)
    try:
        if path.stat().st_size > MAX_BYTES:
            raise UnreadableImage(f"larger than {MAX_BYTES >> 20} MB")
        data = path.read_bytes()
    except OSError as error:
        raise UnreadableImage(f"cannot be read: {error.strerror or error}") from error
    return LoadedImage(
        path, hashlib.sha256(data).hexdigest(), decode(data), "synthetic" if is_marked_synthetic(data) else "real"
    )


def decode(data: bytes) -> ImageArray:
    """Bytes of an image file -> uint8 HxWx3 RGB, upright.

    Transparency is laid on white; of an animation the first frame counts.

    Raises:
        UnreadableImage: with the reason.
    """
    with opened_image(data) as image:
        return decoded(image)


@contextmanager
def opened_image(data: bytes) -> Iterator[Image.Image]:
    """The image in these bytes, its header read and its size checked; what its decoder raises inside becomes one clear
    error.

    Raises:
        UnreadableImage: with the reason.
    """
    if not data:
        raise UnreadableImage("is empty")
    _enable_formats()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with _opened(data) as image:
                if image.width * image.height > MAX_PIXELS:
                    raise UnreadableImage(f"has {image.width} x {image.height} pixels, more than this tool opens")
                remember_code_points(image)
                yield image
    except UnreadableImage:
        raise
    except Image.DecompressionBombError as error:
        raise UnreadableImage(f"has more than {MAX_PIXELS:,} pixels, more than this tool opens") from error
    except UnidentifiedImageError as error:
        # Pillow's own text holds a memory address, and what is written down must be the same in every run
        raise UnreadableImage(_why_unknown(data)) from error
    except MemoryError as error:
        raise UnreadableImage("needs more memory to decode than this program may take") from error
    except DECODER_ERRORS as error:
        raise UnreadableImage(
            f"cannot be decoded: {str(error).splitlines()[0] if str(error) else type(error).__name__}"
        ) from error


def _why_unknown(data: bytes) -> str:
    kind = unread_kind(data)
    return what_else(data) if kind is None else f"is {kind}, which is not read: save it as RGB of 8 or 16 bits a colour"


def _opened(data: bytes) -> Image.Image:
    # asked first: to Pillow a raw photo is the thumbnail in it
    if raw.is_raw(data):
        return raw.open_raw(data, MAX_PIXELS)
    try:
        return readable(Image.open(io.BytesIO(data), formats=FORMATS), data)
    except UnidentifiedImageError:
        if (wide := open_wide(data, MAX_PIXELS)) is None:
            raise
        return wide


def decoded(image: Image.Image) -> ImageArray:
    """The pixels of an opened image (uint8 HxWx3 RGB, upright), at full size or at the one it was drafted to."""
    whole = upright_rgb(image)
    pixels = np.empty((whole.height, whole.width, 3), np.uint8)
    for box in strips(whole):
        pixels[box[1] : box[3]] = np.asarray(whole.crop(box))
    pixels.setflags(write=False)
    return pixels


def upright_rgb(image: Image.Image) -> Image.Image:
    """The same as a picture: a quarter of a large one can be had without ever holding all of it twice."""
    image.load()
    scale, turn, meant = GreyScale.of(image), turn_of(image), as_meant(image)
    picture = to_srgb(meant if turn is None else meant.transpose(turn))
    return to_8_bits(picture, scale).convert("RGB") if is_deep(picture) else _to_rgb(picture)


def upright_size(data: bytes) -> tuple[int, int]:
    """(width, height) of what `decode` would give; of a JPEG its header is enough.

    Raises:
        UnreadableImage: with the reason.
    """
    with opened_image(data) as image:
        if image.format not in ("JPEG", "MPO"):
            image.load()  # a TIFF turns itself, a PNG may tell its orientation behind the picture
        width, height = image.size
        return (height, width) if turn_of(image) in _SIDEWAYS else (width, height)


def upright_sizes(paths: Sequence[Path], at_most: int | None = None) -> list[tuple[int, int]]:
    """As `upright_size`, of those that can be read.

    Args:
        at_most: look at no more than so many, spread over all.
    """
    every = 1 if at_most is None else max(1, -(-len(paths) // at_most))
    sizes = []
    for path in paths[::every]:
        with contextlib.suppress(UnreadableImage, OSError):
            sizes.append(upright_size(path.read_bytes()))
    return sizes


def turn_of(image: Image.Image) -> Image.Transpose | None:
    """How the picture must be turned as EXIF says.

    HEIC comes turned, and says so; unreadable EXIF means "as it is": the picture itself is good.
    """
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation)
    except DECODER_ERRORS:
        return None
    return _TURNS.get(orientation) if isinstance(orientation, int) else None


def stored_orientation(file: BinaryIO) -> int | None:
    """How the picture that a file stores is turned upright, 1 to 8 as EXIF has it; 1 where nothing readable says so;
    None of a raw photo that cannot be opened.
    """
    _enable_formats()
    try:
        file.seek(0)
        head = file.read(_RAW_HEAD)
        if head[:4] in _TIFF or raw.is_raw(head):
            data = head + file.read(MAX_BYTES)
            if raw.is_raw(data):
                return raw.raw_orientation(data, MAX_PIXELS)
    except UnreadableImage:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            file.seek(0)
            image = Image.open(file, formats=FORMATS)
            # HEIC comes turned, and remembers how it was
            said = image.info.get("original_orientation") or image.getexif().get(ExifTags.Base.Orientation)
    except (*DECODER_ERRORS, Image.DecompressionBombError):
        said = orientation_of(file)
    return said if isinstance(said, int) and 1 <= said <= 8 else 1


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode in ("RGB", "L") and "transparency" in image.info:  # one colour of the file stands for none
        image = image.convert("RGBA")
    if image.mode in ("RGBA", "LA", "PA") or (image.mode == "P" and "transparency" in image.info):
        return _on_white(image)
    return image if image.mode == "RGB" else image.convert("RGB")


def _on_white(image: Image.Image) -> Image.Image:
    whole = Image.new("RGB", image.size)
    for box in strips(image):
        layered = image.crop(box).convert("RGBA")
        white = Image.new("RGBA", layered.size, (255, 255, 255, 255))
        whole.paste(Image.alpha_composite(white, layered).convert("RGB"), box)
    return whole


_formats_ready = False


def _enable_formats() -> None:
    global _formats_ready
    if not _formats_ready:
        import pillow_heif

        pillow_heif.register_heif_opener()
        teach_pillow()
        _formats_ready = True
