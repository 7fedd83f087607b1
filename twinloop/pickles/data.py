"""What is data: numbers, texts, and containers and arrays of them, looked at all the way down."""

from __future__ import annotations

from twinloop.errors import ModelFileError
from twinloop.pickles.arrays import ArrayShell, DTypeShell, ScalarShell, TextDTypeShell
from twinloop.pickles.budget import Budget
from twinloop.pickles.names import VALUES
from twinloop.pickles.values import Inert

_SCALARS = (bool, int, float, complex, str, bytes, bytearray, ScalarShell)
_NODE = 64
_SMALL = 1000


def is_data(value: object, budget: Budget, more: tuple[type, ...] = ()) -> bool:
    """Whether ``value`` is numbers, texts and containers of them all the way down; ``more``: further types that are
    taken for data (of arrays of objects, masked ones too, what they hold is looked at; a value such as a path was made
    of data, and has no state).

    Raises:
        ModelFileError: looking costs more than what is left of the budget.
    """
    waiting, seen = [value], set[int]()
    plain = (*_SCALARS, *(kind for kind in more if kind is not ArrayShell))
    while waiting:
        item = waiting.pop()
        if item is None or isinstance(item, plain) or id(item) in seen:
            continue
        seen.add(id(item))
        if isinstance(item, dict):
            waiting.extend((*item.keys(), *item.values()))
        elif isinstance(item, ArrayShell) and ArrayShell in more:
            waiting.extend(item.objects)
            item = item.objects
        elif isinstance(item, list | tuple | set | frozenset):
            waiting.extend(item)
        elif not (isinstance(item, Inert) and item.cls.pair in VALUES):
            return False
        else:
            continue
        budget.spend(_NODE * len(item))
    return True


def is_small(value: object) -> bool:
    """Whether ``value`` stays small when its parts are counted each time they are met: Python hashes and prints what
    lies twice in a container twice, and forty such containers in one another never end.
    """
    waiting, left = [value], _SMALL
    while waiting:
        item = waiting.pop()
        parts: tuple[object, ...] = ()
        if isinstance(item, dict):
            parts = (*item.keys(), *item.values())
        elif isinstance(item, list | tuple | set | frozenset):
            parts = tuple(item)
        elif isinstance(item, Inert):
            parts = item.args
        left -= len(parts)
        if left < 0:
            return False
        waiting.extend(parts)
    return True


def check_objects(array: ArrayShell, budget: Budget) -> None:
    """Whether an array of structures holds objects only where its type has them: numpy makes texts and numbers of
    everything else.

    Raises:
        ModelFileError: it does not.
    """
    if array.dtype is not None and array.dtype.holds_objects:
        budget.spend(array.dtype.itemsize * len(array.objects))
        for item in array.objects:
            if not _is_element(item, array.dtype, budget):
                raise ModelFileError("an array of structures holds an object where its type has none")


def _is_element(item: object, dtype: DTypeShell, budget: Budget) -> bool:
    budget.spend(_NODE)
    if dtype.is_object:
        return True
    if isinstance(dtype, TextDTypeShell):
        return dtype.takes(item)
    if not (dtype.parts and dtype.holds_objects):
        return is_data(item, budget, (ArrayShell,))
    if not isinstance(item, tuple) or len(item) != len(dtype.parts):
        return False
    return all(_is_element(value, inner, budget) for value, (inner, _) in zip(item, dtype.parts, strict=True))
