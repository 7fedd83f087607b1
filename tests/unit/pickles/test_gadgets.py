"""Objects of known classes that are made to call something: each file acts when Python loads it, and none of them is
called safe.
"""

from __future__ import annotations

import contextlib
import pickle
import sys
import types
from pathlib import Path

import numpy as np
import pytest

from tests.unit.pickles.gadgets import GETATTR, MODEL, built, call, dictionary, look, name, namespace, new, text
from twinloop.pickles.inspection import Safety


def pickled(body: bytes) -> bytes:
    return b"\x80\x04" + body + b"."


def unlink(victim: Path) -> bytes:
    return call("builtins.getattr", call("pathlib.PosixPath", text(str(victim))), text("unlink"))


METHODS = {
    "keys of a namespace": lambda act: call("builtins.dict", namespace(keys=act)),
    "keys of an ordered dictionary": lambda act: call(
        "collections.OrderedDict", built(call("collections.OrderedDict"), keys=act)
    ),
}


@pytest.mark.parametrize("way", METHODS)
def test_a_method_of_a_path_in_an_object_that_a_constructor_asks(way: str, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.touch()
    data = pickled(METHODS[way](unlink(victim)))
    assert look(data).verdict is not Safety.SAFE
    with contextlib.suppress(TypeError):
        pickle.loads(data)
    assert not victim.exists(), "the file does act"


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch) -> list[tuple[object, ...]]:
    """What a stand-in for a known class that evaluates its arguments was called with."""
    calls: list[tuple[object, ...]] = []
    package, module = types.ModuleType("models"), types.ModuleType("models.yolo")
    module.Model = lambda *args: calls.append(args)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "models", package)
    monkeypatch.setitem(sys.modules, "models.yolo", module)
    return calls


LURES = {
    "a second state": namespace(__setstate__=MODEL) + b"K\x07b",
    "an appended value": namespace(append=MODEL) + b"K\x07a",
    "appended values": namespace(extend=MODEL) + b"(K\x07e",
    "added values": namespace(add=MODEL) + b"(K\x07\x90",
    "an ordered dictionary's second state": built(call("collections.OrderedDict"), __setstate__=MODEL) + b"K\x07b",
    "an ordered dictionary's keys": call("collections.OrderedDict", built(call("collections.OrderedDict"), keys=MODEL)),
    "a namespace of Ultralytics'": call("builtins.dict", namespace(keys=MODEL, __getitem__=MODEL)),
}


@pytest.mark.parametrize("lure", LURES)
def test_a_known_class_that_pickle_itself_is_made_to_call(lure: str, called: list[tuple[object, ...]]) -> None:
    data = pickled(LURES[lure])
    assert look(data).verdict is not Safety.SAFE
    with contextlib.suppress(TypeError):
        pickle.loads(data)
    assert called, "the file does act"


LAYER = "torch.nn.modules.module.Module"
SEQUENCE = "torch.nn.modules.container.Sequential"
STRANGE = {
    "text of a module": call("builtins.str", built(new(LAYER), extra_repr=b"N")),
    "a parameter of no tensor": new("torch.nn.parameter.Parameter", namespace(detach=b"N")),
    "a state that is none": new(LAYER) + namespace(keys=b"N") + b"b",
    "items of a module": call("builtins.list", built(new(SEQUENCE), _modules=b"}")),
    "a shape of a module": call("torch.Size", built(new(SEQUENCE), _modules=b"}")),
    "parts that are no dictionary": built(new(SEQUENCE), _modules=namespace(values=b"N")),
    "hooks that are no dictionary": built(new(LAYER), _forward_hooks=namespace(values=b"N")),
    "weights' names that are a module": built(
        new("torch.nn.modules.rnn.LSTM"), all_weights=built(new(SEQUENCE), _modules=b"}")
    ),
    "items set in a module": new("torch.nn.modules.container.ModuleDict") + text("a") + b"Ns",
    "attributes by setattr": new(LAYER) + b"N" + dictionary(__class__=name(SEQUENCE)) + b"\x86b",
    "keywords": name("types.SimpleNamespace") + b")" + dictionary(keys=b"N") + b"\x92",
    "a module as a key": b"}" + new(SEQUENCE) + b"Ns",
    "a state of a path": built(call("pathlib.PosixPath", text("a")), _drv=b"N"),
    "a function as a value": dictionary(forward=name("builtins.getattr")),
    "a function in a tuple": b"]" + name("builtins.getattr") + b"\x85\x85a",
    "a loader as a value": namespace(forward=name("torch.storage._load_from_bytes")),
    "a model's class as a value": dictionary(forward=MODEL),
    "a maker of defaults": call("collections.defaultdict", MODEL),
    "a method of a method": call(
        "builtins.getattr", call("builtins.getattr", new("models.common.Conv"), text("forward")), text("forward")
    ),
    "a method of a class": call("builtins.getattr", name("models.common.Conv"), text("forward")),
    "another method": call("builtins.getattr", new("models.common.Conv"), text("requires_grad_")),
    "a class that is called": call("ultralytics.nn.tasks.DetectionModel"),
    "a generator's maker": call("numpy.random._pickle.__generator_ctor", text("x"), name("models.yolo.Model")),
    "a generator's index": built(
        call("numpy.random._pickle.__bit_generator_ctor", text("MT19937")),
        state=dictionary(pos=b"M\xff\xff", key=b"]"),
    ),
}


@pytest.mark.parametrize("way", STRANGE)
def test_what_no_genuine_file_does_with_known_classes(way: str) -> None:
    assert look(pickled(STRANGE[way])).verdict in (Safety.DANGEROUS, Safety.MALFORMED)


def test_a_parameters_detach_is_called() -> None:
    pytest.importorskip("torch")
    victim: list[int] = []
    sys.modules["lure"] = module = types.ModuleType("lure")
    module.act = lambda: victim.append(1)  # type: ignore[attr-defined]
    try:
        data = pickled(new("torch.nn.parameter.Parameter", namespace(detach=name("lure.act"))))
        with contextlib.suppress(AttributeError):
            pickle.loads(data)
    finally:
        del sys.modules["lure"]
    assert victim, "the file does act"
    assert look(data, "lure.act").verdict is Safety.DANGEROUS


def test_allowing_a_listed_class_lifts_nothing() -> None:
    data = pickled(call("models.yolo.Model", dictionary(backbone=text("x"))))
    assert look(data, "models.yolo.Model").verdict is Safety.DANGEROUS


@pytest.mark.parametrize(
    "body",
    [call("somebody.Model", GETATTR), call("somebody.Model", b"(" + GETATTR + b"t"), new("somebody.Model", GETATTR)],
    ids=["called", "called with a tuple", "made"],
)
def test_a_name_that_the_user_allowed_gets_no_function_to_call(body: bytes) -> None:
    assert look(pickled(call("somebody.Model", b"N")), "somebody.Model").verdict is Safety.SAFE
    assert look(pickled(body), "somebody.Model").verdict is Safety.DANGEROUS


@pytest.mark.parametrize("maker", ["builtins.set", "builtins.frozenset", "collections.OrderedDict"])
def test_a_builder_gets_no_function_in_its_arguments(maker: str) -> None:
    assert look(pickled(call(maker, b")"))).verdict is Safety.SAFE
    assert look(pickled(call(maker, b"(" + GETATTR + b"t"))).verdict is Safety.DANGEROUS


GENUINE = {
    "fused layers": built(
        new("models.common.Conv"), forward=call("builtins.getattr", new("models.common.Conv"), text("forward_fuse"))
    ),
    "an enumeration": call(
        "builtins.getattr", name("torchvision.transforms.functional.InterpolationMode"), text("BILINEAR")
    ),
    "defaults": call("collections.defaultdict", name("builtins.list")),
    "a state twice": built(built(new(LAYER), _modules=b"}", a=b"N"), b=b"N"),
    "torch's notes": built(call("collections.OrderedDict"), _metadata=call("collections.OrderedDict")),
    "a value as a key": b"}" + call("pathlib.PosixPath", text("a")) + b"Ns",
    "numpy 1.24's generator": call(
        "numpy.random._pickle.__generator_ctor", text("PCG64"), name("numpy.random._pickle.__bit_generator_ctor")
    ),
    "an old parameter": new("torch.nn.parameter.Parameter") + b"\x88\x89" + call("collections.OrderedDict") + b"\x87b",
}


@pytest.mark.parametrize("way", GENUINE)
def test_what_genuine_files_do_stays_safe(way: str) -> None:
    found = look(pickled(GENUINE[way]))
    assert (found.verdict, found.findings) == (Safety.SAFE, ())


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_numpys_own_objects_are_safe(protocol: int) -> None:
    for value in (
        np.random.RandomState(0),
        np.random.default_rng(0),
        np.random.Generator(np.random.Philox(1)),
        np.ma.array([1, 2], mask=[False, True]),
        np.rec.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f8")]),
        np.array([(1, None)], dtype=[("a", "i4", (2,)), ("b", "O")]),
        np.zeros(2, np.dtype([("a", "i1"), ("b", "f8")], align=True)),
        np.array(["2026-01-02"], dtype="M8[D]"),
        np.datetime64("2026-01-02"),
    ):
        found = look(pickle.dumps(value, protocol))
        assert (found.verdict, found.findings) == (Safety.SAFE, ()), value


def test_classes_of_other_packages_are_unknown_and_can_be_allowed() -> None:
    tree = call("sklearn.neighbors._kd_tree.newObj", name("sklearn.neighbors._kd_tree.KDTree"))
    for body, names in (
        (tree, ("sklearn.neighbors._kd_tree.newObj", "sklearn.neighbors._kd_tree.KDTree")),
        (built(new("pandas.core.frame.DataFrame"), _mgr=b"N"), ("pandas.core.frame.DataFrame",)),
        (call("torch._utils._rebuild_sparse_tensor", b"N", b")"), ("torch._utils._rebuild_sparse_tensor",)),
    ):
        assert look(pickled(body)).verdict is Safety.UNKNOWN
        assert look(pickled(body), *names).verdict is Safety.SAFE
    assert look(pickled(name("pandas.eval"))).verdict is Safety.DANGEROUS
    assert look(pickled(call("elsewhere.newObj", name("os.PathLike")))).verdict is Safety.DANGEROUS


@pytest.mark.parametrize(
    "module", ["SimpleHTTPServer", "anydbm", "whichdb", "tkFileDialog", "_winreg", "SimpleXMLRPCServer"]
)
def test_names_of_python_2_that_pickle_translates_act(module: str) -> None:
    assert look(b"\x80\x02" + name(f"{module}.Thing") + b".").verdict is Safety.DANGEROUS
