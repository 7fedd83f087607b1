"""Our own constructors for the few names that are data: containers, tensors and numpy arrays.

Nothing else is ever built.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable
from typing import cast

import numpy as np

from twinloop.errors import ModelFileError
from twinloop.pickles.arrays import RECORD, ArrayShell, DTypeShell, MaskedShell, ScalarShell, TextDTypeShell, as_sizes
from twinloop.pickles.broken import BrokenPickle
from twinloop.pickles.budget import Budget
from twinloop.pickles.names import NUMERIC_VALUES, TEXT_DTYPE
from twinloop.pickles.values import (
    COMPLEX32,
    FLOAT8,
    AnyArray,
    Global,
    Inert,
    StorageRef,
    TensorRef,
    check_attributes,
    check_view,
    flat_type,
)

STORAGE_DTYPES = {
    "HalfStorage": "float16",
    "FloatStorage": "float32",
    "DoubleStorage": "float64",
    "BFloat16Storage": "bfloat16",
    "LongStorage": "int64",
    "IntStorage": "int32",
    "ShortStorage": "int16",
    "CharStorage": "int8",
    "ByteStorage": "uint8",
    "BoolStorage": "bool",
    "UntypedStorage": "uint8",
    "ComplexFloatStorage": "complex64",
    "ComplexDoubleStorage": "complex128",
    "QInt8Storage": "int8",
    "QUInt8Storage": "uint8",
    "QInt32Storage": "int32",
}
"""Storage class or torch dtype -> our dtype name."""
_NEW_DTYPES = FLOAT8 | {"uint16", "uint32", "uint64", COMPLEX32}
"""Types that came after the typed storages: the tensor names them itself."""
_MAX_KEY_DEPTH = 4
_MAX_KEY_ITEMS = 1000
_MAX_KEY_BITS = 64
_KEY = 16
"""What it costs at least to put a key into a dictionary, in items."""
_NUMERIC_KEY = 1 << 19
"""What a key costs, in bytes, that only Python hashes as a number: thousands of them can be made to have one hash."""
_HASHED = (str, bytes, int, float, complex, Global, frozenset, ScalarShell, TensorRef)
"""torch hashes a tensor by its identity: an optimizer that was pickled whole keeps its state by parameter."""
_REBUILDERS = ("_rebuild_tensor", "_rebuild_tensor_v2", "_rebuild_tensor_v3", "_rebuild_parameter")


def as_key(value: object, budget: Budget) -> Hashable:
    """``value`` if it may be a dictionary key or set member: hashing hostile deep tuples would overrun the C stack, and
    large ones or numbers that are made to collide would take hours.

    Raises:
        BrokenPickle: Python cannot hash it either. ModelFileError: another value that is no key in a model file, or too
            many.
    """
    if isinstance(value, ScalarShell):  # equal to the same value of Python's, names of attributes among them
        return value if value.value is None else as_key(value.value, budget)
    items, waiting = 0, [(value, 0)]
    while waiting:
        item, depth = waiting.pop()
        items += 1
        if isinstance(item, tuple):
            items += len(item)
            if depth >= _MAX_KEY_DEPTH or items > _MAX_KEY_ITEMS:
                raise ModelFileError("a dictionary key is deeper or larger than any in a model file")
            waiting.extend((part, depth + 1) for part in reversed(item))
        else:
            _check_key(item, budget)
    budget.work(_KEY + items)
    return value


def _check_key(value: object, budget: Budget) -> None:
    if isinstance(value, list | dict | set | bytearray):
        raise BrokenPickle("a dictionary key is a container that can change; the file is damaged")
    if isinstance(value, int) and value.bit_length() > _MAX_KEY_BITS:
        raise ModelFileError("a dictionary key is a number larger than any in a model file")
    plain = value is None or isinstance(value, _HASHED)
    if not (plain or (isinstance(value, Inert) and value.is_key)):
        raise ModelFileError("a dictionary key is not a plain value; the file is damaged or made to do harm")
    if isinstance(value, Inert) and value.cls.pair in NUMERIC_VALUES:
        budget.spend(_NUMERIC_KEY)


def build(
    target: Global, args: tuple[object, ...], budget: Budget, read_storage: Callable[[StorageRef], AnyArray]
) -> object:
    """The value that an allow-listed constructor stands for.

    Raises:
        ModelFileError: arguments that the real constructor would not take.
    """
    name = target.name
    if name.startswith("_rebuild_"):
        return _tensor(name, args, read_storage)
    if name == "OrderedDict":
        return OrderedDict(_pairs(args, budget))
    if name in ("set", "frozenset"):
        members = {as_key(item, budget) for item in _items(args)}
        return members if name == "set" else frozenset(members)
    if name == "dtype":
        return _dtype(args)
    if target.pair == TEXT_DTYPE:
        return _text_dtype(args)
    if name == "_reconstruct":
        return _empty_array(args)
    if name == "_mareconstruct":
        return _empty_masked(args)
    if name == "_frombuffer":
        return _from_buffer(args)
    if name == "scalar":
        return _scalar(args)
    return _plain(name, args)


def _plain(name: str, args: tuple[object, ...]) -> object:
    if name == "encode":
        encoding = args[1] if len(args) > 1 else "latin1"
        if encoding not in ("latin1", "latin-1", "utf-8", "utf8"):
            raise ModelFileError("bytes in an unknown encoding; the file is damaged")
        try:
            return _text(args).encode(str(encoding))
        except UnicodeEncodeError as error:
            raise ModelFileError("bytes that do not fit their encoding; the file is damaged") from error
    if name == "bytes" and not args:
        return b""  # how protocols 0 to 2 spell it
    if name == "bytearray" and (not args or isinstance(args[0], bytes)):
        return bytearray(cast(bytes, args[0]) if args else b"")
    if name == "complex" and len(args) == 2 and all(isinstance(a, int | float) for a in args):
        return complex(cast(float, args[0]), cast(float, args[1]))
    raise ModelFileError(f"{name} with arguments that it does not take; the file is damaged")


def _dtype(args: tuple[object, ...]) -> DTypeShell:
    """A type by its code, or the structure whose values are numpy's records."""
    match args:
        case (Global(module="numpy", name="record"), *rest) if all(isinstance(item, int) for item in rest):
            return DTypeShell(RECORD)
        case (str() as code, *rest) if all(isinstance(item, int) for item in rest):
            return DTypeShell(code)
    raise ModelFileError("a numpy type is described in an unknown way; the file is damaged")


def _text_dtype(args: tuple[object, ...]) -> TextDTypeShell:
    """numpy 2's type of texts: whether it makes texts of other values, and perhaps what stands for a missing one."""
    match args:
        case (bool() | int(), *missing) if len(missing) <= 1 and all(
            value is None or type(value) in (str, float) for value in missing
        ):
            return TextDTypeShell()
    raise ModelFileError("a numpy type is described in an unknown way; the file is damaged")


def _empty_array(args: tuple[object, ...]) -> ArrayShell:
    match args:
        case (Global(), (0,), bytes() | str()):
            return ArrayShell()
    raise ModelFileError("a numpy array has an unknown layout; the file is damaged")


def _empty_masked(args: tuple[object, ...]) -> ArrayShell:
    match args:
        case (Global(name="MaskedArray"), Global(module="numpy", name="ndarray"), (0,), bytes() | str()):
            return MaskedShell()
    raise ModelFileError("a masked array has an unknown layout; the file is damaged")


def _tensor(name: str, args: tuple[object, ...], read_storage: Callable[[StorageRef], AnyArray]) -> object:
    match args:
        case (Global(module="torch._utils", name=inner), Global(), tuple() as given, state) if (
            name == "_rebuild_from_type_v2" and inner in _REBUILDERS
        ):
            check_attributes(state)
            return _tensor(inner, given, read_storage)
        case (TensorRef() as tensor, bool(), dict() | None, *more) if name.startswith("_rebuild_parameter"):
            for state in more:
                check_attributes(state)
            return tensor
        case (StorageRef(), int() as offset, shape, stride, *more) if name.startswith("_rebuild_tensor") and _are_flags(
            more
        ):
            storage, shape, stride = _retyped(name, args), as_sizes(shape), as_sizes(stride)
            check_view(storage, offset, shape, stride)
            return TensorRef(storage, offset, shape, stride, read_storage)
    raise ModelFileError(f"torch._utils.{name} with arguments that it does not take; the file is damaged")


def _are_flags(more: list[object]) -> bool:
    """What follows the shape of a tensor: whether it learns, its hooks, in version 3 its type, and facts that torch
    keeps of it.
    """
    return all(item is None or isinstance(item, bool | int | dict | Global) for item in more)


def _retyped(name: str, args: tuple[object, ...]) -> StorageRef:
    """The storage with the tensor's own type: version 3 gives bytes, and the type apart."""
    storage = args[0]
    assert isinstance(storage, StorageRef)
    if name != "_rebuild_tensor_v3":
        return storage
    kind = args[6] if len(args) > 6 else None
    if not (
        isinstance(kind, Global) and kind.module == "torch" and kind.name in _NEW_DTYPES and storage.dtype == "uint8"
    ):
        raise ModelFileError("a tensor of a type that is not known here")
    return StorageRef(storage.key, kind.name, storage.count // flat_type(kind.name).itemsize)


def _from_buffer(args: tuple[object, ...]) -> ArrayShell:
    """An array as protocol 5 writes it: bytes, dtype, shape, order."""
    match args:
        case (bytes() | bytearray() as data, DTypeShell() as dtype, shape, "C" | "F" as order):
            made = ArrayShell()
            made.fill((1, shape, dtype, order == "F", data))
            return made
    raise ModelFileError("a numpy array has an unknown layout; the file is damaged")


def _scalar(args: tuple[object, ...]) -> ScalarShell:
    match args:
        case (DTypeShell() as described, bytes() as data):
            described.settle()
            if described.holds_objects or len(data) != described.itemsize:
                raise ModelFileError("a numpy scalar is not as long as its type says; the file is damaged")
            opaque = described.opaque
            return ScalarShell(None if opaque else np.frombuffer(data, dtype=described.dtype())[0].item())
    raise ModelFileError("a numpy scalar is not as long as its type says; the file is damaged")


def _text(args: tuple[object, ...]) -> str:
    if args and isinstance(args[0], str):
        return args[0]
    raise ModelFileError("a constructor got something else than text; the file is damaged")


def _items(args: tuple[object, ...]) -> Iterable[object]:
    if not args:
        return ()
    if isinstance(args[0], list | tuple | set | frozenset):
        return args[0]
    raise ModelFileError("a container is made from something else than a list; the file is damaged")


def _pairs(args: tuple[object, ...], budget: Budget) -> list[tuple[Hashable, object]]:
    if args and isinstance(args[0], dict):
        return list(args[0].items())
    pairs = []
    for item in _items(args):
        if not (isinstance(item, tuple | list) and len(item) == 2):
            raise ModelFileError("an ordered dictionary is made from something else than pairs; the file is damaged")
        pairs.append((as_key(item[0], budget), item[1]))
    return pairs
