"""The stack machine: follows a pickle's opcodes with plain lists and dictionaries, and imports or calls nothing."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from twinloop.errors import GET_ANOTHER, ModelFileError, UnsafeModelFile
from twinloop.pickles.arguments import fits, instance_class, makes_bare_instance
from twinloop.pickles.arrays import ArrayShell, DTypeShell
from twinloop.pickles.broken import BrokenPickle
from twinloop.pickles.budget import Budget
from twinloop.pickles.builders import as_key, build
from twinloop.pickles.data import check_objects
from twinloop.pickles.names import ARRAY_RECORD, DEFAULTS, ENUMERATION, MEMBERS, MEMMAP, VALUES, ZONE, ZONE_MAKER
from twinloop.pickles.policy import Judgement, Policy
from twinloop.pickles.states import check_dictionary, check_state, may_grow
from twinloop.pickles.values import AnyArray, Global, Inert, StorageRef, no_storage, printable


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
        nested: reads a torch file that lies in the pickle as bytes. inline: takes the raw bytes that follow an object
            in the stream (joblib's arrays), not before the end of the frame of opcodes that is told; gives the value
            that stands for it, or None when nothing follows.
    """

    persistent: Callable[[object], object] | None = None
    read_storage: Callable[[StorageRef], AnyArray] = no_storage
    nested: Callable[[bytes], object] | None = None
    inline: Callable[[Inert, BinaryIO, int], object | None] | None = None


class _Mark:
    """The stack's mark."""


MARK = _Mark()


@dataclass
class Machine:
    """Follows opcodes one by one.

    Attributes:
        source: how messages call the file. place: the part of it that is being read. tolerant: note refusals and go on.
        frame_end: byte behind the frame of opcodes that is being read.
        names, refused: what was met, appended as it is met, so that it outlives an error.
        fixed: dictionaries that describe a numpy type and must not change any more. loaded: tuples that hold, however
            deep, a name which must not be handed on, and that name. Both by id, and kept so that nothing else gets it.
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
    frame_end: int = 0
    fixed: dict[int, object] = field(default_factory=dict)
    loaded: dict[int, tuple[object, Global]] = field(default_factory=dict)

    # -- the stack ---------------------------------------------------------------------------------------------------
    def pop(self) -> Any:
        if not self.stack or self.stack[-1] is MARK:
            raise BrokenPickle("the pickle takes more from its stack than it put there")
        return self.stack.pop()

    def top(self) -> Any:
        if not self.stack or self.stack[-1] is MARK:
            raise BrokenPickle("the pickle uses an empty stack")
        return self.stack[-1]

    def pop_mark(self) -> list[Any]:
        for index in range(len(self.stack) - 1, -1, -1):
            if self.stack[index] is MARK:
                items = self.stack[index + 1 :]
                del self.stack[index:]
                return items
        raise BrokenPickle("the pickle closes a list that it never opened")

    def recall(self, key: int) -> None:
        if key not in self.memo:
            raise BrokenPickle("the pickle recalls a value that it never stored")
        self.stack.append(self.memo[key])

    # -- names and calls ---------------------------------------------------------------------------------------------
    def refuse(self, target: str, reason: str) -> None:
        if not self.tolerant:
            raise UnsafeModelFile(
                f"{self.source}: this file would {reason} {printable(target)} (byte {self.offset} of"
                f" {printable(self.place) or 'its pickle'}). It was not loaded and nothing was run. {GET_ANOTHER}."
            )
        self.refused.append(Refusal(target, self.offset, reason, self.place))

    def find(self, module: object, name: object) -> None:
        if not (isinstance(module, str) and isinstance(name, str)):
            raise stop("the pickle names something with a value that is not text", module, name)
        target = Global(module, name, self.offset)
        self.names.append(target)
        judgement = self.policy.judge(module, name)
        if judgement is Judgement.REFUSE or (judgement is Judgement.NESTED and self.beside.nested is None):
            self.refuse(target.path, "use")
        self.stack.append(target)

    def call(self, target: object, args: object, kwargs: object = None, *, creates: bool = False) -> None:
        """``creates``: the opcode makes an instance of a class (NEWOBJ) instead of calling whatever it is given."""
        if isinstance(target, str | bytes | int | float | tuple | list | dict | None):
            raise BrokenPickle("the pickle calls a plain value")
        if not isinstance(args, tuple) or not isinstance(kwargs, dict | None):
            raise ModelFileError("the pickle calls something with arguments that are not a tuple")
        if not isinstance(target, Global):
            self.refuse("a value that is not a named class", "call")
            self.stack.append(Inert(Global("?", "?", self.offset), args))
            return
        self.budget.spend_on(args)
        self.budget.spend_on(kwargs)
        judgement = self.policy.judge(target.module, target.name)
        if judgement in (Judgement.BUILD, Judgement.NESTED) and (kwargs or self.hands_on(target, args)):
            self.refuse(target.path, "call")
        if judgement is Judgement.BUILD:
            self.stack.append(build(target, args, self.budget, self.beside.read_storage))
        elif judgement is Judgement.NESTED and self.beside.nested is not None:
            self.nest(self.beside.nested, args)
        elif judgement is Judgement.ATTRIBUTE:
            self.attribute(target, args)
        else:
            self.record(target, args, kwargs or {}, creates)

    def hands_on(self, target: Global, args: tuple[object, ...]) -> bool:
        """Whether the arguments hold what must not be handed on.

        Of which class an array was, numpy may be told: it runs no constructor.
        """
        if id(args) not in self.loaded:
            return False
        return target.name != "_reconstruct" or self.loaded[id(args)][1].pair != MEMMAP

    def record(self, target: Global, args: tuple[object, ...], kwargs: dict[Any, object], creates: bool) -> None:
        """What is made of a class or constructor that has no value here."""
        if self.policy.lists(target.module, target.name):
            harmless = not kwargs and (
                fits(target, args, self.budget, creates=creates) or self.makes_unknown(target, args)
            )
        else:
            self.keep((*args, *kwargs.values()))
            harmless = (
                creates
                or self.policy.may_be_called(target.module, target.name)
                or self.policy.may_be_member(target.module, target.name, args)
                or (
                    makes_bare_instance(target, args)
                    and self.policy.judge(target.module, target.name) is Judgement.INERT
                )
            )
        if not harmless:
            self.refuse(target.path, "call")
        cls = instance_class(target, args)
        is_key = cls.pair in VALUES or not self.policy.lists(cls.module, cls.name)
        self.stack.append(Inert(cls, args, is_key=is_key))

    def makes_unknown(self, target: Global, args: tuple[object, ...]) -> bool:
        """Whether it is a dictionary whose missing values are of an unknown class; no opcode asks it for one."""
        match args:
            case (Global() as cls,) if target.pair == DEFAULTS:
                inert = self.policy.judge(cls.module, cls.name) is Judgement.INERT
                return inert and self.policy.may_be_called(cls.module, cls.name)
        return False

    def nest(self, reader: Callable[[bytes], object], args: tuple[object, ...]) -> None:
        if not (len(args) == 1 and isinstance(args[0], bytes)):
            raise ModelFileError("a nested torch file is not given as bytes")
        try:
            self.stack.append(reader(args[0]))
        except BrokenPickle as error:  # its end is not the end of the pickle around it, as far as we know
            raise ModelFileError(str(error)) from error

    def attribute(self, target: Global, args: tuple[object, ...]) -> None:
        """``getattr(record, "forward_fuse")`` becomes a record, which is not called here and is data to no constructor;
        any other use is refused.
        """
        match args:
            case (Inert(cls=cls), str(name)) if self.policy.lends_method(cls.module, cls.name, name):
                pass
            case (Global() as cls, str(name)) if cls.pair == ENUMERATION and name in MEMBERS:
                target, args = cls, (name,)
            case (Global(pair=pair), "_unpickle") if pair == ZONE:
                self.find(*ZONE_MAKER)
                return
            case (Global() as cls, str(name)) if self.policy.may_hold_name(*cls.pair, name):
                self.find(cls.module, f"{cls.name}.{name}")  # as protocol 4 names it
                return
            case _:
                self.refuse(target.path, "call")
        self.stack.append(Inert(target, args, is_key=target.pair in VALUES))

    # -- what is put into values -------------------------------------------------------------------------------------
    def set_state(self, target: object, state: object) -> None:
        self.budget.spend_on(state)
        if isinstance(target, Inert):
            self.keep((state,))
            state = self.copied(target.state, state)
            check_state(target, state, self.budget)
            target.state = state
            found = self.beside.inline(target, self.stream, self.frame_end) if self.beside.inline else None
            if found is not None:
                self.stack[-1] = found
        elif isinstance(target, ArrayShell):
            target.fill(state)
            check_objects(target, self.budget)
        elif isinstance(target, DTypeShell):
            target.describe(state)
            self.fixed[id(target.fields)] = target.fields
        elif isinstance(target, OrderedDict):
            check_dictionary(state)
        else:  # no state at all may be set of any value
            raise stop("the pickle sets the state of a value that has none", target, acts=_is_state(state))

    def copied(self, before: object, state: object) -> object:
        """What an instance keeps of a state: dictionaries are copied, so that what is put into them later does not
        count; a second one adds.
        """
        if isinstance(state, tuple):
            return tuple(self.copied(None, part) if isinstance(part, dict) else part for part in state)
        if not isinstance(state, dict):
            return state
        kept = {**before, **state} if isinstance(before, dict) else dict(state)
        self.budget.spend(64 * len(kept))
        return kept

    def keep(self, items: Iterable[object]) -> None:
        """Refuse what would act if something else called it, where it goes into a value."""
        for item in items:
            acts = self.acting(item)
            if acts is not None:
                self.refuse(acts.path, "hand on")

    def acting(self, item: object) -> Global | None:
        """The name in ``item`` that must not be handed on."""
        if isinstance(item, Global):
            return None if self.policy.may_be_handed_on(item.module, item.name) else item
        return self.loaded[id(item)][1] if id(item) in self.loaded else None

    def bind(self, items: Iterable[object]) -> tuple[object, ...]:
        """Items as a tuple.

        Arguments are tuples, too: what must not be handed on is looked for where the tuple goes.
        """
        made = tuple(items)
        acts = next((acts for item in made if (acts := self.acting(item)) is not None), None)
        if acts is not None:
            self.loaded[id(made)] = made, acts
        return made

    def extend(self, target: object, items: list[Any]) -> None:
        self.keep(items)
        if isinstance(target, list):
            target.extend(items)
        elif isinstance(target, set):
            target.update(as_key(item, self.budget) for item in items)
        elif isinstance(target, Inert) and may_grow(target, pairs=False):
            target.items.extend(items)
        else:
            raise stop("the pickle appends to something that is not a list", target, acts=bool(items))

    def assign(self, target: object, items: list[Any]) -> None:
        if len(items) % 2:
            raise BrokenPickle("the pickle has a key without a value")
        pairs = list(zip(items[::2], items[1::2], strict=True))
        for key, value in pairs:
            # joblib writes of which class an array was under this name
            self.keep((key,) if key == "subclass" and _is_memmap(value) else (key, value))
        if isinstance(target, dict) and id(target) not in self.fixed:
            target.update((as_key(key, self.budget), value) for key, value in pairs)
        elif isinstance(target, Inert) and may_grow(target, pairs=True):
            listed = self.policy.lists(target.cls.module, target.cls.name)
            target.items.extend((as_key(key, self.budget) if listed else key, value) for key, value in pairs)
        else:
            raise stop("the pickle sets a key of something that is not a dictionary", target, acts=bool(items))

    def persist(self, reference: object) -> None:
        if self.beside.persistent is None:
            raise BrokenPickle("the pickle refers to data outside itself; give the whole .pt file")
        self.stack.append(self.beside.persistent(reference))


def _is_memmap(value: object) -> bool:
    return isinstance(value, Global) and value.pair == MEMMAP


def stop(text: str, *values: object, acts: bool = True) -> ModelFileError:
    """An opcode that does not fit what it is given.

    Values that are exactly what Python holds at this place stop its unpickler as well, unless the opcode has nothing to
    do (``acts``): to append no items, or to set no state, is passed over.
    """
    return BrokenPickle(text) if acts and all(_is_exact(value) for value in values) else ModelFileError(text)


def _is_exact(value: object) -> bool:
    """Whether Python holds the same here: a value with neither state, items nor memory, or joblib's record, which is as
    plain.
    """
    exact = isinstance(value, str | bytes | int | float | complex | tuple | frozenset)
    return value is None or exact or (isinstance(value, Inert) and value.cls.pair == ARRAY_RECORD)


def _is_state(state: object) -> bool:
    """Whether every unpickler tries to set it, whatever it is set of."""
    return _is_exact(state) and not isinstance(state, tuple) and (isinstance(state, Inert) or bool(state))
