"""The stack machine reads what pickle writes, and refuses what would act."""

from __future__ import annotations

import collections
import contextlib
import datetime
import io
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.helpers.pickle_reading import read_pickle
from twinloop.errors import ModelFileError, UnsafeModelFile
from twinloop.pickles import Inert, Policy
from twinloop.pickles.arrays import ArrayShell
from twinloop.pickles.budget import Budget, Limits
from twinloop.pickles.machine import Beside, Machine

KEYS = st.integers(-(2**64) + 1, 2**64 - 1)
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text(max_size=4) | KEYS, inner, max_size=4)
        | st.frozensets(KEYS, max_size=4)
    ),
    max_leaves=20,
)


@given(value=PLAIN, protocol=st.integers(0, 5))
@settings(max_examples=120, deadline=None)
def test_plain_values_come_back_equal(value: object, protocol: int) -> None:
    assert read_pickle(pickle.dumps(value, protocol)).value == value


@given(data=st.binary(max_size=200))
@settings(max_examples=300, deadline=None)
def test_noise_is_either_read_or_refused_with_a_model_file_error(data: bytes) -> None:
    with contextlib.suppress(ModelFileError):
        read_pickle(data)


@given(position=st.integers(0, 10_000), byte=st.integers(0, 255))
@settings(max_examples=300, deadline=None)
def test_a_changed_byte_never_escapes(position: int, byte: int) -> None:
    data = bytearray(pickle.dumps({"a": [np.arange(3), {1, 2}, (1, "x")], "d": collections.OrderedDict(b=1)}, 2))
    data[position % len(data)] = byte
    with contextlib.suppress(ModelFileError):
        read_pickle(bytes(data))


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_numpy_arrays(protocol: int) -> None:
    array = np.arange(6, dtype=">f4").reshape(2, 3, order="F")
    shell = read_pickle(pickle.dumps(array, protocol)).value
    assert isinstance(shell, ArrayShell) and shell.value is not None
    assert np.array_equal(shell.value, array)


def test_numpy_objects_are_kept_as_what_they_are_and_never_built() -> None:
    shell = read_pickle(pickle.dumps(np.array([1, "a"], dtype=object), 2)).value
    assert isinstance(shell, ArrayShell)
    assert (shell.value, shell.objects) == (None, [1, "a"])
    with pytest.raises(UnsafeModelFile, match=r"posix\.system"):
        read_pickle(pickle.dumps(np.array([os.system], dtype=object), 2))


def test_numpy_structures_and_dates_are_passed_over() -> None:
    for array in (np.zeros(2, dtype="i4,f8"), np.array(["2026-01-02"], dtype="M8[D]")):
        shell = read_pickle(pickle.dumps(array, 2)).value
        assert isinstance(shell, ArrayShell) and shell.value is None


class Car:
    """A stand-in for a class that only the file's author has."""

    def __init__(self) -> None:
        self.wheels = 4


@pytest.mark.parametrize("protocol", [0, 1, 2, 5])
def test_unknown_classes_become_records(protocol: int) -> None:
    record = read_pickle(pickle.dumps(Car(), protocol)).value
    assert isinstance(record, Inert)
    assert record.cls.name == "Car"
    assert record.attributes == {"wheels": 4}


def test_harmless_standard_classes_are_records_too() -> None:
    record = read_pickle(pickle.dumps(datetime.date(2026, 1, 2))).value
    assert isinstance(record, Inert) and record.cls.path == "datetime.date"


EVIL = {
    "os.system": b"cos\nsystem\n(S'true'\ntR.",
    "builtins.eval": b"cbuiltins\neval\n(S'1'\ntR.",
    "builtins.getattr": b"cbuiltins\ngetattr\n(cmodels\nA\nS'__globals__'\ntR.",
    "subprocess.Popen": b"csubprocess\nPopen\n.",
    "runpy.run_path": b"crunpy\nrun_path\n.",
    "torch.hub.load": b"ctorch\nhub.load\n.",
    "numpy.testing._private.utils.runstring": b"cnumpy.testing._private.utils\nrunstring\n.",
    "models.common.os.system": b"cmodels.common\nos.system\n.",
    "anything.__class__": b"canything\n__class__\n.",
    "somebody.run": b"csomebody\nrun\n(S'x'\ntR.",
    "somebody.begin": b"(S'x'\nisomebody\nbegin\n.",
}


@pytest.mark.parametrize("name", EVIL)
def test_whatever_would_act_is_refused_by_name_and_offset(name: str) -> None:
    with pytest.raises(UnsafeModelFile, match=rf"{name.replace('.', '[.]')} \(byte \d+"):
        read_pickle(EVIL[name])


def test_a_method_of_a_record_is_a_record_and_cannot_be_called() -> None:
    method = b"cbuiltins\ngetattr\n(cmodels\nA\n)RS'forward'\ntR"
    record = read_pickle(method + b".").value
    assert isinstance(record, Inert) and record.args[1] == "forward"
    with pytest.raises(UnsafeModelFile, match="not a named class"):
        read_pickle(method + b")R.")
    with pytest.raises(UnsafeModelFile, match=r"builtins\.getattr"):
        read_pickle(b"cbuiltins\ngetattr\n(S'text'\nS'format'\ntR.")


def test_a_stored_function_is_no_call() -> None:
    assert read_pickle(b"csomebody\nrun\n.").names[0].path == "somebody.run"


def test_a_call_of_a_made_object_is_refused() -> None:
    with pytest.raises(UnsafeModelFile, match="not a named class"):
        read_pickle(b"cmodels\nThing\n)R)R.")


def test_a_tolerant_reading_lists_every_refusal() -> None:
    loaded = read_pickle(b"(" + EVIL["os.system"][:-1] + EVIL["builtins.eval"][:-1] + b"t.", tolerant=True)
    assert [r.target for r in loaded.refused] == ["os.system", "os.system", "builtins.eval", "builtins.eval"]
    assert loaded.refused[0].offset == 1


def test_an_inspector_may_accept_more_names_as_records() -> None:
    record = read_pickle(EVIL["somebody.run"], policy=Policy(frozenset({"somebody.run"}))).value
    assert isinstance(record, Inert) and record.args == ("x",)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b".",
        b"R.",
        b"0.",
        b"t.",
        b"K\x01",
        b"h\x05.",
        b"}K\x01s.",
        b"Qx.",
        b"]]s.",
        b"\x82\x01.",
        b"K\x01K\x02\x93.",
    ],
    ids=repr,
)
def test_damaged_pickles_are_refused(data: bytes) -> None:
    with pytest.raises(ModelFileError):
        read_pickle(data)


def test_a_deep_tuple_is_no_key() -> None:
    deep = b"}K\x01" + b"\x85" * 100_000 + b"K\x01s."
    with pytest.raises(ModelFileError, match="key"):
        read_pickle(deep)


def test_budgets() -> None:
    with pytest.raises(ModelFileError, match="longer than"):
        read_pickle(b"K\x010" * 100 + b"N.", limits=Limits(opcodes=50))
    with pytest.raises(ModelFileError, match="limit"):
        read_pickle(b"N" * 100 + b".", limits=Limits(size=50))


def test_the_copy_of_a_state_costs_all_that_it_holds() -> None:
    budget = Budget(Limits(memory=64 * 12))
    machine = Machine("m.pkl", Policy(), budget, False, [], [], Beside(), io.BytesIO())
    assert machine.copied({n: n for n in range(8)}, {n: n for n in range(4, 12)}) == {n: n for n in range(12)}
    assert budget.memory == 0
    with pytest.raises(ModelFileError, match="makes values"):
        machine.copied(None, ({"a": 1},))


BENIGN = {"benign0_v3.pkl", "pytorch_model.bin"}
NO_PICKLES = {
    "SOURCES.md", "bad_pytorch.pt", "benign_password_protected.zip", "malicious1.7z", "malicious1_0x1.zip",
    "malicious1_0x40.zip", "not_a_pickle.bin",
}  # fmt: skip


def test_the_collected_malicious_pickles(fixtures: Path) -> None:
    refused = 0
    for path in sorted((fixtures / "pickles" / "picklescan").iterdir()):
        if path.name in BENIGN:
            read_pickle(path.read_bytes())
        else:
            kind = ModelFileError if path.name in NO_PICKLES else UnsafeModelFile
            with pytest.raises(kind):
                read_pickle(path.read_bytes())
            refused += path.name not in NO_PICKLES
    assert refused == 15
