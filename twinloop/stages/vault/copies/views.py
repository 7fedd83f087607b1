"""Photos as near-duplicate search sees them: thumbnail, places of faces, who and how they look."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache

from twinloop.domain.vault import VaultFace, VaultPhoto
from twinloop.stages.same_picture.alignment import Thumbnail, Window
from twinloop.store.vault.catalog import VaultCatalog

REMEMBERED = 256
"""Photos; an opened one is about 0.1 MB."""


@dataclass(frozen=True, eq=False)
class View:
    """One photo.

    Attributes:
        jpeg: the thumbnail's. faces: largest and surest first. places: of these faces, as shares of width and height.
    """

    jpeg: bytes
    faces: tuple[VaultFace, ...]
    places: tuple[Window, ...]

    @cached_property
    def thumbnail(self) -> Thumbnail:
        """Opened when it is first looked at: often the faces alone decide."""
        return Thumbnail.of(self.jpeg)


class Views:
    """Views of a catalogue's photos, opened when asked for; the last ones are remembered."""

    def __init__(self, catalog: VaultCatalog, fingerprint: str) -> None:
        self._catalog, self._fingerprint = catalog, fingerprint
        self.get = lru_cache(REMEMBERED)(self._open)

    def _open(self, sha256: str) -> View | None:
        """None = the photo, or its thumbnail, is not in the catalogue."""
        photo = self._catalog.photo(sha256, self._fingerprint)
        return None if photo is None else view_of(photo, self._catalog.thumbnail(sha256))


def view_of(photo: VaultPhoto, jpeg: bytes | None) -> View | None:
    """A photo with its thumbnail; None = it has none."""
    if not jpeg:
        return None
    places = tuple(
        (box.x0 / photo.width, box.y0 / photo.height, box.x1 / photo.width, box.y1 / photo.height)
        for box in (found.face.box.clipped(photo.width, photo.height) for found in photo.faces)
    )
    return View(jpeg, photo.faces, places)


def read_thumbnail(catalog: VaultCatalog, sha256: str) -> Thumbnail | None:
    """The grey thumbnail of a photo; None where the catalogue has none that can be read."""
    data = catalog.thumbnail(sha256)
    try:
        return Thumbnail.of(data) if data else None
    except OSError:
        return None
