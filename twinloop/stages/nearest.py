"""The real photos that are most like a made image: what a person compares it with."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from twinloop.domain.observation import Observation
from twinloop.domain.records import Member
from twinloop.store.run.catalog import Catalog

HASH_BITS = 64
_ROUNDING = 1e-4
"""By which two ways to add up the product of two unit vectors may differ, with plenty to spare."""


class MeasuredPhotos:
    """What was measured of photos, read once for all the images that they are compared with.

    Photos that were not measured are left out.
    """

    def __init__(self, photos: Sequence[Member], catalog: Catalog, fingerprint: str) -> None:
        seen = [(photo, found) for photo in photos if (found := catalog.get(photo.sha256, fingerprint)) is not None]
        known = [(photo, found.embedding) for photo, found in seen if found.embedding is not None]
        self._photos = [photo for photo, _ in seen]
        self._hashes = np.array([int(found.phash, 16) for _, found in seen], np.uint64)
        self._known = [photo for photo, _ in known]
        self._embeddings = np.stack([embedding for _, embedding in known]) if known else None

    def nearest(self, made: Observation, count: int) -> list[tuple[Member, float, str]]:
        """(photo, similarity, by) of the ``count`` nearest, most alike first.

        ``by`` is ``identity`` (cosine of the subjects' embeddings, -1..1) where the image and any photo have one, else
        ``picture`` (share of equal bits of the perceptual hash, 0..1).
        """
        if count <= 0 or not self._photos:
            return []
        if made.embedding is not None and self._embeddings is not None:
            known, vectors, by = self._known, self._embeddings, "identity"
            rough = vectors @ made.embedding
            # the last bits of a product depend on how many are worked out at once: the shown ones are worked out alone
            found = [(known[n], float(made.embedding @ vectors[n])) for n in _highest(rough, count)]
        else:
            differing = np.bitwise_count(self._hashes ^ np.uint64(int(made.phash, 16)))
            shares, by = 1 - differing / HASH_BITS, "picture"
            found = [(self._photos[n], float(shares[n])) for n in _highest(shares, count)]
        found.sort(key=lambda item: (-item[1], item[0].path))
        return [(photo, value, by) for photo, value in found[:count]]


def _highest(values: npt.NDArray[np.floating], count: int) -> list[int]:
    """Places of the ``count`` highest values, and of those that rounding or their names may put before one of them."""
    if count >= len(values):
        return list(range(len(values)))
    least = np.partition(values, -count)[-count]
    return [int(place) for place in np.flatnonzero(~(values < least - _ROUNDING))]
