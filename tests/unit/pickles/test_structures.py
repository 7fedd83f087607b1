"""Structures of numpy's that hold objects, and states of its generators: what numpy would take unchecked is checked
here.
"""

from __future__ import annotations

import pickle
import sys
import types

import numpy as np
import pytest

from tests.unit.pickles.disguises import dtype_of, look
from tests.unit.pickles.gadgets import built, call, new, text
from tests.unit.pickles.structures import OBJECT, array_of, structure
from twinloop.pickles.inspection import Safety

INTEGER = dtype_of("i8", -1)
LETTERS = dtype_of("S8", 8)


HONEST = structure(16, "ab", a=(OBJECT, 0), b=(INTEGER, 8))
LIES = {
    "a number over an object": structure(8, "ab", a=(OBJECT, 0), b=(INTEGER, 0)),
    "half over an object": structure(12, "ab", a=(OBJECT, 0), b=(INTEGER, 4)),
    "a field without a name": structure(16, "a", a=(OBJECT, 0), b=(INTEGER, 8)),
    "a name twice": structure(16, "aa", a=(OBJECT, 0)),
}


def test_a_structure_of_an_object_and_a_number_is_safe() -> None:
    data = array_of(HONEST, b"NK\x07\x86")
    assert pickle.loads(data).tolist() == [(None, 7)]
    assert look(data).findings == ()


@pytest.mark.parametrize("lie", LIES)
def test_fields_that_share_their_bytes_with_an_object(lie: str) -> None:
    found = look(array_of(LIES[lie], b"NK\x07\x86"))
    assert found.verdict is Safety.MALFORMED and "two ways" in found.findings[0].text


MODULE_PARTS = {"_parameters": b"}", "_buffers": b"}", "_modules": b"}"}
METHOD = call("builtins.getattr", built(new("models.common.AutoShape"), **MODULE_PARTS), text("forward"))
ACTING = built(new("models.common.AutoShape"), **MODULE_PARTS, extra_repr=METHOD)
"""A network whose text is the answer of a method of the file's choice."""
ENUMERATION = "torchvision.transforms.functional.InterpolationMode"
TEXTS = {
    "a field of letters": array_of(structure(16, "ab", a=(OBJECT, 0), b=(LETTERS, 8)), b"N" + ACTING + b"\x86"),
    "a structure that is no tuple": array_of(HONEST, ACTING),
    "too few values": array_of(HONEST, b"N\x85"),
    "a member's name": b"\x80\x04"
    + call("builtins.str", built(call(ENUMERATION, text("bilinear")), _name_=ACTING))
    + b".",
}


@pytest.mark.parametrize("way", TEXTS)
def test_a_network_that_numpy_or_python_would_make_text_of(way: str) -> None:
    assert look(TEXTS[way]).verdict is Safety.MALFORMED


def test_the_text_of_a_network_does_act(monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    calls: list[str] = []

    class AutoShape(torch.nn.Module):  # type: ignore[misc, name-defined]
        def forward(self) -> str:
            calls.append("forward")
            return ""

    module = types.ModuleType("models.common")
    module.AutoShape = AutoShape  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "models", types.ModuleType("models"))
    monkeypatch.setitem(sys.modules, "models.common", module)
    pickle.loads(TEXTS["a field of letters"])
    assert calls == ["forward"]


def test_masked_objects_are_looked_at_too() -> None:
    masked = pickle.dumps(np.ma.array([12345, 1], mask=[False, True], dtype=object), 2)
    assert look(masked).findings == ()
    layer = "torch.nn.modules.linear.Linear"
    assert look(b"\x80\x02" + built(new(layer), note=masked[2:-1]) + b".").findings == ()
    acting = masked[2:-1].replace(b"M90", new("models.common.AutoShape"))
    assert look(b"\x80\x02" + built(new(layer), note=acting) + b".").verdict is Safety.MALFORMED


def generator(name_: str, state: object, *behind: bytes) -> bytes:
    kind = call(f"numpy.random._pickle.{name_}", text("MT19937"))
    packed = pickle.dumps(state, 2)[2:-1]
    return b"\x80\x04" + kind + (b"(" + packed + b"".join(behind) + b"t" if behind else packed) + b"b."


def state_of(pos: int) -> dict[str, object]:
    return {"bit_generator": "MT19937", "state": {"key": np.zeros(624, np.uint32), "pos": pos}}


TUPLE = ("MT19937", np.zeros(624, np.uint32))
INDICES = {
    "a pair of state and number": generator("__bit_generator_ctor", state_of(10**6), b"K\0"),
    "a pair of state and nothing": generator("__bit_generator_ctor", state_of(10**6), b"N"),
    "a state alone": generator("__bit_generator_ctor", state_of(625)),
    "a tuple of a bit generator": generator("__bit_generator_ctor", (*TUPLE, 7)),
    "the oldest generator": generator("__randomstate_ctor", (*TUPLE, 10**6, 0, 0.0)),
    "four parts": generator("__randomstate_ctor", (*TUPLE, 7, 0)),
}


@pytest.mark.parametrize("way", INDICES)
def test_an_index_out_of_a_generators_memory(way: str) -> None:
    assert look(INDICES[way]).verdict is Safety.MALFORMED


@pytest.mark.parametrize(
    "data",
    [
        generator("__bit_generator_ctor", state_of(624), b"N"),
        generator("__bit_generator_ctor", state_of(3)),
        generator("__randomstate_ctor", (*TUPLE, 7, 0, 0.0)),
        generator("__randomstate_ctor", state_of(3)),
    ],
)
def test_states_as_numpy_writes_them(data: bytes) -> None:
    assert look(data).findings == ()
