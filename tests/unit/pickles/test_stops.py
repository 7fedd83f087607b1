"""Where our reading stops and Python's goes on: what lies behind is not known, and the file is never called safe."""

from __future__ import annotations

import io
import os
import pickle
import struct
import sys
import types
from typing import Any, ClassVar

import numpy as np
import pytest
import safetensors.numpy

from tests.unit.pickles.disguises import GETPID, look, polyglot
from tests.unit.pickles.gadgets import call, dictionary, name, new, text
from twinloop.pickles.inspection import Safety

Unpickler: Any = pickle._Unpickler
"""Python's own, which joblib uses."""
NUMBER = call("numpy.core.multiarray.scalar", call("numpy.dtype", text("f8"), b"\x89", b"\x88"), b"C\x08" + bytes(8))
GOES_ON = {
    "a name put together": call("builtins.str", text("posix")) + call("builtins.str", text("getpid")) + b"\x93)R.",
    "a state of numpy's number": NUMBER + b"}b0" + GETPID,
    "no items": b"N(e0" + GETPID,
    "no pairs": b"K\x05(u0" + GETPID,
    "no members": b"N(\x900" + GETPID,
    "no state": b"K\x05Nb0" + GETPID,
}


@pytest.mark.parametrize("way", GOES_ON)
def test_what_python_passes_over_hides_nothing(way: str) -> None:
    data = polyglot(GOES_ON[way])
    assert safetensors.numpy.load(data)
    assert pickle.loads(data) == os.getpid()
    assert look(data).verdict is Safety.MALFORMED
    assert look(polyglot(b"N\x93")).verdict is Safety.SAFE


def test_a_frame_longer_than_the_file_stops_c_alone() -> None:
    frame = b"\x95" + struct.pack("<Q", 1 << 30)
    data = polyglot(frame + GETPID)
    assert Unpickler(io.BytesIO(data)).load() == os.getpid()
    assert look(data).verdict is Safety.DANGEROUS
    assert look(polyglot(frame + b"N.")).verdict is Safety.MALFORMED
    assert look(polyglot(frame + b"N")).verdict is Safety.SAFE, "no pickle to anybody"


@pytest.mark.parametrize("number", [b"0100", b"+1", b" 1", b"-010", b"1_0"])
def test_numbers_that_c_reads_otherwise(number: bytes) -> None:
    assert look(b"I" + number + b"\n.").verdict is Safety.MALFORMED


@pytest.mark.parametrize("number", [b"0", b"00", b"01", b"-7", b"100"])
def test_numbers_as_pickle_writes_them(number: bytes) -> None:
    assert look(b"I" + number + b"\n.").verdict is Safety.SAFE


class ArrayRecord:
    """As joblib reads it: the numbers come from the file, behind whatever the unpickler has taken of it."""

    shape: tuple[int, ...]
    dtype: Any

    def read(self, stream: io.BytesIO) -> object:
        return np.frombuffer(stream.read(int(np.prod(self.shape)) * self.dtype.itemsize), self.dtype)


class Joblib(Unpickler):  # type: ignore[misc]
    """joblib's unpickler, as far as these files need it."""

    dispatch: ClassVar[dict[int, Any]] = dict(Unpickler.dispatch)

    def __init__(self, data: bytes) -> None:
        self.file = io.BytesIO(data)
        super().__init__(self.file)

    def load_build(self) -> None:
        super().load_build()
        if isinstance(self.stack[-1], ArrayRecord):
            self.stack[-1] = self.stack[-1].read(self.file)

    dispatch[pickle.BUILD[0]] = load_build


@pytest.fixture
def joblib(monkeypatch: pytest.MonkeyPatch) -> type[Joblib]:
    module = types.ModuleType("joblib.numpy_pickle")
    module.NumpyArrayWrapper = ArrayRecord  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "joblib", types.ModuleType("joblib"))
    monkeypatch.setitem(sys.modules, "joblib.numpy_pickle", module)
    return Joblib


def record(count: int) -> bytes:
    """The record of ``count`` bytes, in memo 0, and the dictionary of its state, in memo 1."""
    facts = {
        "subclass": name("numpy.ndarray"),
        "shape": b"K" + bytes([count]) + b"\x85",
        "order": text("C"),
        "dtype": call("numpy.dtype", text("u1"), b"\x89", b"\x88"),
    }
    return new("joblib.numpy_pickle.NumpyArrayWrapper") + b"q\x00" + dictionary(**facts) + b"q\x01b"


def test_a_state_that_changes_behind_its_back(joblib: type[Joblib]) -> None:
    raw = b"0" + GETPID
    changed = b"h\x01" + text("shape") + b"K" + bytes([len(raw) + 1]) + b"\x85s0"
    data = b"\x80\x04" + record(1) + b"\xff" + changed + b"h\x00}b" + b"\xff" + raw
    assert joblib(data).load() == os.getpid()
    assert look(data).verdict is not Safety.SAFE
    told_twice = b"\x80\x04" + record(1) + b"\xff" + b"0h\x00}b" + b"\xff" + b"."
    assert look(told_twice).verdict is Safety.MALFORMED


def test_numbers_within_a_frame(joblib: type[Joblib]) -> None:
    acts = b"0" + GETPID
    framed = record(len(acts)) + acts
    data = b"\x80\x04" + b"\x95" + struct.pack("<Q", len(framed)) + framed + b"." * len(acts)
    assert joblib(data).load() == os.getpid()
    found = look(data)
    assert found.verdict is not Safety.SAFE and any("frame" in finding.text for finding in found.findings)
    honest = b"\x80\x04\x95" + struct.pack("<Q", len(record(3))) + record(3) + b"\xff\xff\xff."
    assert list(joblib(honest).load()) == [255, 255, 255]
    assert look(honest).verdict is Safety.SAFE


@pytest.mark.parametrize("before", [b"\x80\x02N.", b""])
def test_whoever_loads_a_joblib_file_again_and_again(before: bytes, joblib: type[Joblib]) -> None:
    raw = b"0N." + GETPID if not before else b"0" + GETPID
    data = before + b"\x80\x02" + record(len(raw)) + raw + b"."
    stream = io.BytesIO(data)
    assert os.getpid() in [pickle.load(stream), pickle.load(stream)]
    assert look(data).verdict is Safety.DANGEROUS


def test_what_a_plain_reading_does_counts_before_damage() -> None:
    raw = b"0" + GETPID
    data = b"\x80\x02" + record(len(raw)) + raw + b"." + b"\x80\x02}X"
    assert pickle.loads(data[:2] + b"N" + raw) == os.getpid()
    assert look(data).verdict is Safety.DANGEROUS
