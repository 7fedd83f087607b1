"""Whatever is in a file: the reader answers with a value or with one clear error, within its budget.

Real pickles, spoilt in every way.
"""

from __future__ import annotations

import contextlib
import io
import pickle
import pickletools
import random
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.helpers.pickle_reading import read_pickle
from tests.unit.pickles.files import walk
from twinloop.errors import ModelFileError
from twinloop.pickles import Blob
from twinloop.pickles.budget import Limits
from twinloop.pickles.inspection import Safety, inspect_blob

FIXTURES = Path(__file__).parents[4] / "shared" / "fixtures"
SMALL = Limits(opcodes=200_000, memory=32 << 20, size=8 << 20, seconds=20)
SLOWEST = 5.0
"""Seconds that one spoilt file may take; the limits above allow more than any of them needs."""
CODES = [code.code.encode("latin1") for code in pickletools.opcodes]
ARGUMENTS = [
    b"",
    b"\0",
    b"\xff\xff\xff\xff",
    b"\x01\0\0\0a",
    b"os\nsystem\n",
    b"1\n",
    b"'a'\n",
    b"\xff" * 8,
    b"\0" * 8,
    b"I01\n",
]


def real_pickles() -> list[bytes]:
    """The program parts of real files: a few kinds each, cut where they are long so that changes hit something."""
    found = [
        pickle.dumps({"w": np.arange(6.0).reshape(2, 3), "s": {1, 2}, "t": (1, "x", b"y", 2.5, None, True)}, protocol)
        for protocol in range(6)
    ]
    for name in (
        "weights/yolov5_face/yolov5n-0.5-face.pt",
        "weights/ultralytics_format/emotion_cls_train_best.pt",
        "pickles/picklescan/pytorch_model.bin",
    ):
        path = FIXTURES / name
        if path.is_file():
            data = path.read_bytes()
            if zipfile.is_zipfile(path):
                with zipfile.ZipFile(path) as archive:
                    data = archive.read(next(item for item in archive.namelist() if item.endswith("/data.pkl")))
            found.append(data[:6000])
    folder = FIXTURES / "pickles" / "picklescan"
    if folder.is_dir():
        found += [path.read_bytes() for path in sorted(folder.glob("*.pkl"))]
    return found


REAL = real_pickles()


def answers(data: bytes) -> None:
    """Strict and tolerant reading, and the inspector: a value, a verdict, or one clear error; never anything else."""
    began = time.monotonic()
    for tolerant in (False, True):
        try:
            loaded = read_pickle(data, limits=SMALL, tolerant=tolerant)
        except ModelFileError as error:
            assert str(error)
        else:
            assert loaded.end <= len(data)
            for value in walk(loaded.value, 10_000):
                assert not callable(value) or type(value).__module__.startswith("twinloop.pickles"), (
                    "nothing alive comes out"
                )
    assert inspect_blob(Blob("model.pkl", data=data), limits=SMALL).verdict in Safety
    assert time.monotonic() - began < SLOWEST


def replace(data: bytes, rng: random.Random, *, count: int) -> bytes:
    spoilt = bytearray(data)
    for _ in range(count):
        spoilt[rng.randrange(len(spoilt))] = rng.randrange(256)
    return bytes(spoilt)


def insert(data: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(data))
    return (
        data[:at] + b"".join(rng.choice(CODES) + rng.choice(ARGUMENTS) for _ in range(rng.randrange(1, 6))) + data[at:]
    )


def remove(data: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(data))
    return data[:at] + data[at + rng.randrange(1, 20) :]


def repeat(data: bytes, rng: random.Random) -> bytes:
    at, size = rng.randrange(len(data)), rng.randrange(1, 200)
    return data[:at] + data[at : at + size] * rng.randrange(2, 30) + data[at + size :]


def splice(data: bytes, rng: random.Random) -> bytes:
    other = rng.choice(REAL)
    return data[: rng.randrange(len(data))] + other[rng.randrange(len(other)) :]


def swap_opcode(data: bytes, rng: random.Random) -> bytes:
    """Another opcode exactly where one stands: the arguments stay, their meaning changes."""
    places: list[int] = []
    with contextlib.suppress(ValueError):
        places += (position for _, _, position in pickletools.genops(data) if position is not None)
    at = rng.choice(places or [0])
    return data[:at] + rng.choice(CODES) + data[at + 1 :]


SPOILERS: list[Callable[[bytes, random.Random], bytes]] = [
    lambda data, rng: replace(data, rng, count=1),
    lambda data, rng: replace(data, rng, count=8),
    insert,
    remove,
    repeat,
    splice,
    swap_opcode,
]


@given(
    which=st.integers(0, len(REAL) - 1),
    kinds=st.lists(st.sampled_from(SPOILERS), min_size=1, max_size=3),
    seed=st.integers(0, 2**32),
)
@settings(max_examples=400, deadline=None)
def test_spoilt_real_pickles(which: int, kinds: list[Callable[[bytes, random.Random], bytes]], seed: int) -> None:
    data, rng = REAL[which], random.Random(seed)
    for kind in kinds:
        data = kind(data, rng) or b"."
    answers(data)


@given(seed=st.integers(0, 2**32), length=st.integers(1, 60))
@settings(max_examples=400, deadline=None)
def test_random_opcodes(seed: int, length: int) -> None:
    rng = random.Random(seed)
    answers(b"\x80\x04" + b"".join(rng.choice(CODES) + rng.choice(ARGUMENTS) for _ in range(length)) + b".")


@given(data=st.data(), depth=st.integers(0, 3))
@settings(max_examples=60, deadline=None)
def test_honest_pickles_come_back_as_they_were(data: st.DataObject, depth: int) -> None:
    plain = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary()
    keys = st.text() | st.integers() | st.tuples(st.integers(), st.text())
    value = data.draw(
        st.recursive(
            plain,
            lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4) | st.tuples(inner),
            max_leaves=12,
        )
    )
    assert read_pickle(pickle.dumps(value, depth + 2)).value == value


@pytest.mark.skipif(
    not FIXTURES.is_dir(), reason="shared fixtures are not on this machine (looked for ../shared/fixtures)"
)
def test_the_real_ones_are_among_them() -> None:
    assert len(REAL) == 6 + 3 + len(list((FIXTURES / "pickles" / "picklescan").glob("*.pkl"))) >= 20
    for data in REAL[:6]:
        assert isinstance(read_pickle(data).value, dict)
    assert b"models.yolo" in REAL[6] and io.BytesIO(REAL[6]).read(1) == b"\x80"
