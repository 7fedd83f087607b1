"""numpy's own files: which of them hold a pickle, however their header spells it."""

from __future__ import annotations

import io
import os
import struct

import numpy as np
import pytest

from tests.unit.pickles.disguises import GETPID, look
from tests.unit.pickles.polyglots import HONEST, zipped
from twinloop.pickles.inspection import Safety


def npy(described: str, behind: bytes = GETPID, extra: str = "") -> bytes:
    header = f"{{'descr': {described}, 'fortran_order': False, 'shape': (1,), {extra}}}\n".encode()
    return b"\x93NUMPY\x01\0" + struct.pack("<H", len(header)) + header + behind


SPELT = {
    "an octal letter": r"'|\117'",
    "a hexadecimal letter": r"'|\x4f'",
    "numpy 2's texts": "'T'",
    "texts in a structure": "[('a', 'T')]",
    "an octal letter in a structure": r"[('a', '|\117')]",
    "objects": "'|O'",
}


@pytest.mark.parametrize("way", SPELT)
def test_a_type_of_objects_is_found_however_it_is_spelt(way: str) -> None:
    found = look(npy(SPELT[way]))
    assert (found.verdict, found.findings[0].name) == (Safety.DANGEROUS, "posix.getpid")


@pytest.mark.parametrize("way", ["an octal letter", "numpy 2's texts", "objects"])
@pytest.mark.parametrize("member", ["a/extra.npy", "a/data/1"])
def test_what_numpy_unpickles_from_a_member_of_a_torch_file(way: str, member: str) -> None:
    data = zipped({**HONEST, member: npy(SPELT[way])})
    with np.load(io.BytesIO(data), allow_pickle=True) as loaded:
        assert loaded[member] == os.getpid()
    assert look(data).verdict is Safety.DANGEROUS


@pytest.mark.parametrize(
    "array",
    [
        np.arange(3.0),
        np.zeros((2, 3), ">i4", order="F"),
        np.array(5),
        np.array(["a", "bc"]),
        np.array([b"a"]),
        np.zeros(0, bool),
        np.zeros(2, "c16"),
        np.zeros(2, "M8[ns]"),
        np.zeros(2, "m8[25us]"),
        np.zeros(2, "V5"),
        np.zeros(2, [("a", "f4"), ("b", "i4", (2,))]),
    ],
    ids=lambda array: str(array.dtype),
)
def test_numbers_and_texts_are_no_pickle(array: np.ndarray) -> None:
    made = io.BytesIO()
    np.save(made, array)
    assert [finding.verdict for finding in look(made.getvalue()).findings] == [Safety.NOT_A_MODEL]
    assert look(zipped({**HONEST, "a/extra.npy": made.getvalue()})).verdict is Safety.SAFE


def test_a_storage_that_only_looks_like_an_array() -> None:
    assert look(zipped({**HONEST, "a/data/0": b"\x93NUMPZ\0\0\0\0\0\0"})).verdict is Safety.SAFE
