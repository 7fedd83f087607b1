"""What the names on our lists may be called with: the shapes that genuine files hold, and nothing else.

A constructor that is harmless with numbers and texts may call whatever it is given: ``dict(x)`` calls ``x.keys()``,
``str(x)`` runs ``x.__repr__``. Everything that is not plain data is therefore kept away from every constructor,
whatever it is known to do.
"""

from __future__ import annotations

from collections.abc import Callable

from twinloop.pickles.arrays import as_sizes
from twinloop.pickles.budget import Budget
from twinloop.pickles.builders import as_key
from twinloop.pickles.data import is_data, is_small
from twinloop.pickles.names import (
    BIT_GENERATOR_MAKER,
    BIT_GENERATORS,
    BUILTINS,
    COUNTER,
    DEFAULTS,
    DICTIONARIES,
    GENERATOR_MAKERS,
    LISTS,
    META_TENSOR,
    NAMESPACES,
    PARAMETERS,
    PARTIAL,
    PLAIN,
    PLAIN_DICTIONARIES,
    QUANTIZED_TENSOR,
    RECONSTRUCTORS,
    SEED_MAKER,
    SEED_SEQUENCE,
    TEXTS,
    VALUES,
    Pair,
)
from twinloop.pickles.standard import STANDARD, Args
from twinloop.pickles.values import Global, Inert, StorageRef, TensorRef, check_view

_FACTORIES = (
    PLAIN
    | {(module, name) for module in BUILTINS for name in ("set", "frozenset", "bytes", "bytearray", "complex")}
    | {("collections", "OrderedDict"), ("types", "SimpleNamespace")}
    | DICTIONARIES
    | LISTS
)
"""Types that a dictionary makes missing values of."""
_DATA_TAKERS = VALUES | PLAIN | LISTS | {COUNTER}
_LARGEST_NUMBER = 1 << 64


def fits(target: Global, args: Args, budget: Budget, *, creates: bool) -> bool:
    """Whether a listed name is given what genuine files give it.

    ``creates``: an instance is made without running its constructor.
    """
    pair = target.pair
    shape = _SHAPES.get(pair)
    if shape is not None:
        return shape(args, budget)
    if pair in _DATA_TAKERS:
        return _takes(pair, args, budget)
    return not args and (creates or pair in NAMESPACES)


def _takes(pair: Pair, args: Args, budget: Budget) -> bool:
    """Whether it is data, and nothing that a constructor hashes or prints without end."""
    if not is_data(args, budget):
        return False
    if pair in TEXTS:
        return len(args) <= 1 and all(_is_short(value) for value in args)
    if pair in PLAIN_DICTIONARIES or pair == COUNTER:
        _check_keys(args, budget, pairs=pair != COUNTER)
        return True
    return pair not in VALUES or is_small(args)


def _is_short(value: object) -> bool:
    """Whether its text is not much longer than itself. Bytes are decoded, and some encodings take hours."""
    number = type(value) is int and abs(value) < _LARGEST_NUMBER
    return number or value is None or type(value) in (str, bool, float, complex)


def _check_keys(args: Args, budget: Budget, *, pairs: bool) -> None:
    """Look at what a dictionary is made of as at its keys.

    Raises:
        ModelFileError: it is none.
    """
    for items in args:
        if isinstance(items, list | tuple | set | frozenset):
            for item in items:
                parts = item if pairs and isinstance(item, list | tuple | set | frozenset) else (item,)
                as_key(next(iter(parts), None), budget)


def makes_bare_instance(target: Global, args: Args) -> bool:
    """Whether it is one of Cython's generated functions that only make an empty instance of a class beside them."""
    match args:
        case (Global() as cls,) if target.name == "newObj":
            return cls.module == target.module
        case (Global() as cls, int(), None | tuple()) if target.name == f"__pyx_unpickle_{cls.name}":
            return cls.module == target.module
    return False


def instance_class(target: Global, args: Args) -> Global:
    """The class of which the call makes an instance; protocols 0 and 1 spell it ``_reconstructor(class, object,
    None)``.
    """
    if target.pair in RECONSTRUCTORS and args and isinstance(args[0], Global):
        return args[0]
    return target


def _reconstructed(args: Args, budget: Budget) -> bool:
    """An instance made by a base that is a plain type; any other base runs its constructor."""
    match args:
        case (Global(), Global() as base, state) if base.pair in PLAIN:
            return state is None if base.name == "object" else _takes(base.pair, (state,), budget)
    return False


def _factory(args: Args, _: Budget) -> bool:
    match args:
        case () | (None,):
            return True
        case (Global() as factory,):
            return factory.pair in _FACTORIES
        case (Inert() as made,):
            return made.cls.pair == PARTIAL
    return False


def _tensor_parts(args: Args, budget: Budget) -> bool:
    """Storages, tensors, numbers, and names of torch's (types, quantizers), also directly in a tuple."""
    flat = [inner for item in args for inner in (item if isinstance(item, tuple) else (item,))]
    rest = [item for item in flat if not (isinstance(item, Global) and item.module == "torch")]
    return is_data(rest, budget, (StorageRef, TensorRef))


def _quantized(args: Args, budget: Budget) -> bool:
    """A view of a storage, which torch takes unchecked, and how its numbers are meant."""
    match args:
        case (StorageRef() as storage, int() as offset, shape, stride, *_):
            check_view(storage, offset, as_sizes(shape), as_sizes(stride))
            return _tensor_parts(args, budget)
    return False


def _parameter(args: Args, _: Budget) -> bool:
    match args:
        case () | (TensorRef(),) | (TensorRef(), bool()):
            return True
    return False


def _bit_generator(args: Args, _: Budget) -> bool:
    match args:
        case (Global() as cls,):
            return cls.pair in BIT_GENERATORS
        case (str() as name,):
            return any(name == known for _, known in BIT_GENERATORS)
    return not args


def _generator(args: Args, budget: Budget) -> bool:
    """A generator around a bit generator; numpy 1.24 to 1.26 gave the name and what makes it."""
    match args:
        case (Inert() as made,):
            return made.cls.pair == BIT_GENERATOR_MAKER
        case (str() as name, Global() as maker) if maker.pair == BIT_GENERATOR_MAKER:
            return _bit_generator((name,), budget)
        case (str(),):
            return _bit_generator(args, budget)
    return not args


def _seed(args: Args, _: Budget) -> bool:
    match args:
        case (Global() as cls, int(), None):
            return cls.pair == SEED_SEQUENCE
    return False


_SHAPES: dict[Pair, Callable[[Args, Budget], bool]] = {
    **dict.fromkeys(RECONSTRUCTORS, _reconstructed),
    QUANTIZED_TENSOR: _quantized,
    META_TENSOR: _tensor_parts,
    **dict.fromkeys(PARAMETERS, _parameter),
    **dict.fromkeys(GENERATOR_MAKERS, _generator),
    DEFAULTS: _factory,
    **STANDARD,
    BIT_GENERATOR_MAKER: _bit_generator,
    SEED_MAKER: _seed,
}
