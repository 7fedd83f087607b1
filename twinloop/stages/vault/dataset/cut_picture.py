"""One picture cut from a photo: decoded when somebody looks, at most once."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import numpy as np
from PIL import Image

from twinloop.domain.vault import VaultPhoto
from twinloop.errors import UnreadableImage
from twinloop.stages.vault.dataset.cut import Cut
from twinloop.store.atomic import sha256_file
from twinloop.store.pictures.images import LoadedImage, load_image
from twinloop.store.pictures.provenance import clean_png
from twinloop.store.vault.files import VaultFiles

_CHANGED = "was changed since the scan; scan again"
_GONE = "is no longer there; scan again"


class CutPicture:
    """The picture of a cut.

    Attributes raise UnreadableImage when the photo is gone, damaged, or not what was scanned.
    """

    def __init__(self, cut: Cut) -> None:
        self.cut = cut

    @cached_property
    def image(self) -> LoadedImage:
        """The cut pixels, uint8 HxWx3 RGB; ``sha256`` is the cut's key."""
        photo = self._photo()
        picture = np.asarray(_resized(Image.fromarray(photo.pixels), self.cut), dtype=np.uint8)
        return LoadedImage(photo.path, self.cut.key, np.ascontiguousarray(picture), photo.origin)

    @cached_property
    def png(self) -> bytes:
        """The file's bytes: lossless, no metadata but the mark of a synthetic source."""
        return clean_png(Image.fromarray(self.image.pixels), self.image.origin != "real")

    def _photo(self) -> LoadedImage:
        """The photo from the first of its files that still holds it."""
        problems = []
        for path in (path for path in map(Path, self.cut.photo.paths) if path.is_file()):
            try:
                loaded = load_image(path)
            except UnreadableImage as error:
                problems.append(error)
                continue
            if loaded.sha256 == self.cut.photo.sha256:
                return loaded
            problems.append(UnreadableImage(_CHANGED))
        raise problems[0] if problems else UnreadableImage(_GONE)


def check_still_there(photo: VaultPhoto, scanned: VaultFiles) -> None:
    """Raises UnreadableImage: none of the photo's files holds it any more. One that looks as the scan left it is not
    read.
    """
    there = [path for path in map(Path, photo.paths) if path.is_file()]
    if not any(_is_untouched(path, scanned) or _holds(path, photo.sha256) for path in there):
        raise UnreadableImage(_CHANGED if there else _GONE)


def _is_untouched(path: Path, scanned: VaultFiles) -> bool:
    entry, seen = scanned.at(path), path.stat()
    stat = (seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns)
    return entry is not None and stat == (entry.size, entry.mtime_ns, entry.ctime_ns)


def _holds(path: Path, sha256: str) -> bool:
    try:
        return sha256_file(path) == sha256
    except OSError:
        return False


def _resized(photo: Image.Image, cut: Cut) -> Image.Image:
    part = photo.crop(cut.window.box)
    return part if part.size == cut.window.size else part.resize(cut.window.size, Image.Resampling.LANCZOS)
