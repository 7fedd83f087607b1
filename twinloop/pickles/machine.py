"""The stack machine: follows a pickle's opcodes with plain lists and dictionaries, and imports or calls nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from twinloop.errors import ModelFileError, UnsafeModelFile
from twinloop.pickles.budget import Budget
from twinloop.pickles.builders import ArrayShell, DTypeShell, as_key, build
from twinloop.pickles.policy import Judgement, Policy
from twinloop.pickles.values import AnyArray, Global, Inert, StorageRef, TensorRef, no_storage


@dataclass(frozen=True)
class Refusal:
    """Something that would have acted.

    Attributes:
        target: ``module.name``. offset: the byte in the pickle. reason: what it would do (``use``, ``call``).
        place: the part of the file that holds the pickle; empty for the file itself.
    """

    target: str
    offset: int
    reason: str
    place: str = ""


@dataclass(frozen=True)
class Beside:
    """What lies around a pickle, and how to reach it.

    Attributes:
        persistent: turns a persistent id into a value (torch storages). read_storage: the numbers of a storage.
        nested: reads a torch file that lies in the pickle as bytes. inline: takes the raw bytes that follow an object in the stream
            (joblib's arrays); gives the value that stands for it, or None when nothing follows.
    """

    persistent: Callable[[object], object] | None = None
    read_storage: Callable[[StorageRef], AnyArray] = no_storage
    nested: Callable[[bytes], object] | None = None
    inline: Callable[[Inert, BinaryIO], object | None] | None = None


class _Mark:
    """The stack's mark."""


_MARK = _Mark()
_CONSTANTS: dict[str, object] = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_LITERALS = frozenset(
    {
        "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT", "BYTEARRAY8",
        "STRING", "BINSTRING", "SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8",
        "UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8",
    }
)  # fmt: skip
_SILENT = frozenset({"PROTO", "FRAME"})


@dataclass
class Machine:
    """Follows opcodes one by one.

    Attributes:
        source: how messages call the file. place: the part of it that is being read. tolerant: note refusals and go on.
        names, refused: what was met, appended as it is met, so that it outlives an error.
    """

    source: str
    policy: Policy
    budget: Budget
    tolerant: bool
    names: list[Global]
    refused: list[Refusal]
    beside: Beside
    stream: BinaryIO
    place: str = ""
    stack: list[Any] = field(default_factory=list)
    memo: dict[int, object] = field(default_factory=dict)
    offset: int = 0

    # -- the stack ---------------------------------------------------------------------------------------------------
    def pop(self) -> Any:
        if not self.stack or self.stack[-1] is _MARK:
            raise ModelFileError("the pickle takes more from its stack than it put there")
        return self.stack.pop()

    def top(self) -> Any:
        if not self.stack or self.stack[-1] is _MARK:
            raise ModelFileError("the pickle uses an empty stack")
        return self.stack[-1]

    def pop_mark(self) -> list[Any]:
        for index in range(len(self.stack) - 1, -1, -1):
            if self.stack[index] is _MARK:
                items = self.stack[index + 1 :]
                del self.stack[index:]
                return items
        raise ModelFileError("the pickle closes a list that it never opened")

    # -- names and calls ---------------------------------------------------------------------------------------------
    def refuse(self, target: str, reason: str) -> None:
        if not self.tolerant:
            raise UnsafeModelFile(
                f"{self.source}: this file would {reason} {target} (byte {self.offset} of {self.place or 'its pickle'}). It was not loaded and nothing "
                "was run. Delete it, and get the model from its author as .safetensors or .onnx."
            )
        self.refused.append(Refusal(target, self.offset, reason, self.place))

    def find(self, module: object, name: object) -> None:
        if not (isinstance(module, str) and isinstance(name, str)):
            raise ModelFileError("the pickle names something with a value that is not text")
        target = Global(module, name, self.offset)
        self.names.append(target)
        judgement = self.policy.judge(module, name)
        if judgement is Judgement.REFUSE or (judgement is Judgement.NESTED and self.beside.nested is None):
            self.refuse(target.path, "use")
        self.stack.append(target)

    def call(self, target: object, args: object, kwargs: object = None, *, creates: bool = False) -> None:
        """``creates``: the opcode makes an instance of a class (NEWOBJ) instead of calling whatever it is given."""
        if not isinstance(args, tuple):
            raise ModelFileError("the pickle calls something with arguments that are not a tuple")
        if not isinstance(target, Global):
            self.refuse("a value that is not a named class", "call")
            self.stack.append(Inert(Global("?", "?", self.offset), args))
            return
        judgement = self.policy.judge(target.module, target.name)
        if judgement is Judgement.BUILD:
            self.budget.spend_on(args)
            self.stack.append(build(target, args, self.beside.read_storage))
            return
        if judgement is Judgement.NESTED and self.beside.nested is not None:
            self.nest(self.beside.nested, args)
            return
        if judgement is Judgement.ATTRIBUTE:
            self.attribute(target, args)
            return
        if not creates and not self.policy.may_be_called(target.module, target.name, with_data=bool(args or kwargs)):
            self.refuse(target.path, "call")
        self.budget.spend_on(kwargs)
        named = (
            {key: value for key, value in kwargs.items() if isinstance(key, str)} if isinstance(kwargs, dict) else {}
        )
        if target.name == "_reconstructor" and args and isinstance(args[0], Global):
            if len(args) > 1 and not (
                isinstance(args[1], Global) and self.policy.is_plain_type(args[1].module, args[1].name)
            ):
                self.refuse(args[0].path, "call")  # of another base it would run the constructor
            target = args[0]  # protocol 0 and 1 spell "an instance of this class" so
        self.stack.append(Inert(target, args, named))

    def nest(self, reader: Callable[[bytes], object], args: tuple[object, ...]) -> None:
        if not (len(args) == 1 and isinstance(args[0], bytes)):
            raise ModelFileError("a nested torch file is not given as bytes")
        self.budget.spend_on(args)
        self.stack.append(reader(args[0]))

    def attribute(self, target: Global, args: tuple[object, ...]) -> None:
        """``getattr(record, "method")`` becomes a record, which nothing can call; any other use is refused."""
        match args:
            case (Inert() | Global(), str(name)) if name.isidentifier() and not self.policy.reaches_outside(name):
                pass
            case _:
                self.refuse(target.path, "call")
        self.stack.append(Inert(target, args))

    def set_state(self, target: object, state: object) -> None:
        if isinstance(target, Inert):
            if isinstance(target.state, dict) and isinstance(state, dict):
                state = {**target.state, **state}  # a second BUILD adds to the first
            target.state = state
            found = self.beside.inline(target, self.stream) if self.beside.inline else None
            if found is not None:
                self.stack[-1] = found
        elif isinstance(target, ArrayShell):
            self.budget.spend_on(state)
            target.fill(state)
        elif isinstance(target, DTypeShell):
            self.budget.spend_on(state)
            target.describe(state)
        elif not isinstance(target, dict | set | TensorRef):
            raise ModelFileError("the pickle sets the state of a plain value")

    # -- containers --------------------------------------------------------------------------------------------------
    def extend(self, target: object, items: list[Any]) -> None:
        if isinstance(target, list):
            target.extend(items)
        elif isinstance(target, set):
            target.update(as_key(item) for item in items)
        elif isinstance(target, Inert):
            target.items.extend(items)
        else:
            raise ModelFileError("the pickle appends to something that is not a list")

    def assign(self, target: object, items: list[Any]) -> None:
        if len(items) % 2:
            raise ModelFileError("the pickle has a key without a value")
        pairs = zip(items[::2], items[1::2], strict=True)
        if isinstance(target, dict):
            target.update((as_key(key), value) for key, value in pairs)
        elif isinstance(target, Inert):
            target.items.extend(pairs)
        else:
            raise ModelFileError("the pickle sets a key of something that is not a dictionary")

    def recall(self, key: int) -> None:
        if key not in self.memo:
            raise ModelFileError("the pickle recalls a value that it never stored")
        self.stack.append(self.memo[key])

    def persist(self, reference: object) -> None:
        if self.beside.persistent is None:
            raise ModelFileError("the pickle refers to data outside itself; give the whole .pt file")
        self.stack.append(self.beside.persistent(reference))

    def step(self, name: str, arg: Any) -> None:
        """One opcode (Python's pickletools lists them all)."""
        if name in _LITERALS:
            if isinstance(arg, str | bytes | bytearray):
                self.budget.spend(len(arg))
            self.stack.append(arg)
        elif name in _CONSTANTS:
            self.stack.append(_CONSTANTS[name])
        elif name in _HANDLERS:
            _HANDLERS[name](self, arg)
        elif name.startswith("EXT"):
            self.refuse("an extension code of the machine that wrote it", "use")
            self.stack.append(Inert(Global("copyreg", name, self.offset)))
        elif name not in _SILENT:
            raise ModelFileError(f"the pickle uses {name}, which no model file needs")


def _tuple(count: int) -> Callable[[Machine, Any], None]:
    def make(m: Machine, _: Any) -> None:
        items = [m.pop() for _ in range(count)]
        m.stack.append(tuple(reversed(items)))

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


def _instance(m: Machine, arg: str) -> None:
    args = tuple(m.pop_mark())
    m.find(*arg.split(" ", 1))
    m.call(m.pop(), args)


def _object(m: Machine, _: Any) -> None:
    items = m.pop_mark()
    if not items:
        raise ModelFileError("the pickle makes an object of nothing")
    m.call(items[0], tuple(items[1:]))


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
        raise ModelFileError("the pickle drops a value that is not there")
    m.stack.pop()


def _pop_mark(m: Machine, _: Any) -> None:
    m.pop_mark()


_HANDLERS: dict[str, Callable[[Machine, Any], None]] = {
    "MARK": lambda m, _: m.stack.append(_MARK),
    "POP": _pop,
    "POP_MARK": _pop_mark,
    "DUP": lambda m, _: m.stack.append(m.top()),
    "EMPTY_LIST": lambda m, _: m.stack.append([]),
    "EMPTY_DICT": lambda m, _: m.stack.append({}),
    "EMPTY_TUPLE": lambda m, _: m.stack.append(()),
    "EMPTY_SET": lambda m, _: m.stack.append(set()),
    "TUPLE": lambda m, _: m.stack.append(tuple(m.pop_mark())),
    "TUPLE1": _tuple(1),
    "TUPLE2": _tuple(2),
    "TUPLE3": _tuple(3),
    "LIST": lambda m, _: m.stack.append(m.pop_mark()),
    "DICT": _dict_of,
    "FROZENSET": lambda m, _: m.stack.append(frozenset(as_key(item) for item in m.pop_mark())),
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
    "REDUCE": _reduce,
    "NEWOBJ": _new_object,
    "NEWOBJ_EX": _new_object_ex,
    "OBJ": _object,
    "INST": _instance,
    "BUILD": _set_state,
    "PERSID": lambda m, arg: m.persist(arg),
    "BINPERSID": lambda m, _: m.persist(m.pop()),
}
