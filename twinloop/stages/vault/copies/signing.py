"""What near-duplicate search needs of every photo: whether it can be recognised at all, and the hash of its central
disc.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from twinloop.ports import Reporter
from twinloop.stages.same_picture.alignment import Thumbnail
from twinloop.stages.same_picture.disc import disc_hash, unrolled
from twinloop.stages.same_picture.likeness import is_flat
from twinloop.stages.vault.copies.views import read_thumbnail
from twinloop.stages.vault.opened import OpenVault
from twinloop.store.vault.likeness_cache import LikenessCache, Signature
from twinloop.store.vault.summaries import PhotoSummary

VERSION = "1"
"""Of the arithmetic below; a new one makes all signatures anew."""
_BATCH = 500


def signatures(opened: OpenVault, photos: Sequence[PhotoSummary], reporter: Reporter) -> dict[str, Signature]:
    """A signature for every photo with a thumbnail; made once per photo, and kept in the vault."""
    with LikenessCache(opened.vault.likeness, f"{VERSION}|{opened.fingerprint}") as cache:
        known = cache.known()
        missing = [photo.sha256 for photo in photos if photo.sha256 not in known]
        for batch, done in _batches(missing):
            made = [
                (sha256, sign(thumbnail))
                for sha256 in batch
                if (thumbnail := read_thumbnail(opened.catalog, sha256)) is not None
            ]
            cache.put(made)
            known.update(made)
            reporter.progress("Looking at thumbnails", done, len(missing))
    return known


def sign(thumbnail: Thumbnail) -> Signature:
    """The signature of one thumbnail."""
    return Signature(is_flat(thumbnail), disc_hash(unrolled(thumbnail.image)))


def _batches(items: Sequence[str]) -> Iterator[tuple[Sequence[str], int]]:
    for start in range(0, len(items), _BATCH):
        batch = items[start : start + _BATCH]
        yield batch, start + len(batch)
