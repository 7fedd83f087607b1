"""The catalogue: a cache by content and ruler that can be deleted at any time, for the owner's eyes only."""

from __future__ import annotations

import json
import os
import sqlite3
import stat
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.helpers.hand_points import shaped_hand
from tests.unit.things import face, hand, observation, unit_vector
from twinloop.domain.captions import Description
from twinloop.domain.faces import Box, Face, HeadPose
from twinloop.domain.observation import Observation
from twinloop.errors import StorageError
from twinloop.store.run.catalog import Catalog, observation_from_json, observation_to_json


def same(a: Observation, b: Observation) -> bool:
    """Equality to the last bit; observations hold arrays, so they have none of their own."""
    return observation_to_json(a) == observation_to_json(b)


RICH = observation(
    faces=[
        Face(
            Box(0.1, 0.2, 3.3, 4.4),
            0.75,
            np.arange(10, dtype=np.float32).reshape(5, 2) / 3,
            HeadPose(-12.3, 4.5, 0.1),
            unit_vector(0.3, 0.7),
        ),
        face(None),
    ],
    parts=[hand()],
    measures={"smile": 1 / 3},
    origin="synthetic",
)


def test_what_is_put_in_comes_out_bit_for_bit(tmp_path: Path) -> None:
    with Catalog(tmp_path / "catalog.sqlite") as catalog:
        catalog.put(RICH)
    with Catalog(tmp_path / "catalog.sqlite") as catalog:
        back = catalog.get(RICH.sha256, RICH.fingerprint)
    assert back is not None and same(back, RICH)
    assert back.face is not None and back.face.embedding is not None and RICH.face is not None
    assert back.face.embedding.dtype == np.float32
    np.testing.assert_array_equal(back.face.embedding, RICH.face.embedding)


@given(st.dictionaries(st.text(min_size=1, max_size=8), st.floats(allow_nan=False), max_size=4), st.floats(-180, 180))
def test_any_number_survives(measures: dict[str, float], yaw: float) -> None:
    seen = observation(measures=measures, faces=[face(yaw)])
    assert same(observation_from_json(observation_to_json(seen)), seen)


def test_another_ruler_or_another_picture_is_a_miss() -> None:
    with Catalog(None) as catalog:
        catalog.put(RICH)
        assert catalog.get(RICH.sha256, "other models") is None
        assert catalog.get("0" * 64, RICH.fingerprint) is None
        catalog.put(replace(RICH, fingerprint="other models", phash="1" * 16))
        first, second = catalog.get(RICH.sha256, RICH.fingerprint), catalog.get(RICH.sha256, "other models")
    assert first is not None and second is not None
    assert (first.phash, second.phash) == (RICH.phash, "1" * 16)


def test_an_unchanged_file_is_known_and_a_changed_one_is_not(tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(b"one")
    before = path.stat()
    with Catalog(None) as catalog:
        assert catalog.known_file(path, before) is None
        catalog.remember_file(path, before, "hash of one", "real")
        assert catalog.known_file(path, path.stat()) == ("hash of one", "real")
        path.write_bytes(b"two")
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
        assert catalog.known_file(path, path.stat()) is None
        path.write_bytes(b"longer")
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        assert catalog.known_file(path, path.stat()) is None


def test_files_whose_origin_was_told_by_other_rules_are_read_again(tmp_path: Path) -> None:
    """Nothing is forgotten: they stay on record, for whoever wants their folder forgotten."""
    path = tmp_path / "photo.jpg"
    path.write_bytes(b"one")
    with Catalog(tmp_path / "c.sqlite") as catalog:
        catalog.remember_file(path, path.stat(), "hash", "real")
    with Catalog(tmp_path / "c.sqlite") as catalog:
        assert catalog.known_file(path, path.stat()) == ("hash", "real")
    with closing(sqlite3.connect(tmp_path / "c.sqlite")) as db:
        db.execute("PRAGMA user_version = 0")
    with Catalog(tmp_path / "c.sqlite") as catalog:
        assert catalog.known_file(path, path.stat()) is None
        assert catalog.contents_below([tmp_path]) == {"hash"}


def test_a_file_that_took_the_place_of_one_with_the_same_size_and_time_is_read(tmp_path: Path) -> None:
    path, other = tmp_path / "photo.jpg", tmp_path / "other.jpg"
    path.write_bytes(b"one")
    before = path.stat()
    time.sleep(0.02)  # longer than a file system's clock ticks
    other.write_bytes(b"two")
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    with Catalog(None) as catalog:
        catalog.remember_file(path, before, "hash of one", "real")
        other.replace(path)
        assert catalog.known_file(path, path.stat()) is None


def test_a_catalogue_without_the_time_of_change_keeps_what_was_seen_and_reads_files_again(tmp_path: Path) -> None:
    photo, database = tmp_path / "photo.jpg", tmp_path / "catalog.sqlite"
    photo.write_bytes(b"one")
    with Catalog(database) as catalog:
        catalog.remember_file(photo, photo.stat(), "hash of one", "real")
        catalog.put_described("hash of one", "model", Description("a photo"))
    with closing(sqlite3.connect(database)) as made:
        made.execute("ALTER TABLE file DROP COLUMN ctime_ns")
    with Catalog(database) as catalog:
        assert catalog.known_file(photo, photo.stat()) is None
        catalog.remember_file(photo, photo.stat(), "hash of one", "real")
        assert catalog.known_file(photo, photo.stat()) == ("hash of one", "real")
        assert catalog.described("hash of one", "model") == Description("a photo")


def test_file_names_that_are_no_text(tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.jpg"))
    path.write_bytes(b"x")
    with Catalog(None) as catalog:
        catalog.remember_file(path, path.stat(), "h", "real")
        assert catalog.known_file(path, path.stat()) == ("h", "real")


def test_only_the_owner_may_read_it(tmp_path: Path) -> None:
    path = tmp_path / "catalog.sqlite"
    path.touch(0o644)
    path.chmod(0o644)
    with Catalog(path) as catalog:
        catalog.put(RICH)
        modes = {p.name: stat.S_IMODE(p.stat().st_mode) for p in tmp_path.iterdir()}
    assert "catalog.sqlite" in modes
    assert set(modes.values()) == {0o600}, modes


def test_deleting_it_loses_nothing_but_time(tmp_path: Path) -> None:
    path = tmp_path / "catalog.sqlite"
    with Catalog(path) as catalog:
        catalog.put(RICH)
    for file in tmp_path.iterdir():
        file.unlink()
    with Catalog(path) as catalog:
        assert catalog.get(RICH.sha256, RICH.fingerprint) is None
        catalog.put(RICH)
        assert catalog.get(RICH.sha256, RICH.fingerprint) is not None


def test_what_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "catalog.sqlite"
    with Catalog(path) as catalog:
        with sqlite3.connect(path) as other:
            other.execute("DROP TABLE observation")
        with pytest.raises(StorageError, match=r"Cannot write .*catalog\.sqlite: no such table"):
            catalog.put(RICH)


def test_damage_in_the_middle_is_explained(tmp_path: Path) -> None:
    path = tmp_path / "catalog.sqlite"
    with Catalog(path) as catalog:
        for number in range(50):
            catalog.put(observation(number))
    data = bytearray(path.read_bytes())
    data[4096:] = b"\xff" * (len(data) - 4096)
    path.write_bytes(data)
    with pytest.raises(StorageError, match="cache"), Catalog(path) as catalog:
        for number in range(50):
            catalog.get(observation(number).sha256, "test")


def test_the_shape_of_a_hand_comes_back_and_hands_without_one_are_written_as_ever() -> None:
    drawn, boxed, shaped = hand(), replace(hand(), box_only=True), shaped_hand()
    seen = observation(parts=[drawn, boxed, shaped])
    written = observation_to_json(seen)
    assert set(written["parts"][0]) == {"kind", "box", "confidence"}
    assert observation_from_json(json.loads(json.dumps(written))).parts == (drawn, boxed, shaped)
    told = replace(seen, forms="landmarks1")
    assert observation_from_json(json.loads(json.dumps(observation_to_json(told)))).forms == "landmarks1"


def remembered(catalog: Catalog, path: Path, number: float) -> Observation:
    """A file that was read, and what was seen in it."""
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"pixels")
    seen = observation(path, faces=[face(embedding=unit_vector(number, 1.0))])
    catalog.put(seen)
    catalog.remember_file(path, path.stat(), seen.sha256, "real")
    return seen


def bytes_of(seen: Observation) -> bytes:
    assert seen.face is not None and seen.face.embedding is not None
    return seen.face.embedding.tobytes().hex().encode()


def test_what_is_forgotten_leaves_no_byte(tmp_path: Path) -> None:
    """Also of what no file has any more: of a picture that is gone or was changed nobody can say whom it showed."""
    places = [tmp_path / name / "a.png" for name in ("ana", "ana lena", "gone", "bea")]
    with Catalog(tmp_path / "catalog.sqlite") as catalog:
        ana, lena, gone, bea = (remembered(catalog, path, number) for number, path in enumerate(places))
        changed = observation("changed since", faces=[face(embedding=unit_vector(9.0, 1.0))])
        catalog.put(changed)
        places[2].unlink()
        assert catalog.contents_below([tmp_path / "ana", places[3]]) == {ana.sha256, bea.sha256}
        assert catalog.observed({ana.sha256, "0" * 64}) == {ana.sha256}
        catalog.forget({ana.sha256})
        left = b"".join(path.read_bytes() for path in tmp_path.glob("catalog.sqlite*"))
        assert [bytes_of(seen) in left for seen in (ana, gone, changed, lena, bea)] == [False] * 3 + [True] * 2
        assert catalog.known_file(places[0], places[0].stat()) is None
        assert catalog.known_file(places[1], places[1].stat()) == (lena.sha256, "real")


def test_while_another_program_reads_what_is_forgotten_it_is_said(tmp_path: Path) -> None:
    database = tmp_path / "catalog.sqlite"
    with Catalog(database) as catalog, closing(sqlite3.connect(database)) as reader:
        seen = remembered(catalog, tmp_path / "a.png", 1.0)
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM observation").fetchall()
        catalog.run("PRAGMA busy_timeout = 1")
        with pytest.raises(StorageError, match="Close that program and run the same command again"):
            catalog.forget({seen.sha256})
