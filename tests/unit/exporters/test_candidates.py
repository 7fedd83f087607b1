"""What is measured on the photos of a dataset, relative to one another."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest

from tests.helpers.fake_photos import fake_photo
from tests.unit.exporters.makers import candidate, dataset
from tests.unit.stages.vault.people.makers import faces_like
from tests.unit.things import Recording
from twinloop.adapters.fakes import fake_pack
from twinloop.domain.faces import FloatArray
from twinloop.domain.records import Dataset, Member
from twinloop.errors import StateError
from twinloop.exporters.candidates import Candidates, LikenessToOthers, gather
from twinloop.facets import BUILTIN
from twinloop.stages.observe import Observer
from twinloop.store.atomic import sha256_file
from twinloop.store.pictures.images import load_image
from twinloop.store.run.catalog import Catalog


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


def gathered(source: Path) -> Candidates:
    with Catalog(None) as catalog:
        return gather(source, Observer(fake_pack(), BUILTIN), catalog, Recording())


def test_without_the_made_ones_they_are_left_out_with_the_reason() -> None:
    only = dataset(candidate("real.png"), candidate("made.png", origin="synthetic")).real_only()
    assert [item.name for item in only.items] == ["real.png"] and only.looked_at == 2
    assert only.left_out == (("made.png", "synthetic, and only real photos were asked for"),)


def test_a_photo_that_changed_since_it_was_measured_is_not_exported(tmp_path: Path) -> None:
    for number in range(3):
        fake_photo(tmp_path / f"{number}.png", seed=number)
    found = gathered(tmp_path)
    assert (found.dataset, found.looked_at, len(found.items)) == (tmp_path.name, 3, 3)
    fake_photo(found.items[0].path, seed=99)
    with pytest.raises(StateError, match="changed while it was exported"):
        found.items[0].pixels()
    assert np.array_equal(found.items[1].pixels(), load_image(found.items[1].path).pixels)


def test_what_the_runs_record_calls_made_is_made_also_without_a_mark(tmp_path: Path) -> None:
    members = []
    for number, origin in enumerate(("real", "synthetic", "real")):
        fake_photo(path := tmp_path / f"{number}.png", seed=number)
        members.append(Member(str(path), sha256_file(path), "c", origin, int(origin != "real"), 1.0))
    record = tmp_path / "dataset_iter1.json"
    record.write_text(json.dumps(Dataset(tuple(members)).to_json()))
    assert [item.real for item in gathered(record).items] == [True, False, True]


def test_sharpness_is_relative_to_the_median_and_likeness_to_real_photos_alone(tmp_path: Path) -> None:
    """What a model made vouches for nobody."""
    members = []
    for number, origin in enumerate(("real", "real", "synthetic", "real", "real")):
        fake_photo(path := tmp_path / f"{number}.png", seed=number, likeness=15 - number)
        members.append(Member(str(path), sha256_file(path), "c", origin, int(origin != "real"), 1.0))
    record = tmp_path / "dataset_iter1.json"
    record.write_text(json.dumps(Dataset(tuple(members)).to_json()))
    items = gathered(record).items
    assert len(items) == 5
    measured = [item.seen.measures["face_sharpness"] for item in items]
    assert [item.sharpness for item in items] == pytest.approx([one / np.median(measured) for one in measured])
    assert len(set(measured)) > 1
    for item in items:
        others = [other.face.embedding for other in items if other.real and other is not item]
        mine = item.face.embedding
        assert mine is not None
        assert item.likeness == pytest.approx(
            float(np.mean([one @ mine for one in others if one is not None])), abs=1e-6
        )
