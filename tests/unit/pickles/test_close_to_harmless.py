"""What an attacker would make of the names that harmless files need: each acts, or could, and none of it passes."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from tests.unit.pickles.files import joblib
from tests.unit.pickles.gadgets import GETATTR, MODEL, built, call, dictionary, look, name, namespace, new, text
from tests.unit.pickles.structures import array_of, structure
from twinloop.pickles.inspection import Safety

WORDS = call("numpy._core._internal._convert_to_stringdtype_kwargs", b"K\x01")
CHAIN, PLAIN_DICT = "collections.ChainMap", "collections.UserDict"
ACTS = namespace(keys=MODEL)
UNKNOWN_CLASS = name("somebody.Outer")


def partial(called: str, told: str, args: bytes, named: bytes, more: bytes = b"N") -> bytes:
    return call("functools.partial", name(called)) + b"(" + name(told) + args + named + more + b"tb"


REFUSED = {
    "texts made of a network": array_of(WORDS, new("models.common.AutoShape")),
    "texts made of a list": array_of(WORDS, b"]"),
    "a missing text that is asked whether it is one": array_of(
        call("numpy._core._internal._convert_to_stringdtype_kwargs", b"K\x01", ACTS), b"N"
    ),
    "a text whose missing value is a name": call(
        "numpy._core._internal._convert_to_stringdtype_kwargs", b"K\x01", MODEL
    ),
    "pointers to texts in a structure": array_of(structure(16, "a", a=(WORDS, 0)), b"N\x85"),
    "pointers to texts in bytes": call(
        "numpy._core.numeric._frombuffer", b"C\x10" + bytes(16), WORDS, b"K\x01\x85", text("C")
    ),
    "a pointer to a text": call("numpy._core.multiarray.scalar", WORDS, b"C\x10" + bytes(16)),
    "a type of texts that is described": WORDS + b"(K\x03" + text("|") + b"NNNK\x10K\x08K\0tb",
    "the maker of texts as a value": dictionary(forward=name("numpy._core._internal._convert_to_stringdtype_kwargs")),
    "a chain of what answers": built(new(CHAIN), maps=b"]" + ACTS + b"a"),
    "a chain that is no list": built(new(CHAIN), maps=ACTS),
    "a chain with a method": built(new(CHAIN), maps=b"]", keys=MODEL),
    "a chain with a second state": built(built(new(CHAIN), maps=b"]"), __setstate__=MODEL),
    "a chain that is set": built(new(CHAIN), maps=b"]" + b"}" + b"a") + text("a") + b"Ns",
    "a chain that is called": call(CHAIN, ACTS),
    "a dictionary made of a chain": call("builtins.dict", built(new(CHAIN), maps=b"]")),
    "a chain as a key": b"}" + built(new(CHAIN), maps=b"]") + b"Ns",
    "a wrapped network": built(new(PLAIN_DICT), data=ACTS),
    "a wrapped dictionary that is set": built(new(PLAIN_DICT), data=b"}") + text("a") + b"Ns",
    "a wrapped list that grows": built(new("collections.UserList"), data=b"]") + b"Na",
    "a dictionary made of a wrapped one": call("collections.OrderedDict", built(new(PLAIN_DICT), data=b"}")),
    "defaults by a function": call("collections.defaultdict", name("somebody.run")),
    "defaults by a class that evaluates": call("collections.defaultdict", MODEL),
    "defaults by a class that acts": call("collections.defaultdict", name("subprocess.Popen")),
    "an unknown function with a text": call("somebody.run", text("rm -rf /")),
    "an unknown function with a truth": call("somebody.run", b"\x88"),
    "an unknown function with two numbers": call("somebody.run", b"K\x01", b"K\x02"),
    "an unknown function with a record": call("somebody.run", namespace()),
    "an unknown function with a huge number": call("somebody.run", b"\x8a\x09" + bytes(8) + b"\x01"),
    "a function of torch with a number": call("torch.empty", b"K\x01"),
    "a function of numpy with a number": call("numpy.empty", b"K\x01"),
    "a function of an acting package with a number": call("psutil.Process", b"K\x01"),
    "a way out of an unknown class": call("builtins.getattr", UNKNOWN_CLASS, text("__globals__")),
    "a way through an unknown module": call("builtins.getattr", name("somebody.os"), text("Run")),
    "a path of attributes": call("builtins.getattr", UNKNOWN_CLASS, text("a.b")),
    "a function of an unknown class": call("builtins.getattr", UNKNOWN_CLASS, text("run"))[:-1]
    + b"R("
    + text("x")
    + b"tR",
    "an attribute of a listed class": call("builtins.getattr", name("torch.nn.modules.module.Module"), text("Inner")),
    "a way out of an unknown object": call("builtins.getattr", new("somebody.Model"), text("__class__")),
    "a method of an unknown object that is called": call("builtins.getattr", new("somebody.Model"), text("run"))
    + b")R",
    "a method of an unknown object that is asked": call(
        "builtins.dict", call("builtins.getattr", new("somebody.Model"), text("run"))
    ),
    "a method of a record": call("builtins.getattr", namespace(), text("run")),
    "arguments for a class that evaluates": call("functools.partial", MODEL),
    "arguments for what acts": call("functools.partial", name("os.system")),
    "arguments for getattr": call("functools.partial", GETATTR),
    "arguments for a memory map": call("functools.partial", name("numpy.memmap")),
    "arguments that act": call("functools.partial", name("builtins.dict"), ACTS),
    "another class in the state of a partial": partial("builtins.dict", "builtins.list", b")", b"}"),
    "a model's class in the state of a partial": partial("builtins.dict", "models.yolo.Model", b")", b"}"),
    "acting arguments in the state of a partial": partial("builtins.dict", "builtins.dict", ACTS + b"\x85", b"}"),
    "acting names in the state of a partial": partial("builtins.dict", "builtins.dict", b")", dictionary(a=ACTS)),
    "a partial with a method": partial("builtins.dict", "builtins.dict", b")", b"}", dictionary(append=MODEL)),
    "a partial that is called": partial("builtins.dict", "builtins.dict", b")", b"}") + b")R",
    "a text in a type, which is compiled": call("_operator.getitem", name("typing.Optional"), text("x")),
    "an item of something else": call("_operator.getitem", ACTS, b"K\0"),
    "an item of a class": call("_operator.getitem", name("somebody.Model"), name("builtins.int")),
    "a record in a type": call("_operator.getitem", name("typing.Optional"), ACTS),
    "a type of a record": call("types.GenericAlias", ACTS, b")"),
    "a type of a model's class": call("types.GenericAlias", MODEL, b")"),
    "a type with a state": built(
        call("types.GenericAlias", name("builtins.list"), name("builtins.int") + b"\x85"), __origin__=MODEL
    ),
    "a form of types that is called": call("typing.Optional", name("builtins.int")),
    "the function that gets items as a value": dictionary(a=name("_operator.getitem")),
    "a file opened by a class of Python's that a package imports": b"\x8c\x0csomebody.art\x8c\x09io.FileIO\x93"
    + b"("
    + text("x")
    + b"tR",
    "a class made of nothing": call("builtins.type", text("A"), b")", b"}"),
    "the class of a record": call("builtins.type", namespace()),
    "the maker of classes as a value": dictionary(a=name("builtins.type")),
    "a single value that is called": call("builtins.Ellipsis"),
    "a fraction that takes hours": call("fractions.Fraction", text("1e1000000000")),
    "a fraction of a huge number": call(
        "fractions.Fraction", b"\x8b" + (4000).to_bytes(4, "little") + b"\1" * 4000, b"K\x03"
    ),
    "a fraction of a record": call("fractions.Fraction", ACTS),
    "a decimal whose whole number takes hours": call("builtins.int", call("decimal.Decimal", text("1e1000000000"))),
    "a decimal of parts": call("decimal.Decimal", b"(K\0K\1\x85J\xff\xff\xff\x7ft"),
    "a pattern that Python prints": call("re._compile", text("a"), b"M\x80\0"),
    "a pattern of a record": call("re._compile", ACTS, b"K\0"),
    "a huge pattern": call("re._compile", text("a" * 3000), b"K\0"),
    "the maker of patterns as a value": dictionary(a=name("re._compile")),
    "a state of a pattern": built(call("re._compile", text("a"), b"K\0"), pattern=b"N"),
    "a time zone out of its folder": call("zoneinfo.ZoneInfo", text("../../etc/passwd")),
    "a time zone of a stream": call("builtins.getattr", name("zoneinfo.ZoneInfo"), text("from_file"))[:-1]
    + b"R("
    + ACTS
    + b"tR",
    "a time of records": call("time.struct_time", b"(" + ACTS * 9 + b"t", b"}"),
    "a logger with a method": built(call("logging.getLogger", text("a")), handlers=b"]"),
    "a logger of a record": call("logging.getLogger", ACTS),
    "numbers of an unknown kind": call(
        "array._array_reconstructor", name("somebody.Array"), text("f"), b"K\x0e", b"C\0"
    ),
    "numbers asked from a record": call("array.array", text("f"), ACTS),
    "a memory map that is opened": call("numpy.memmap", text("/tmp/x"), text("uint8"), text("w+")),
    "a memory map as a value": dictionary(forward=name("numpy.memmap")),
    "a memory map as a maker": call("collections.defaultdict", name("numpy.memmap")),
    "a memory map handed on": new("somebody.Model", name("numpy.memmap")),
    "keywords that hold a memory map": name("somebody.Model")
    + b")"
    + dictionary(subclass=name("numpy.memmap"))
    + b"\x92",
    "a memory map beside a function": call(
        "numpy._core.multiarray._reconstruct", name("numpy.memmap"), GETATTR + b"\x85", b"C\x01b"
    ),
    "a memory map that torch makes of a tensor": call(
        "torch._tensor._rebuild_from_type_v2", name("torch._utils._rebuild_tensor_v2"), name("numpy.memmap"), b")", b"}"
    ),
    "an activation that is called": call("torch.nn.functional.relu", ACTS),
    "a function of numpy's types": call("numpy.dtypes.StringDType"),
    "pandas' evaluation": call("pandas.core.frame.DataFrame.eval", text("@x")),
    "pandas' evaluation by attribute": call("builtins.getattr", name("pandas.core.frame.DataFrame"), text("eval")),
    "pandas' reader": call("pandas.io.pickle.read_pickle", text("x")),
    "a dataset of torch's hub": call("torch.utils.data.dataset.load", text("x")),
}


@pytest.mark.parametrize("way", REFUSED)
def test_none_of_it_passes(way: str) -> None:
    body = REFUSED[way]
    found = look(body if body.startswith(b"\x80") else b"\x80\x04" + body + b".")
    assert found.verdict in (Safety.DANGEROUS, Safety.MALFORMED)


def test_a_chains_list_that_changes_after_it_was_told_reaches_no_constructor() -> None:
    """The list is recalled and gets what answers to ``keys``: the chain is handed to nothing that would ask."""
    chain = new(CHAIN) + b"(" + text("maps") + b"]q\x07d" + b"b"
    later = b"(" + chain + b"h\x07" + ACTS + b"a"
    assert look(b"\x80\x02" + later + call("builtins.dict", b"h\x07") + b"t.").verdict is not Safety.SAFE
    assert (
        look(
            b"\x80\x02(" + chain + b"q\x08" + b"h\x07" + ACTS + b"a0" + call("builtins.dict", b"h\x08") + b"t."
        ).verdict
        is not Safety.SAFE
    )


def test_a_network_among_the_texts_of_a_genuine_file() -> None:
    data = pickle.dumps(np.array(["a"], dtype=np.dtypes.StringDType()), 2)
    assert look(data).verdict is Safety.SAFE
    assert look(data.replace(b"X\x01\0\0\0aq", new("models.common.AutoShape") + b"q")).verdict is not Safety.SAFE


def test_joblibs_record_of_a_memory_map_holds_no_other_function() -> None:
    data = joblib(np.arange(3.0))
    for acting in (b"cmodels.yolo\nModel\n", b"cbuiltins\ngetattr\n"):
        assert look(data.replace(b"cnumpy\nndarray\n", acting)).verdict is not Safety.SAFE


@pytest.mark.parametrize(
    "magic", [b"L119547037146038801333356L\n.", b"\x80\x04\x95\x0d\0\0\0\0\0\0\0\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."]
)
def test_a_deed_in_torchs_older_format_of_other_protocols(magic: bytes) -> None:
    rest = pickle.dumps(1001, 4) + pickle.dumps({"little_endian": True}, 4)
    deed = name("posix.system") + b"(" + text("true") + b"tR."
    assert look(magic + rest + deed + pickle.dumps([], 4)).verdict is Safety.DANGEROUS
    assert look(magic + rest + pickle.dumps({}, 4) + pickle.dumps([], 4) + deed).verdict is not Safety.SAFE
    assert look(magic + deed).verdict is Safety.DANGEROUS
    assert look(magic + rest + pickle.dumps({}, 4) + pickle.dumps([], 4)).verdict is Safety.SAFE


def test_a_text_is_told_of_what_looks_like_a_function() -> None:
    found = look(b"\x80\x04" + call("somebody.mode", text("a")) + b".")
    assert found.verdict is Safety.DANGEROUS
    assert found.findings[0].text == "would call somebody.mode, which is unknown and by its name no class"
