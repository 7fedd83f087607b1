"""Finding a face again: the same photo, and boxes that overlap, whatever detector drew them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from twinloop.domain.faces import Box
from twinloop.domain.vault import FaceKey


class KeyIndex:
    """Faces by photo.

    Args:
        keys: all different.
    """

    def __init__(self, keys: Iterable[FaceKey]) -> None:
        self._by_photo: dict[str, list[FaceKey]] = {}
        self._keys: dict[FaceKey, None] = {}
        for key in keys:
            self._by_photo.setdefault(key.sha256, []).append(key)
            self._keys[key] = None

    def __iter__(self) -> Iterator[FaceKey]:
        return iter(self._keys)

    def find(self, key: FaceKey) -> FaceKey | None:
        """The face that ``key`` means; of several that overlap with it the one that does most.

        None = it is not here.
        """
        if key in self._keys:
            return key
        near = [other for other in self._by_photo.get(key.sha256, ()) if other.same(key)]
        return max(near, key=lambda other: Box(*other.box).iou(Box(*key.box)), default=None)

    def find_all(self, keys: Iterable[FaceKey]) -> list[FaceKey]:
        """The faces that are here, each once."""
        return list(dict.fromkeys(found for key in keys if (found := self.find(key)) is not None))
