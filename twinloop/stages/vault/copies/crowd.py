"""Among many look-alikes, those first that are likeliest to be copies."""

from __future__ import annotations

from collections.abc import Callable, Collection

import numpy as np

from twinloop.stages.same_picture.alignment import WHOLE, Grey, Thumbnail, Window, detail

SIDE, REACH = 32, 5
"""At which details are compared, and what counts as one: of those that were tried they rank copies best (docs/log.md).
"""
INNER: Window = (0.025, 0.025, 0.975, 0.975)
"""What is left of a picture that was cut a little: nobody looks for the exact window here."""


class Crowd:
    """Looks of photos, each read once.

    Args:
        thumbnail: of a photo; None = it has none.
    """

    def __init__(self, thumbnail: Callable[[int], Thumbnail | None]) -> None:
        self._thumbnail = thumbnail
        self._looks: dict[int, Grey] = {}

    def nearest_first(self, photo: int, others: Collection[int]) -> list[int]:
        """The others, sorted by how much their details agree with the photo's, as both are or one of them cut; equal
        ones by number.
        """
        if not others:
            return []
        ordered = sorted(others)
        whole, inner = self._look(photo)
        looks = np.stack([self._look(other) for other in ordered])
        likeness = np.maximum((looks @ whole).max(1), looks[:, 0] @ inner)
        return [ordered[place] for place in np.argsort(-likeness, kind="stable")]

    def _look(self, photo: int) -> Grey:
        """(2, n) details of the whole picture and of what a cut leaves, each of length 1; zeros where nothing is to be
        seen.
        """
        if photo not in self._looks:
            thumbnail = self._thumbnail(photo)
            self._looks[photo] = np.zeros((2, SIDE * SIDE), np.float32) if thumbnail is None else _look_of(thumbnail)
        return self._looks[photo]


def _look_of(thumbnail: Thumbnail) -> Grey:
    values = np.stack([detail(thumbnail.part(window, SIDE), REACH).ravel() for window in (WHOLE, INNER)])
    return np.asarray(values / (np.linalg.norm(values, axis=1, keepdims=True) + 1e-6), np.float32)
