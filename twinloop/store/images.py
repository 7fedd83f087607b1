"""Reading image files: formats by allow-list, orientation applied exactly once, one decode for everything."""

from __future__ import annotations

import hashlib
import io
import os
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from twinloop.domain.faces import ImageArray
from twinloop.errors import InputError, UnreadableImage
from twinloop.store.provenance import is_marked_synthetic

FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "AVIF", "HEIF")
SUFFIXES = frozenset(
    {
        ".jpg",
        ".jpeg",
        ".jpe",
        ".jfif",
        ".png",
        ".webp",
        ".tif",
        ".tiff",
        ".bmp",
        ".gif",
        ".avif",
        ".heic",
        ".heif",
        ".mpo",
    }
)
MAX_PIXELS = 200_000_000
MAX_BYTES = 512 << 20


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


def find_images(folder: Path) -> list[Path]:
    """Image files under ``folder`` (by suffix), sorted by path; hidden files and links to folders are not followed.

    Raises:
        InputError: no such folder.
    """
    if folder.is_file():
        return [folder]
    if not folder.is_dir():
        raise InputError(f"Folder not found: {folder}")
    found: list[Path] = []
    for root, folders, names in os.walk(folder, followlinks=False):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found += [
            Path(root) / name for name in names if Path(name).suffix.lower() in SUFFIXES and not name.startswith(".")
        ]
    return sorted((path for path in found if path.is_file()), key=os.fspath)


def load_image(path: Path) -> LoadedImage:
    """Read, hash and decode one file.

    Raises:
        UnreadableImage: not an allowed format, too large, truncated or damaged; says which.
    """
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
    """Bytes of an image file -> uint8 HxWx3 RGB, upright. Transparency is laid on white; of an animation the first frame counts.

    Raises:
        UnreadableImage: with the reason.
    """
    if not data:
        raise UnreadableImage("is empty")
    _enable_heif()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(data), formats=FORMATS) as image:
                if image.width * image.height > MAX_PIXELS:
                    raise UnreadableImage(f"has {image.width} x {image.height} pixels, more than this tool opens")
                upright = ImageOps.exif_transpose(image)
                return np.ascontiguousarray(np.asarray(_to_rgb(upright), dtype=np.uint8))
    except UnreadableImage:
        raise
    except (
        OSError,
        ValueError,
        SyntaxError,
        EOFError,
        IndexError,
        TypeError,
        Image.DecompressionBombError,
        MemoryError,
    ) as error:
        raise UnreadableImage(
            f"cannot be decoded: {str(error).splitlines()[0] if str(error) else type(error).__name__}"
        ) from error


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode in ("I;16", "I;16B", "I;16L", "I", "F"):
        values = np.asarray(image, dtype=np.float64)
        # 16-bit greys are scaled by their format's range, not by their content, so that exposure stays what it was
        top = 255.0 if values.size and values.max() <= 255 else 65535.0
        return Image.fromarray(np.clip(values / top * 255.0, 0, 255).astype(np.uint8)).convert("RGB")
    if image.mode in ("RGBA", "LA", "PA") or (image.mode == "P" and "transparency" in image.info):
        layered = image.convert("RGBA")
        white = Image.new("RGBA", layered.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, layered).convert("RGB")
    return image.convert("RGB")


_heif_ready = False


def _enable_heif() -> None:
    global _heif_ready
    if not _heif_ready:
        import pillow_heif

        pillow_heif.register_heif_opener()
        _heif_ready = True


def iter_images(paths: list[Path]) -> Iterator[tuple[Path, LoadedImage | UnreadableImage]]:
    """Every path with its image, or with the reason why it is skipped: one bad file never stops a run."""
    for path in paths:
        try:
            yield path, load_image(path)
        except UnreadableImage as error:
            yield path, error
