"""What is measured on the photos of a dataset, relative to one another."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import pytest

from tests.unit.stages.vault.people.makers import faces_like
from twinloop.domain.faces import FloatArray
from twinloop.exporters.candidates import LikenessToOthers


class Counted(Mapping[str, FloatArray]):
    """Vectors that count how often all of them are gone through."""

    def __init__(self, own: dict[str, FloatArray]) -> None:
        self._own, self.rounds = own, 0

    def __getitem__(self, name: str) -> FloatArray:
        return self._own[name]

    def __iter__(self) -> Iterator[str]:
        self.rounds += 1
        return iter(self._own)

    def __len__(self) -> int:
        return len(self._own)


def test_likeness_is_the_mean_cosine_to_the_photos_of_other_content() -> None:
    rows = faces_like(1, 30)
    own = {f"{number}": row for number, row in enumerate(rows)}
    likeness = LikenessToOthers(own)
    for number, row in enumerate(rows):
        others = np.delete(rows, number, axis=0)
        assert likeness.of(f"{number}", row) == pytest.approx(float(np.mean(others @ row)), abs=1e-6)
    made = faces_like(2, 1)[0]  # of a picture that is not among them
    assert likeness.of("synthetic", made) == pytest.approx(float(np.mean(rows @ made)), abs=1e-6)


def test_without_a_vector_or_another_photo_nothing_is_known() -> None:
    (row,) = faces_like(1, 1)
    assert LikenessToOthers({}).of("a", row) is None
    assert LikenessToOthers({"a": row}).of("a", row) is None and LikenessToOthers({"a": row}).of("b", None) is None
    assert LikenessToOthers({"a": row}).of("b", row) == pytest.approx(1.0, abs=1e-6)


def test_the_vectors_are_added_up_once() -> None:
    rows = {f"{number}": row for number, row in enumerate(faces_like(1, 50))}
    own = Counted(rows)
    likeness = LikenessToOthers(own)
    for name, row in rows.items():
        likeness.of(name, row)
    assert own.rounds == 1
