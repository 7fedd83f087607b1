"""The nearest photos of many images: each photo is read once, and the order is that of comparing each with each."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.things import digest, face, member, observation
from twinloop.domain.observation import Observation
from twinloop.domain.records import Member
from twinloop.stages.nearest import MeasuredPhotos
from twinloop.stages.pixels import hash_distance
from twinloop.store.run.catalog import Catalog


def one_by_one(made: Observation, photos: list[tuple[Member, Observation]], count: int) -> list[tuple[str, float, str]]:
    """What is to come out."""
    known = made.embedding is not None and any(found.embedding is not None for _, found in photos)
    ranked = [
        (photo.path, float(made.embedding @ found.embedding), "identity")
        if made.embedding is not None and found.embedding is not None
        else (photo.path, 1 - hash_distance(made.phash, found.phash) / 64, "picture")
        for photo, found in photos
        if not known or found.embedding is not None
    ]
    return sorted(ranked, key=lambda item: (-item[1], item[0]))[:count]


def seen(name: str, rng: np.random.Generator, vectors: np.ndarray, faces: bool) -> Observation:
    vector = vectors[rng.integers(len(vectors))] if faces else None
    phash = f"{int(rng.integers(2**63)) & 0xF0F0F0F000000000:016x}"
    return observation(name, [face(embedding=vector)], phash=phash)


@given(st.integers(0, 2**32), st.integers(0, 30), st.integers(1, 12), st.sampled_from(["all", "some", "none"]))
def test_the_order_and_the_figures_are_those_of_each_with_each(seed: int, many: int, count: int, faces: str) -> None:
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(20, 512))  # fewer than photos: some are as like as others
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    with_face = [faces == "all" or (faces == "some" and n % 2 == 0) for n in range(many)]
    pairs = [(member(f"{n}"), seen(f"{n}", rng, vectors, with_face[n])) for n in range(many)]
    made = seen("made", rng, vectors, faces != "none")
    with Catalog(None) as catalog:
        for _, found in pairs:
            catalog.put(replace(found, fingerprint="f"))
        measured = MeasuredPhotos([photo for photo, _ in pairs], catalog, "f")
    nearest = [(photo.path, value, by) for photo, value, by in measured.nearest(made, count)]
    assert nearest == one_by_one(made, pairs, count)


def test_each_photo_is_read_once_for_all_images(monkeypatch: pytest.MonkeyPatch) -> None:
    photos = [member(f"{n}") for n in range(9)]
    asked: list[str] = []
    get = Catalog.get
    monkeypatch.setattr(Catalog, "get", lambda self, sha256, by: asked.append(sha256) or get(self, sha256, by))
    with Catalog(None) as catalog:
        for photo in photos[1:]:
            catalog.put(replace(observation(photo.path.removesuffix(".png")), fingerprint="f"))
        measured = MeasuredPhotos(photos, catalog, "f")
    for n in range(20):
        assert len(measured.nearest(observation(f"made{n}"), 3)) == 3
    assert sorted(asked) == sorted(photo.sha256 for photo in photos)
    assert digest("0") not in [photo.sha256 for photo, *_ in measured.nearest(observation("x"), 12)], "not measured"
