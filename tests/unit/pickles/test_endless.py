"""Small files of harmless names that keep whoever loads them busy for ever, or fill the memory. None is called safe."""

from __future__ import annotations

import io
import pickle
import struct
import subprocess
import sys
import uuid

import pytest

from tests.unit.pickles.disguises import dtype_of, look
from tests.unit.pickles.gadgets import built, call, dictionary, name, new, text
from tests.unit.pickles.polyglots import HONEST, zipped
from twinloop.pickles.inspection import Safety

DEPTH = 60
PUT, GET = b"q\0" + b"0", b"h\0"
"""Puts the value aside, and takes it up again."""


def doubled(first: bytes, pair: bytes) -> bytes:
    """A value that holds one twice, which holds one twice...: Python looks at each as often as it is met."""
    return first + PUT + (pair + PUT) * DEPTH + GET


TUPLES = doubled(b"K\x01", GET + GET + b"\x86")
LISTS = doubled(b"K\x01", b"](" + GET + GET + b"e")
TYPES = doubled(name("builtins.int"), name("_operator.getitem") + name("typing.Tuple") + GET + GET + b"\x86" + b"\x86R")
NAMES = text("a") + text("b") + b"\x86"
PLACES = b"}(" + text("a") + GET + b"K\0\x86" + text("b") + GET + b"K\0\x86u"
FIELDS = doubled(dtype_of("f8", -1), dtype_of("V8", 8, NAMES + PLACES))
MASKED = call(
    "numpy.ma.core._mareconstruct", name("numpy.ma.core.MaskedArray"), name("numpy.ndarray"), b"K\0\x85", text("b")
)
LSTM = "torch.nn.modules.rnn.LSTM"
PARTS = dict.fromkeys(("_parameters", "_buffers", "_modules"), b"}")
UNNAMED = b"]](K\0ea"


def lstm(**state: bytes) -> bytes:
    return built(new(LSTM), **{**PARTS, "all_weights": UNNAMED, "bidirectional": b"\x89", "bias": b"\x88", **state})


def number(value: int) -> bytes:
    return b"\x8a\x08" + struct.pack("<q", value)


FOREVER = {
    "text of lists": call("builtins.str", LISTS),
    "text of Python 2": call("__builtin__.unicode", LISTS),
    "text by its base": call(
        "copyreg._reconstructor", name("torch.torch_version.TorchVersion"), name("builtins.str"), LISTS
    ),
    "text in an encoding that takes hours": call(
        "builtins.str", b"B" + struct.pack("<I", 2_000_002) + b"a-" + b"a" * 2_000_000, text("punycode")
    ),
    "a dictionary of pairs": call("builtins.dict", b"]" + TUPLES + b"K\x01\x86a"),
    "a dictionary by its base": call(
        "copyreg._reconstructor", name("collections.Counter"), name("builtins.dict"), b"]" + TUPLES + b"K\x01\x86a"
    ),
    "a counter": call("collections.Counter", b"]" + TUPLES + b"a"),
    "a literal": call("_operator.getitem", name("typing.Literal"), TUPLES),
    "types of types": TYPES,
    "a type of types": call("types.GenericAlias", name("builtins.list"), TYPES + b"\x85"),
    "a layout of torch's": call("torch.serialization._get_layout", TUPLES),
    "a member by its value": call("torchvision.transforms.functional.InterpolationMode", TUPLES),
    "whether an identifier is safe": built(new("uuid.UUID"), int=b"K\x01", is_safe=TUPLES),
    "the number of an identifier": b"}" + built(new("uuid.UUID"), int=TUPLES) + b"Ns",
    "fields in fields": MASKED + b"(K\x01K\0\x85" + FIELDS + b"\x89C\0C\0Ntb",
    "layers": lstm(num_layers=number(10**9)),
    "layers told by a text": lstm(num_layers=text("1")),
    "layers told by a truth": lstm(num_layers=b"\x88"),
    "no layers": lstm(num_layers=b"K\0"),
    "a flag that is text": lstm(num_layers=b"K\x01", bias=text("x")),
    "layers again and again": lstm(num_layers=b"M\xe8\x03") + (dictionary(num_layers=b"M\xe8\x03") + b"b") * 100,
}


def is_endless(body: bytes, seconds: float = 2) -> bool:
    """Whether Python is still at it after a while."""
    code = "import pickle, sys; pickle.loads(sys.stdin.buffer.read())"
    try:
        subprocess.run([sys.executable, "-c", code], input=b"\x80\x04" + body + b".", timeout=seconds, check=True)
    except subprocess.TimeoutExpired:
        return True
    return False


@pytest.mark.parametrize("way", FOREVER)
def test_a_small_file_that_never_ends(way: str) -> None:
    assert look(b"\x80\x04" + FOREVER[way] + b".").verdict in (Safety.DANGEROUS, Safety.MALFORMED)


@pytest.mark.parametrize("way", ["text of lists", "a literal"])
def test_python_does_not_come_to_an_end(way: str) -> None:
    assert is_endless(FOREVER[way])


UUIDS = [5 + k * ((1 << 61) - 1) for k in range(20_000)]
"""Numbers of 128 bits with one hash."""


@pytest.mark.parametrize(
    "keys",
    [
        b"".join(built(new("uuid.UUID"), int=b"\x8a\x10" + n.to_bytes(16, "little")) + b"N" for n in UUIDS),
        b"".join(call("decimal.Decimal", text(str(n))) + b"N" for n in UUIDS),
        b"".join(call("fractions.Fraction", text(str(n))) + b"N" for n in UUIDS),
    ],
    ids=["identifiers", "decimals", "fractions"],
)
def test_keys_that_are_made_to_have_one_hash(keys: bytes) -> None:
    assert look(b"\x80\x04}(" + keys + b"u.").verdict is Safety.MALFORMED
    some = keys.split(b"N", 200)[:-1]
    assert look(b"\x80\x04}(" + b"N".join((*some, b"u."))).verdict is Safety.SAFE


def test_the_parts_of_a_tensor_that_shows_one_number_again_and_again() -> None:
    storage = b"(" + text("storage") + name("torch.FloatStorage") + text("0") + text("cpu") + b"K\x03tQ"
    many = call(
        "torch._utils._rebuild_tensor_v2", storage, b"K\0", number(1 << 40) + b"\x85", b"K\0\x85", b"\x89", b"}"
    )
    for key, value in (("_flat_weights", many), ("all_weights", many), ("all_weights", b"]" + many + b"a")):
        data = zipped({**HONEST, "a/data.pkl": b"\x80\x04" + lstm(num_layers=b"K\x01", **{key: value}) + b"."})
        assert look(data).verdict is Safety.MALFORMED
    honest = zipped({**HONEST, "a/data.pkl": b"\x80\x04" + lstm(num_layers=b"K\x01", other=many) + b"."})
    assert look(honest).verdict is Safety.SAFE


GENUINE = {
    "text": call("builtins.str", text("a")),
    "text of a number": call("builtins.str", b"K\x01"),
    "no text": call("builtins.str"),
    "a dictionary": call("builtins.dict", b"](" + text("a") + b"K\x01\x86" + text("b") + b"N\x86e"),
    "a dictionary of another": call("builtins.dict", dictionary(a=b"N")),
    "a counter": call("collections.Counter", dictionary(a=b"K\x07")),
    "a counter of letters": call("collections.Counter", text("abca")),
    "a list of lists": call("builtins.list", LISTS),
    "a size": call("torch.Size", b"](K\x01K\x02e"),
    "a path": call("pathlib.PosixPath", text("/"), text("a")),
    "a literal": call("_operator.getitem", name("typing.Literal"), text("a") + text("b") + b"\x86"),
    "two layers": lstm(num_layers=b"K\x02", _flat_weights=b"]"),
    "a cell": built(new("torch.nn.modules.rnn.LSTMCell"), **PARTS, input_size=b"K\x03"),
    "identifiers": pickle.dumps(uuid.UUID(int=7), 2)[2:-1],
}


@pytest.mark.parametrize("way", GENUINE)
def test_what_ends_stays_safe(way: str) -> None:
    assert look(b"\x80\x04" + GENUINE[way] + b".").findings == ()


@pytest.mark.parametrize("zipped_file", [True, False])
def test_torchs_recurrent_layers(zipped_file: bool) -> None:
    torch = pytest.importorskip("torch")
    for layer in (
        torch.nn.LSTM(3, 4, 2, bidirectional=True, proj_size=2),
        torch.nn.GRU(3, 4),
        torch.nn.RNN(2, 2, bias=False),
        torch.nn.LSTMCell(3, 4),
    ):
        made = io.BytesIO()
        torch.save(layer, made, _use_new_zipfile_serialization=zipped_file)
        assert look(made.getvalue()).findings == ()
