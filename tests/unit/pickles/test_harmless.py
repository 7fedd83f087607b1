"""Files that people really have, made here by Python, numpy and torch: none gets a verdict worse than it deserves."""

from __future__ import annotations

import argparse
import array
import bz2
import collections
import datetime
import decimal
import fractions
import functools
import gzip
import io
import logging
import lzma
import pathlib
import pickle
import re
import sys
import time
import types
import typing
import uuid
import zlib
import zoneinfo
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.unit.pickles.files import joblib
from tests.unit.pickles.gadgets import built, call, dictionary, look, name, new, text
from twinloop.pickles.inspection import Safety

WORDS = np.dtypes.StringDType()
MASKED: object = np.ma.array([(1, 2.0)], mask=[(False, True)], dtype=[("a", "i4"), ("b", "f8")])
FACTORIES: tuple[Callable[[], Any], ...] = (
    list,
    int,
    dict,
    set,
    frozenset,
    bytes,
    complex,
    collections.Counter,
    types.SimpleNamespace,
)
SAFE: dict[str, object] = {
    "texts of numpy 2": np.array(["a", "b" * 90], dtype=WORDS),
    "texts with missing ones": np.array(["a", None], dtype=np.dtypes.StringDType(na_object=None)),
    "texts with nan": np.array(["a", np.nan], dtype=np.dtypes.StringDType(na_object=np.nan, coerce=False)),
    "the type of texts": WORDS,
    "classes of numpy's types": [np.dtypes.Float32DType, np.longdouble, np.bool_, np.object_, np.void, np.datetime64],
    "long letters": np.zeros(1, "S200000"),
    "a masked structure": MASKED,
    "the masked value": np.ma.masked,
    "letters with methods": np.char.array(["a"]),
    "a chain": collections.ChainMap({"a": 1}, collections.OrderedDict(b=2), collections.Counter("ab")),
    "a counter": collections.Counter("aab"),
    "a queue": collections.deque([1, 2], maxlen=3),
    "wrapped": [collections.UserDict(a=1), collections.UserList([1]), collections.UserString("a")],
    "defaults": [collections.defaultdict(kind, {"a": 1}) for kind in FACTORIES],
    "single values": [..., NotImplemented, type(None), type(...)],
    "a pattern": [re.compile("a+", re.IGNORECASE), re.compile(rb"b", re.DOTALL)],
    "a time zone": [
        zoneinfo.ZoneInfo("UTC"),
        datetime.datetime(2026, 1, 2, tzinfo=zoneinfo.ZoneInfo("UTC")),
    ],
    "moments": [time.gmtime(0), datetime.datetime(2026, 1, 2, fold=1), datetime.timedelta(1), datetime.time(1)],
    "keys": {decimal.Decimal(1): 1, fractions.Fraction(1, 2): 2, uuid.UUID(int=1): 3, pathlib.PurePath("a"): 4},
    "exact numbers": [fractions.Fraction(-7, 3), *map(decimal.Decimal, ("-1.5E-7", "1E+10", "NaN", "-Infinity"))],
    "numbers": [array.array("f", [1.5]), array.array("q"), array.array("B", b"ab")],
    "a logger": [logging.getLogger("twinloop.tests"), logging.getLogger()],
    "options": argparse.Namespace(a=1, b=None),
    "types of a configuration": [
        typing.Any,
        typing.Optional[int],  # noqa: UP045
        typing.Dict[str, typing.Any],  # noqa: UP006
        typing.Tuple[int, ...],  # noqa: UP006
    ],
    "more of them": [typing.Literal["a", 1], typing.Callable[[int], str], list[int], dict[str, list[int]]],
    "a class with arguments": functools.partial(dict, a=1),
    "defaults of defaults": collections.defaultdict(functools.partial(collections.defaultdict, int), a={}),
}


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("what", SAFE)
def test_data_is_safe_in_every_protocol(what: str, protocol: int) -> None:
    found = look(pickle.dumps({"v": SAFE[what]}, protocol))
    assert (found.verdict, found.findings) == (Safety.SAFE, ())


SOMEBODYS = """
import collections, dataclasses, enum
class Mode(enum.Enum):
    A = "a"
class mode(enum.Enum):
    a = 1
class Flags(enum.Flag):
    A = 1
class options:
    pass
class attrdict(dict):
    pass
pair = collections.namedtuple("pair", "a b")
class Slots:
    __slots__ = ("a",)
@dataclasses.dataclass(frozen=True)
class Point:
    x: int = 1
    def show(self):
        pass
def make(*_, **__):
    pass
class Outer:
    class Inner:
        pass
    class kind(enum.IntEnum):
        LOW = 1
"""


@pytest.fixture
def somebodys(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    """A package of which this program knows nothing."""
    module = types.ModuleType("somebody")
    monkeypatch.setitem(sys.modules, "somebody", module)
    exec(SOMEBODYS, module.__dict__)
    module.pair.__module__ = "somebody"
    return module


MADE: dict[str, Callable[[types.ModuleType], object]] = {
    "an enumeration": lambda m: m.Mode.A,
    "an enumeration in lower case": lambda m: m.mode.a,
    "members as keys": lambda m: {m.mode.a: 1, m.Mode.A: 2},
    "flags": lambda m: m.Flags.A,
    "an object of a class in lower case": lambda m: m.options(),
    "a dictionary": lambda m: m.attrdict(a=1),
    "a named tuple": lambda m: m.pair(1, 2),
    "a dataclass": lambda m: m.Point(),
    "a class in a class": lambda m: m.Outer.Inner(),
    "an enumeration in a class": lambda m: m.Outer.kind.LOW,
    "defaults of a class": lambda m: collections.defaultdict(m.Point),
    "a method of an object": lambda m: m.Point().__class__().show,
    "a function with arguments": lambda m: functools.partial(m.make, 1, a="b"),
    "a type of a class": lambda m: typing.Optional[m.Point],  # noqa: UP045
}


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("what", MADE)
def test_what_somebody_wrote_is_unknown_and_named_and_no_attack(
    what: str, protocol: int, somebodys: types.ModuleType
) -> None:
    found = look(pickle.dumps(MADE[what](somebodys), protocol))
    assert found.verdict is Safety.UNKNOWN
    assert all(
        re.fullmatch(r"unknown class (or function )?[\w.]+ of module somebody: loading would run its code", f.text)
        for f in found.findings
    )
    assert look(pickle.dumps(MADE[what](somebodys), protocol), *found.names).verdict is Safety.SAFE


COMPRESSORS: dict[str, Callable[[bytes], bytes]] = {
    "none": bytes,
    "zlib": zlib.compress,
    "gzip": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "lzma": lambda data: lzma.compress(data, lzma.FORMAT_ALONE),
}


@pytest.mark.parametrize("how", COMPRESSORS)
def test_joblibs_arrays_with_each_compressor(how: str) -> None:
    for values in (np.arange(6.0).reshape(2, 3), np.array(["a", "b"], dtype=WORDS), np.array([1, None], dtype=object)):
        found = look(COMPRESSORS[how](joblib(values)))
        assert (found.verdict, found.findings) == (Safety.SAFE, ())


def test_an_array_that_joblib_took_out_of_a_memory_map() -> None:
    mapped = joblib(np.arange(3.0)).replace(b"cnumpy\nndarray\n", b"cnumpy\nmemmap\n")
    assert b"memmap" in mapped
    found = look(mapped)
    assert (found.verdict, found.findings) == (Safety.SAFE, ())


@pytest.mark.parametrize("protocol", [1, 2, 3, 4, 5])
def test_torchs_older_format_in_every_protocol_that_torch_reads(protocol: int) -> None:
    torch = pytest.importorskip("torch")
    layer = torch.nn.Linear(2, 3)
    for value in (layer.state_dict(), layer, {"model": layer.state_dict(), "epoch": 3}):
        file = io.BytesIO()
        torch.save(value, file, _use_new_zipfile_serialization=False, pickle_protocol=protocol)
        found = look(file.getvalue())
        assert (found.verdict, found.findings) == (Safety.SAFE, ())
        assert found.weights is not None and sum(name.endswith("weight") for name in found.weights.tensors) == 1


def test_networks_and_optimizers_of_torch() -> None:
    torch = pytest.importorskip("torch")
    nn = torch.nn
    networks = [
        nn.TransformerEncoderLayer(4, 2),
        nn.TransformerEncoderLayer(4, 2, activation=nn.functional.gelu),
        nn.DataParallel(nn.Linear(1, 1)),
        {"version": torch.__version__, "norm": functools.partial(nn.LayerNorm, eps=1e-6)},
        nn.Sequential(nn.CircularPad2d(1), nn.LPPool3d(2, 2), nn.TripletMarginLoss(), nn.CTCLoss()),
    ]
    optimizer = torch.optim.AdamW(networks[0].parameters())
    networks[0](torch.ones(1, 1, 4)).sum().backward()
    optimizer.step()
    for value, verdict, names in (
        *((network, Safety.SAFE, []) for network in networks),
        (optimizer, Safety.UNKNOWN, ["torch.optim.adamw.AdamW"]),
        (torch.utils.data.TensorDataset(torch.ones(2)), Safety.UNKNOWN, ["torch.utils.data.dataset.TensorDataset"]),
        (torch.tanh, Safety.UNKNOWN, ["torch._C._VariableFunctionsClass", "torch._C._VariableFunctionsClass.tanh"]),
    ):
        file = io.BytesIO()
        torch.save(value, file)
        found = look(file.getvalue())
        assert (found.verdict, [finding.name for finding in found.findings]) == (verdict, names), value


def test_a_table_of_pandas_is_unknown() -> None:
    dates = call(
        "pandas._libs.arrays.__pyx_unpickle_NDArrayBacked",
        name("pandas.core.arrays.datetimes.DatetimeArray"),
        b"K\x01",
        b"N",
    )
    index = call("pandas.core.indexes.base._new_Index", name("pandas.core.indexes.base.Index"), dictionary(data=b"]"))
    blocks = call("pandas.core.internals.managers.BlockManager", b"(" + dates + b"t", b"]" + index + b"a")
    moment = call(
        "pandas._libs.tslibs.timestamps._unpickle_timestamp",
        b"K\x01",
        b"N",
        call("pytz._p", text("Europe/Berlin"), b"K\0K\0", text("CET")),
    )
    table = built(new("pandas.core.frame.DataFrame"), _mgr=blocks, at=moment)
    assert look(b"\x80\x04" + table + b".").verdict is Safety.UNKNOWN
