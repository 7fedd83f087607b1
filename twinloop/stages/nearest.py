"""The real photos that are most like a made image: what a person compares it with."""

from __future__ import annotations

from collections.abc import Sequence

from twinloop.domain.observation import Observation
from twinloop.domain.records import Member
from twinloop.stages.pixels import hash_distance
from twinloop.store.run.catalog import Catalog

HASH_BITS = 64


def nearest_photos(
    sha256: str, photos: Sequence[Member], catalog: Catalog, fingerprint: str, count: int
) -> list[tuple[Member, float, str]]:
    """(photo, similarity, by) of the ``count`` nearest, most alike first.

    ``by`` is ``identity`` (cosine of the subjects' embeddings, -1..1) where the image has one, else ``picture`` (share
    of equal bits of the perceptual hash, 0..1). Photos that were not measured are left out; [] when the image was not.
    """
    made = catalog.get(sha256, fingerprint)
    if made is None:
        return []
    seen = [(member, found) for member in photos if (found := catalog.get(member.sha256, fingerprint)) is not None]
    ranked = [(member, *_alike(made, found)) for member, found in seen]
    by_identity = [item for item in ranked if item[2] == "identity"]
    ranked = sorted(by_identity or ranked, key=lambda item: (-item[1], item[0].path))
    return ranked[:count]


def _alike(made: Observation, photo: Observation) -> tuple[float, str]:
    if made.embedding is not None and photo.embedding is not None:
        return float(made.embedding @ photo.embedding), "identity"
    return 1 - hash_distance(made.phash, photo.phash) / HASH_BITS, "picture"
