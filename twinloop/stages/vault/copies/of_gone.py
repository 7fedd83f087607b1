"""Photos that are no longer there, and whether another photo shows the same picture: edited, or a copy."""

from __future__ import annotations

from collections.abc import Collection, Set

from twinloop.domain.vault import VaultPhoto
from twinloop.stages.same_picture.likeness import is_flat, upright_copy
from twinloop.stages.vault.copies import moment
from twinloop.stages.vault.copies.dedup import options_for
from twinloop.stages.vault.copies.edits import apart
from twinloop.stages.vault.copies.of_person import Alike
from twinloop.stages.vault.copies.views import View, view_of
from twinloop.stages.vault.opened import OpenVault


def shown_elsewhere(opened: OpenVault, gone: Collection[str], others: Set[str], alike: Alike) -> frozenset[str]:
    """Which of these photos show the picture of one of the others, by the last search for duplicates or compared as
    there, with the same side up. All as sha256.

    Of a photo of which nothing measured is left, nothing is known.
    """
    compare = _Comparison(opened)
    kept_apart = apart(opened.decisions)
    return frozenset(
        photo
        for photo in gone
        if any(
            other in alike.get(photo, ()) or compare.is_copy(photo, other)
            for other in sorted(others - {photo} - set(kept_apart.get(photo, ())))
        )
    )


class _Comparison:
    """Photos as they were measured, there or not; each is looked up once."""

    def __init__(self, opened: OpenVault) -> None:
        self._opened = opened
        self._distance = options_for(opened.vault, None, None).distance
        self._photos: dict[str, VaultPhoto | None] = {}
        self._views: dict[str, View | None] = {}

    def is_copy(self, a: str, b: str) -> bool:
        one, other = self._photo(a), self._photo(b)
        if one is None or other is None:
            return False
        if (int(one.phash, 16) ^ int(other.phash, 16)).bit_count() > self._distance:
            return False
        seen, again = self._view(one), self._view(other)
        if seen is None or again is None or moment.other_people(seen.faces, again.faces, self._same_person):
            return False
        if is_flat(seen.thumbnail) or is_flat(again.thumbnail):
            return False
        return upright_copy(seen.thumbnail, again.thumbnail, seen.places, again.places) is not None

    @property
    def _same_person(self) -> float:
        return self._opened.record.same_person

    def _photo(self, sha256: str) -> VaultPhoto | None:
        if sha256 not in self._photos:
            self._photos[sha256] = self._opened.catalog.measured(sha256, self._opened.fingerprint)
        return self._photos[sha256]

    def _view(self, photo: VaultPhoto) -> View | None:
        if photo.sha256 not in self._views:
            self._views[photo.sha256] = view_of(photo, self._opened.catalog.thumbnail(photo.sha256))
        return self._views[photo.sha256]
