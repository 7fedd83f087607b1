"""One picture cut from a photo: decoded when somebody looks, at most once."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import numpy as np
from PIL import Image

from twinloop.errors import UnreadableImage
from twinloop.stages.vault.dataset.cut import Cut
from twinloop.store.pictures.images import LoadedImage, load_image
from twinloop.store.pictures.provenance import clean_png


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
            problems.append(UnreadableImage("was changed since the scan; scan again"))
        raise problems[0] if problems else UnreadableImage("is no longer there; scan again")


def _resized(photo: Image.Image, cut: Cut) -> Image.Image:
    part = photo.crop(cut.window.box)
    return part if part.size == cut.window.size else part.resize(cut.window.size, Image.Resampling.LANCZOS)
