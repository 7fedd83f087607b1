"""The pictures that the detectors learn from: which labelled faces are drawn."""

from __future__ import annotations

import json

import numpy as np
import pytest

pytest.importorskip("numba")

from workshop.detectors.pool import WORN, Pool
from workshop.detectors.worn import held_out, read_faces


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Pool:
    folder = tmp_path_factory.mktemp("shards")
    np.savez(folder / "shard_0000.npz", images=np.zeros((8, 4, 4, 3), np.uint8))
    (folder / "shard_0000.json").write_text(json.dumps([{}] * 8))
    bare = np.full((4, 4, 4, 3), 9, np.uint8)
    np.savez(folder / "generated_bare.npz", images=bare, boxes=np.ones((4, 4), np.float32))
    (folder / "generated_bare.json").write_text("[1, 0, null, 0]")
    return Pool(folder, folder)


def test_no_face_of_held_out_people_is_learned_from(pool: Pool) -> None:
    kept = {face.tile.tobytes() for face in held_out(read_faces())}
    assert len(kept) == 169 and len(pool.worn) == 908
    assert not kept & {face.image.tobytes() for face in pool.worn}


def test_both_kinds_and_both_sources_are_drawn(pool: Pool) -> None:
    rng = np.random.default_rng(1)
    drawn = [pool.draw_labelled(rng) for _ in range(400)]
    assert all(drawn)
    assert np.mean([face.whole for face in drawn if face]) == pytest.approx(0.5, abs=0.1)
    worn = [face.image.shape[0] > 4 for face in drawn if face]
    assert np.mean(worn) == pytest.approx(WORN, abs=0.1)
