"""Photos as near-duplicate search sees them: thumbnail, places of faces, who and how they look."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from twinloop.domain.vault import VaultFace
from twinloop.stages.vault.alignment import Thumbnail, Window
from twinloop.store.vault_catalog import VaultCatalog

REMEMBERED = 512
"""Opened thumbnails, of about 0.1 MB each."""


@dataclass(frozen=True, eq=False)
class View:
    """One photo.

    Attributes:
        faces: largest and surest first. places: of these faces, as shares of width and height.
    """

    sha256: str
    thumbnail: Thumbnail
    taken: float | None
    faces: tuple[VaultFace, ...]
    places: tuple[Window, ...]


class Views:
    """Views of a catalogue's photos, opened when asked for; the last ones are remembered."""

    def __init__(self, catalog: VaultCatalog, fingerprint: str) -> None:
        self._catalog, self._fingerprint = catalog, fingerprint
        self.get = lru_cache(REMEMBERED)(self._open)

    def _open(self, sha256: str) -> View | None:
        """None = the photo, or its thumbnail, is not in the catalogue."""
        photo, thumbnail = self._catalog.photo(sha256, self._fingerprint), read_thumbnail(self._catalog, sha256)
        if photo is None or thumbnail is None:
            return None
        places = tuple(
            (box.x0 / photo.width, box.y0 / photo.height, box.x1 / photo.width, box.y1 / photo.height)
            for box in (found.face.box.clipped(photo.width, photo.height) for found in photo.faces)
        )
        return View(sha256, thumbnail, photo.taken, photo.faces, places)


def read_thumbnail(catalog: VaultCatalog, sha256: str) -> Thumbnail | None:
    """The grey thumbnail of a photo; None where the catalogue has none that can be read."""
    data = catalog.thumbnail(sha256)
    try:
        return Thumbnail.of(data) if data else None
    except OSError:
        return None
