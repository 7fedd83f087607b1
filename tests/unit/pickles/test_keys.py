"""Keys of dictionaries and members of sets: what takes long to hash or to compare is refused, before it is hashed."""

from __future__ import annotations

import itertools
import pickle
import struct
import sys

import numpy as np
import pytest

from tests.helpers.pickle_reading import read_pickle
from twinloop.errors import ModelFileError
from twinloop.pickles.broken import BrokenPickle
from twinloop.pickles.budget import Budget, Limits
from twinloop.pickles.builders import as_key


def shared(width: int, levels: int) -> bytes:
    """A tuple of the same tuple ``width`` times, ``levels`` deep."""
    made = b"(" + b"K\x01" * width + b"tq\x00"
    for level in range(1, levels):
        made += b"0(" + (b"h" + bytes([level - 1])) * width + b"tq" + bytes([level])
    return made


def numbers_with_one_hash(count: int) -> bytes:
    step = sys.hash_info.modulus
    return b"".join(b"\x8a\x0a" + (k * step).to_bytes(10, "little") + b"N" for k in range(1, count))


LONG = {
    "tuples of tuples": b"\x80\x03" + shared(250, 4) + b"0}h\x03Ns.",
    "a wide tuple": b"\x80\x03" + shared(2000, 1) + b"0}h\x00Ns.",
    "a tuple in a set": b"\x80\x04" + shared(2000, 1) + b"0cbuiltins\nset\n(h\x00l\x85R.",
    "numbers that collide": b"\x80\x03}(" + numbers_with_one_hash(3000) + b"u.",
}


@pytest.mark.parametrize("way", LONG)
def test_what_takes_long_to_hash_is_no_key(way: str) -> None:
    with pytest.raises(ModelFileError, match="key is"):
        read_pickle(LONG[way], limits=Limits(seconds=5))


def test_keys_as_files_have_them() -> None:
    value = {("a", ("b", 1)): 1, 2**63: 2, -(2**63): 3, tuple(range(300)): 4, frozenset({1}): 5, None: 6, b"x": 7}
    assert read_pickle(pickle.dumps(value, 4)).value == value
    assert read_pickle(pickle.dumps({np.str_("a"): 1, np.int64(3): 2}, 4)).value == {"a": 1, 3: 2}


def test_each_key_costs_and_the_clock_is_looked_at() -> None:
    budget = Budget(Limits(memory=10_000))
    with pytest.raises(ModelFileError, match="bytes"):
        for _ in range(1000):
            as_key((1,) * 100, budget)
    ticks = itertools.count()
    slow = Budget(Limits(seconds=3), clock=lambda: float(next(ticks)))
    with pytest.raises(ModelFileError, match="longer than 3 s"):
        {as_key(n, slow) for n in range(100_000)}


def test_the_first_part_that_is_no_key_decides() -> None:
    with pytest.raises(BrokenPickle):
        as_key((1, []), Budget())
    with pytest.raises(ModelFileError) as caught:
        as_key((object(), []), Budget())
    assert not isinstance(caught.value, BrokenPickle)


def test_an_object_of_a_structure_costs_what_numpy_would_take() -> None:
    from tests.unit.pickles.structures import OBJECT, array_of, structure

    huge = structure(8, "a", a=(OBJECT, 0)).replace(b"V8", b"V999999").replace(b"\x02\0\0\0V", b"\x07\0\0\0V")
    huge = huge.replace(b"J\x08\0\0\0", b"J" + struct.pack("<i", 999_999))
    data = array_of(huge, b"N\x85")
    assert read_pickle(data).value is not None
    with pytest.raises(ModelFileError, match="bytes"):
        read_pickle(data, limits=Limits(memory=500_000))
