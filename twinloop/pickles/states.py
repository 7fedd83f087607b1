"""What may be put into a record after it was made: the states that genuine files hold, and nothing else.

``pickle`` looks for ``__setstate__``, ``append``, ``extend`` and ``add`` on the instance, where a first state may have
put them; a ``__setstate__`` of a known class may call methods of what it is given; and ``dict.update`` asks all but
exact dictionaries for their ``keys``. What is let through here is data, exact dictionaries, and attributes that none of
these look at.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from twinloop.errors import ModelFileError
from twinloop.pickles.arrays import ArrayShell
from twinloop.pickles.budget import Budget
from twinloop.pickles.data import is_data
from twinloop.pickles.known import KNOWN
from twinloop.pickles.names import (
    ARRAY_RECORD,
    BIT_GENERATOR_MAKER,
    CHAIN,
    DICTIONARIES,
    FUNCTIONS,
    GENERATOR_MAKERS,
    LISTS,
    MODEL_PACKAGES,
    NAMESPACES,
    PARAMETERS,
    PARTIAL,
    RECORDS,
    SEED_MAKER,
    UUID,
    VALUES,
    WRAPPERS,
    Pair,
)
from twinloop.pickles.standard import is_type
from twinloop.pickles.values import Global, Inert, TensorRef, check_names

_LOOKED_FOR = frozenset({"append", "extend", "add"})
"""Attributes that pickle itself looks for on an instance when it appends to it."""
_MODULE_PARTS = {"_parameters": dict, "_buffers": dict, "_modules": dict, "_non_persistent_buffers_set": set}
"""What a module's own ``__setstate__`` and ``__setattr__`` look into."""
_HOOKS = "_hooks"
_ARRAY_FACTS = frozenset({"subclass", "shape", "order", "dtype", "allow_mmap", "numpy_array_alignment_bytes"})
_NAME = 1024
"""What an attribute costs of the budget; a file that sets the same ones again and again is none of a model."""
_LAYERS = "torch.nn.modules."
_NETWORKS = (_LAYERS, "torch.nn.parallel.")
_RECURRENT = f"{_LAYERS}rnn"
_COUNTED, _LISTED = ("bias", "bidirectional", "proj_size"), ("_flat_weights", "_flat_weights_names")
"""What a recurrent network's ``__setstate__`` counts with, and what it goes through one by one."""
_WEIGHT_NAMES = ("all_weights", "_all_weights")
_MOST_LAYERS, _LAYER = 1000, 1 << 16
_IDENTIFIER_BITS = 128
_MOST_USED = {"pos": 624, "buffer_pos": 4}
"""How far the numbers of a bit generator are used up: an index into memory that numpy takes unchecked."""


def check_state(target: Inert, state: object, budget: Budget) -> None:
    """Whether the state of a record is one that its class can only keep.

    Raises:
        ModelFileError: it is another one.
    """
    for part in state if isinstance(state, tuple) else (state,):
        if isinstance(part, dict):
            check_names(part)
            budget.spend(_NAME * len(part))
    check = _check_of(target.cls)
    if check is not None and not check(target, state, budget):
        raise ModelFileError(
            f"the state of {target.cls.path!r} is none that this class has; the file is damaged or made to do harm"
        )


def check_dictionary(state: object) -> None:
    """The attributes of an ordered dictionary (torch keeps ``_metadata`` there): none that hides a method.

    Raises:
        ModelFileError: one that does, or another state.
    """
    if not isinstance(state, dict):
        raise ModelFileError(
            "the state of an ordered dictionary is no dictionary; the file is damaged or made to do harm"
        )
    check_names(state)
    if any(not isinstance(name, str) or name in _LOOKED_FOR or hasattr(OrderedDict, name) for name in state):
        raise ModelFileError("the state of an ordered dictionary hides its methods, which no model file does")


def may_grow(target: Inert, *, pairs: bool) -> bool:
    """Whether items may be appended to a record, or set in it (``pairs``): to containers of Python's, and to classes
    that nobody knows.
    """
    pair = target.cls.pair
    if _check_of(target.cls) is not None:
        return pair in (DICTIONARIES if pairs else LISTS)
    return not _LOOKED_FOR & target.attributes.keys()


def _check_of(cls: Global) -> Check | None:
    """What is asked of the state; None for classes that nobody knows, of which no file is called safe."""
    if cls.pair in _STATES:
        return _STATES[cls.pair]
    if cls.pair in VALUES:
        return _none
    if cls.pair in KNOWN and (cls.module.startswith(_NETWORKS) or cls.module.split(".", 1)[0] in MODEL_PACKAGES):
        return _module
    return _none if cls.pair in KNOWN or cls.pair in RECORDS or cls.pair in FUNCTIONS else None


def _none(_: Inert, __: object, ___: Budget) -> bool:
    return False


def _namespace(_: Inert, state: object, __: Budget) -> bool:
    return type(state) is dict


def _wrapper(target: Inert, state: object, _: Budget) -> bool:
    """A container of Python's around another one, and nothing beside it; a chain is one of dictionaries."""
    name, kind = WRAPPERS[target.cls.pair]
    if type(state) is not dict or state.keys() != {name} or type(state[name]) is not kind:
        return False
    inner = state[name] if target.cls.pair == CHAIN else ()
    kinds = DICTIONARIES | WRAPPERS.keys()
    return all(isinstance(item, dict) or (isinstance(item, Inert) and item.cls.pair in kinds) for item in inner)


def _partial(target: Inert, state: object, budget: Budget) -> bool:
    """(What is called, its arguments, those with names, attributes): the first is told twice, and the arguments are
    data or classes.
    """
    match (target.args, state):
        case ((Global() as called,), (Global() as told, tuple() as args, dict() as named, None | dict() as more)):
            rest = [value for value in (*args, *named.values()) if not is_type(value)]
            return (
                told.pair == called.pair
                and is_data(rest, budget)
                and not more
                and all(type(key) is str for key in named)
            )
    return False


def _identifier(_: Inert, state: object, __: Budget) -> bool:
    """A number, and perhaps whether it was made safely; both are hashed."""
    if not isinstance(state, dict) or not state.keys() <= {"int", "is_safe"}:
        return False
    return all(type(number) is int and number.bit_length() <= _IDENTIFIER_BITS for number in state.values())


def _module(target: Inert, state: object, budget: Budget) -> bool:
    """A network's module keeps its parts in dictionaries; torch's own layers hold nothing else but data."""
    if type(state) is not dict:
        return False
    parts = {name: kind for name, kind in _MODULE_PARTS.items() if name in state}
    parts.update(
        {name: dict for name in state if isinstance(name, str) and name.endswith(_HOOKS) and state[name] is not None}
    )
    if not all(isinstance(state[name], kind) for name, kind in parts.items()):
        return False
    if not target.cls.module.startswith(_LAYERS):
        return True
    if target.cls.module == _RECURRENT and not _is_recurrent(state, budget):
        return False
    return all(
        name in parts or is_data(value, budget, (TensorRef, ArrayShell, Global)) for name, value in state.items()
    )


def _is_recurrent(state: dict[object, object], budget: Budget) -> bool:
    """Whether what a recurrent network does with its state takes no longer than the state is long.

    For each layer that the state tells, torch makes names anew. A tensor that shows one number again and again has as
    many parts as the file says.
    """
    layers = state.get("num_layers", 1)
    if type(layers) is not int or not 0 < layers <= _MOST_LAYERS:
        return False
    budget.spend(_LAYER * layers)
    names = [state[name] for name in _WEIGHT_NAMES if name in state]
    return (
        all(type(state[name]) in (bool, int) for name in _COUNTED if name in state)
        and all(type(state[name]) is list for name in _LISTED if name in state)
        and all(type(part) is list and all(type(inner) is list for inner in part) for part in names)
    )


def _parameter(_: Inert, state: object, __: Budget) -> bool:
    """As torch 0.3 wrote them: flags, hooks, and perhaps the tensor."""
    kinds = (bool, dict, TensorRef)
    return (
        isinstance(state, tuple)
        and len(state) in (3, 5)
        and all(part is None or isinstance(part, kinds) for part in state)
    )


def _array_record(target: Inert, state: object, _: Budget) -> bool:
    """What joblib reads an array by, told once: each time it is told, joblib reads."""
    return target.state is None and isinstance(state, dict) and state.keys() <= _ARRAY_FACTS


def _bit_generator(_: Inert, state: object, budget: Budget) -> bool:
    """Numbers and arrays, and perhaps the seed that they came from."""
    match state:
        case dict() as numbers:
            return _within(numbers, budget)
        case (dict() as numbers, None):
            return _within(numbers, budget)
        case (dict() as numbers, Inert() as seed) if seed.cls.pair == SEED_MAKER:
            return _within(numbers, budget)
    return False


def _generator(_: Inert, state: object, budget: Budget) -> bool:
    """The state of the bit generator in it; of numpy's oldest generator also ``("MT19937", key, pos)`` and the number
    in hand.
    """
    match state:
        case dict() as numbers:
            return _within(numbers, budget)
        case (str(), _, pos) | (str(), _, pos, _, _):
            return is_data(state, budget, (ArrayShell,)) and _is_index(pos, _MOST_USED["pos"])
    return False


def _within(numbers: dict[object, object], budget: Budget) -> bool:
    """Whether all is data, and indices into the generator's memory stay inside of it."""
    parts = [numbers, *(part for part in numbers.values() if isinstance(part, dict))]
    indices = ((part[name], most) for part in parts for name, most in _MOST_USED.items() if name in part)
    return is_data(numbers, budget, (ArrayShell,)) and all(_is_index(value, most) for value, most in indices)


def _is_index(value: object, most: int) -> bool:
    return type(value) is int and 0 <= value <= most


def _seed(_: Inert, state: object, budget: Budget) -> bool:
    """(entropy, children, pool, size of the pool, key) of a seed."""
    match state:
        case (_, int(), ArrayShell(value=pool), int() as size, tuple()) if pool is not None:
            return pool.dtype == "uint32" and pool.shape == (size,) and is_data(state, budget, (ArrayShell,))
    return False


Check = Callable[[Inert, object, Budget], bool]
_STATES: dict[Pair, Check] = {
    **dict.fromkeys(NAMESPACES, _namespace),
    **dict.fromkeys(WRAPPERS, _wrapper),
    PARTIAL: _partial,
    **dict.fromkeys(PARAMETERS, _parameter),
    **dict.fromkeys(GENERATOR_MAKERS, _generator),
    BIT_GENERATOR_MAKER: _bit_generator,
    SEED_MAKER: _seed,
    UUID: _identifier,
    ARRAY_RECORD: _array_record,
}
"""States of single classes; those of networks are `_module`, and other listed names have none."""
