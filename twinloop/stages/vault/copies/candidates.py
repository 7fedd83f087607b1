"""Which photos are worth comparing: those whose hashes are near each other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from twinloop.stages.vault.copies.hash_search import Hashes, pairs_within

Numbers = npt.NDArray[np.int32]


@dataclass(frozen=True)
class _Lists:
    """Many lists of numbers in two arrays: list ``i`` is ``values[starts[i]:starts[i + 1]]``."""

    starts: npt.NDArray[np.int64]
    values: Numbers

    @classmethod
    def of(cls, owners: Numbers, values: Numbers, count: int) -> _Lists:
        order = np.lexsort((values, owners))
        starts = np.zeros(count + 1, np.int64)
        np.cumsum(np.bincount(owners, minlength=count), out=starts[1:])
        return cls(starts, values[order])

    def __getitem__(self, number: int) -> Numbers:
        return self.values[self.starts[number] : self.starts[number + 1]]


class Candidates:
    """For every photo the others within a Hamming distance.

    Args:
        hashes: (n,) uint64. limit: bits. photos: (n,) numbers of the photos that have these hashes.
    """

    def __init__(self, hashes: Hashes, limit: int, photos: Numbers) -> None:
        different, places = np.unique(hashes, return_inverse=True)
        which = places.astype(np.int32)
        pairs = [(a.astype(np.int32), b.astype(np.int32)) for a, b in pairs_within(different, limit)]
        first = np.concatenate([a for a, _ in pairs]) if pairs else np.zeros(0, np.int32)
        second = np.concatenate([b for _, b in pairs]) if pairs else np.zeros(0, np.int32)
        self._photos = _Lists.of(which, photos, len(different))
        self._near = _Lists.of(np.concatenate([first, second]), np.concatenate([second, first]), len(different))
        self._which = dict(zip(photos.tolist(), which.tolist(), strict=True))

    def any(self, photo: int) -> bool:
        """Whether some photo is near this one."""
        which = self._which.get(photo)
        return which is not None and (len(self._photos[which]) > 1 or len(self._near[which]) > 0)

    def of(self, photo: int) -> list[int]:
        """The photos near this one; [] also for a photo without a hash."""
        which = self._which.get(photo)
        if which is None:
            return []
        found = [self._photos[which], *(self._photos[other] for other in self._near[which])]
        return [int(other) for other in np.concatenate(found) if other != photo]
