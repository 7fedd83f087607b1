"""Opcodes: what each of them does to the machine (Python's pickletools lists and describes them)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twinloop.errors import ModelFileError
from twinloop.pickles.broken import BrokenPickle
from twinloop.pickles.builders import as_key
from twinloop.pickles.machine import MARK, Machine, stop
from twinloop.pickles.values import Global, Inert

_CONSTANTS: dict[str, object] = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_LITERALS = frozenset(
    {
        "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT", "BYTEARRAY8",
        "STRING", "BINSTRING", "SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8",
        "UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8",
    }
)  # fmt: skip
_SILENT = frozenset({"PROTO", "FRAME"})
EXTENSION = "an extension code of the machine that wrote it"
"""Target of the refusal of a code that means a name where somebody registered it, and stops the unpickler everywhere
else."""


def step(m: Machine, name: str, arg: Any) -> None:
    """One opcode.

    Raises:
        BrokenPickle: Python's unpickler would raise here, too. ModelFileError: it goes on with what is not followed
            here.
        UnsafeModelFile: it would act, and the reading is not tolerant.
    """
    if name in _LITERALS:
        if isinstance(arg, str | bytes | bytearray):
            m.budget.spend(len(arg))
        m.stack.append(arg)
    elif name in _CONSTANTS:
        m.stack.append(_CONSTANTS[name])
    elif name in _HANDLERS:
        _HANDLERS[name](m, arg)
    elif name.startswith("EXT"):
        m.refuse(EXTENSION, "use")
        m.stack.append(Inert(Global("copyreg", name, m.offset)))
    elif name == "NEXT_BUFFER":
        raise BrokenPickle("the pickle refers to data outside itself")
    elif name not in _SILENT:
        raise ModelFileError(f"the pickle uses {name}, which no model file needs")


def _tuple(count: int) -> Callable[[Machine, Any], None]:
    def make(m: Machine, _: Any) -> None:
        items = [m.pop() for _ in range(count)]
        m.stack.append(m.bind(reversed(items)))

    return make


def _put(m: Machine, key: int) -> None:
    m.memo[key] = m.top()


def _after(m: Machine, items: list[Any], act: Callable[[object, list[Any]], None]) -> None:
    act(m.top(), items)


def _dict_of(m: Machine, _: Any) -> None:
    items: list[Any] = m.pop_mark()
    made: dict[object, object] = {}
    m.assign(made, items)
    m.stack.append(made)


def _list_of(m: Machine, _: Any) -> None:
    items: list[Any] = []
    m.extend(items, m.pop_mark())
    m.stack.append(items)


def _frozen_of(m: Machine, _: Any) -> None:
    items = m.pop_mark()
    m.keep(items)
    m.stack.append(frozenset(as_key(item, m.budget) for item in items))


def _read_only(m: Machine, _: Any) -> None:
    """Bytes are read-only already; of other values that have memory it makes a view, of which nothing is known here."""
    if not isinstance(m.top(), bytes):
        raise stop("the pickle makes a view of another value's memory, which no model file needs", m.top())


def _instance(m: Machine, arg: str) -> None:
    args = m.bind(m.pop_mark())
    m.find(*arg.split(" ", 1))
    m.call(m.pop(), args)


def _object(m: Machine, _: Any) -> None:
    items = m.pop_mark()
    if not items:
        raise BrokenPickle("the pickle makes an object of nothing")
    m.call(items[0], m.bind(items[1:]))


def _reduce(m: Machine, _: Any) -> None:
    args, target = m.pop(), m.pop()
    m.call(target, args)


def _new_object(m: Machine, _: Any) -> None:
    args, target = m.pop(), m.pop()
    m.call(target, args, creates=True)


def _new_object_ex(m: Machine, _: Any) -> None:
    kwargs, args, target = m.pop(), m.pop(), m.pop()
    m.call(target, args, kwargs, creates=True)


def _stack_global(m: Machine, _: Any) -> None:
    name, module = m.pop(), m.pop()
    m.find(module, name)


def _set_state(m: Machine, _: Any) -> None:
    state = m.pop()
    m.set_state(m.top(), state)


def _set_item(m: Machine, _: Any) -> None:
    value, key = m.pop(), m.pop()
    m.assign(m.top(), [key, value])


def _pop(m: Machine, _: Any) -> None:
    if not m.stack:
        raise BrokenPickle("the pickle drops a value that is not there")
    m.stack.pop()


def _pop_mark(m: Machine, _: Any) -> None:
    m.pop_mark()


_HANDLERS: dict[str, Callable[[Machine, Any], None]] = {
    "MARK": lambda m, _: m.stack.append(MARK),
    "POP": _pop,
    "POP_MARK": _pop_mark,
    "DUP": lambda m, _: m.stack.append(m.top()),
    "EMPTY_LIST": lambda m, _: m.stack.append([]),
    "EMPTY_DICT": lambda m, _: m.stack.append({}),
    "EMPTY_TUPLE": lambda m, _: m.stack.append(()),
    "EMPTY_SET": lambda m, _: m.stack.append(set()),
    "TUPLE": lambda m, _: m.stack.append(m.bind(m.pop_mark())),
    "TUPLE1": _tuple(1),
    "TUPLE2": _tuple(2),
    "TUPLE3": _tuple(3),
    "LIST": _list_of,
    "DICT": _dict_of,
    "FROZENSET": _frozen_of,
    "APPEND": lambda m, _: _after(m, [m.pop()], m.extend),
    "APPENDS": lambda m, _: _after(m, m.pop_mark(), m.extend),
    "ADDITEMS": lambda m, _: _after(m, m.pop_mark(), m.extend),
    "SETITEM": _set_item,
    "SETITEMS": lambda m, _: _after(m, m.pop_mark(), m.assign),
    "PUT": _put,
    "BINPUT": _put,
    "LONG_BINPUT": _put,
    "MEMOIZE": lambda m, _: _put(m, len(m.memo)),
    "GET": lambda m, key: m.recall(key),
    "BINGET": lambda m, key: m.recall(key),
    "LONG_BINGET": lambda m, key: m.recall(key),
    "GLOBAL": lambda m, arg: m.find(*arg.split(" ", 1)),
    "STACK_GLOBAL": _stack_global,
    "READONLY_BUFFER": _read_only,
    "REDUCE": _reduce,
    "NEWOBJ": _new_object,
    "NEWOBJ_EX": _new_object_ex,
    "OBJ": _object,
    "INST": _instance,
    "BUILD": _set_state,
    "PERSID": lambda m, arg: m.persist(arg),
    "BINPERSID": lambda m, _: m.persist(m.pop()),
}
