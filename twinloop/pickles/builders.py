"""Our own constructors for the few names that are data: containers, tensors and numpy arrays. Nothing else is ever built."""

from __future__ import annotations

import math
import re
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field
from typing import cast

import numpy as np

from twinloop.errors import ModelFileError
from twinloop.pickles.values import FLOAT8, AnyArray, Global, Inert, StorageRef, TensorRef, check_view, flat_type

#: Storage class or torch dtype -> our dtype name.
STORAGE_DTYPES = {
    "HalfStorage": "float16", "FloatStorage": "float32", "DoubleStorage": "float64", "BFloat16Storage": "bfloat16",
    "LongStorage": "int64", "IntStorage": "int32", "ShortStorage": "int16", "CharStorage": "int8", "ByteStorage": "uint8",
    "BoolStorage": "bool", "UntypedStorage": "uint8", "ComplexFloatStorage": "complex64", "ComplexDoubleStorage": "complex128",
}  # fmt: skip
_DTYPES = re.compile(r"[biufcSU][1-9]\d{0,4}")
#: Structures, dates and objects: no weights; they are passed over, never built.
_OPAQUE = re.compile(r"[VMmO](\d{0,6})")
_OBJECTS = "O"
#: Types that came after the typed storages: the tensor names them itself.
_NEW_DTYPES = FLOAT8 | {"uint16", "uint32", "uint64"}
_MAX_KEY_DEPTH = 4
_REBUILDERS = ("_rebuild_tensor", "_rebuild_tensor_v2", "_rebuild_tensor_v3", "_rebuild_parameter")


@dataclass(eq=False)
class DTypeShell:
    """A numpy dtype being described: its code, and what ``BUILD`` tells of it.

    Attributes:
        order: of the bytes. size: of one value in bytes, 0 = as the code says. nested: the types that it is made of.
    """

    code: str
    order: str = "="
    size: int = 0
    nested: tuple[object, ...] = ()

    def describe(self, state: object) -> None:
        """Take numpy's state tuple: (version, byte order, type of a subarray, names, fields, size of a value, ...).

        Raises:
            ModelFileError: the size is not that of the code, by which two readers would skip different numbers of bytes.
        """
        if not isinstance(state, tuple) or len(state) < 2:
            return
        if isinstance(state[1], str):
            self.order = state[1]
        self.nested = state[2:5]
        size = state[5] if len(state) > 5 else None
        if isinstance(size, int) and size > 0:
            if not self.opaque and size != self.dtype().itemsize:
                raise ModelFileError("a numpy type is described in two ways; the file is damaged or made to do harm")
            self.size = size

    @property
    def opaque(self) -> bool:
        """Whether arrays of it are passed over (structures, dates, objects)."""
        return _OPAQUE.fullmatch(self.code) is not None

    @property
    def holds_objects(self) -> bool:
        """Whether its arrays are lists of any values."""
        return self.opaque and (self.code.startswith(_OBJECTS) or _objects_in(self.nested))

    @property
    def itemsize(self) -> int:
        """Bytes of one number; of an opaque type what its code says."""
        match = _OPAQUE.fullmatch(self.code)
        return self.size or int(match[1] or 8) if match else self.dtype().itemsize

    def dtype(self) -> np.dtype[np.generic]:
        """The finished dtype, without objects and without fields."""
        if not _DTYPES.fullmatch(self.code):
            raise ModelFileError(f"numpy type {self.code[:20]!r} is not read")
        try:
            made: np.dtype[np.generic] = np.dtype(self.code)
        except TypeError as error:
            raise ModelFileError(f"numpy type {self.code[:20]!r} is not known; the file is damaged") from error
        if self.order == ">":
            return made.newbyteorder(">")
        return made.newbyteorder("<") if self.order == "<" else made


def _objects_in(parts: object) -> bool:
    """Whether a type of objects is among these parts of a type, however deep."""
    waiting, seen = [parts], set[int]()
    while waiting:
        part = waiting.pop()
        if id(part) in seen:
            continue
        seen.add(id(part))
        if isinstance(part, DTypeShell):
            if part.code.startswith(_OBJECTS):
                return True
            waiting.append(part.nested)
        elif isinstance(part, tuple | list):
            waiting.extend(part)
        elif isinstance(part, dict):
            waiting.extend(part.values())
    return False


@dataclass(eq=False)
class ArrayShell:
    """A numpy array whose contents come with ``BUILD``.

    Attributes:
        value: the array; None until it is filled, and for opaque types. objects: what an array of objects holds.
    """

    value: AnyArray | None = None
    objects: list[object] = field(default_factory=list)

    def fill(self, state: object) -> None:
        """Take numpy's state tuple: (version, shape, dtype, fortran order, bytes)."""
        if not (isinstance(state, tuple) and len(state) == 5 and isinstance(state[2], DTypeShell)):
            raise ModelFileError("a numpy array has an unknown layout; the file is damaged")
        _, shape, dtype_shell, fortran, data = state
        if dtype_shell.opaque:
            self.objects = data if isinstance(data, list) else []
            return
        dtype = dtype_shell.dtype()
        sizes = as_sizes(shape)
        if isinstance(data, str):  # Python 2 wrote bytes as text
            data = _latin(data)
        if not isinstance(data, bytes | bytearray) or math.prod(sizes) * dtype.itemsize != len(data):
            raise ModelFileError("a numpy array is not as long as its shape says; the file is damaged")
        self.value = shaped(bytes(data), dtype, sizes, bool(fortran))


def shaped(data: bytes, dtype: np.dtype[np.generic], sizes: tuple[int, ...], fortran: bool) -> AnyArray:
    """Raw numbers as a fresh array.

    Raises:
        ModelFileError: a shape that numpy cannot make.
    """
    try:
        return np.frombuffer(data, dtype=dtype).reshape(sizes, order="F" if fortran else "C").copy()
    except ValueError as error:
        raise ModelFileError("a numpy array has an impossible shape; the file is damaged") from error


def _latin(text: str) -> bytes:
    try:
        return text.encode("latin1")
    except UnicodeEncodeError as error:
        raise ModelFileError("the bytes of a numpy array are not bytes; the file is damaged") from error


def as_key(value: object, depth: int = 0) -> Hashable:
    """``value`` if it may be a dictionary key or set member: hashing hostile deep tuples would overrun the C stack."""
    if value is None or isinstance(value, str | bytes | int | float | complex | Global | Inert | frozenset):
        return cast(Hashable, value)
    if isinstance(value, tuple) and depth < _MAX_KEY_DEPTH:
        for item in value:
            as_key(item, depth + 1)
        return value
    raise ModelFileError("a dictionary key is not a plain value; the file is damaged or made to do harm")


def build(target: Global, args: tuple[object, ...], read_storage: Callable[[StorageRef], AnyArray]) -> object:
    """The value that an allow-listed constructor stands for.

    Raises:
        ModelFileError: arguments that the real constructor would not take.
    """
    name = target.name
    if name.startswith("_rebuild_"):
        return _tensor(name, args, read_storage)
    if name == "OrderedDict":
        return OrderedDict(_pairs(args))
    if name in ("set", "frozenset"):
        members = {as_key(item) for item in _items(args)}
        return members if name == "set" else frozenset(members)
    if name == "dtype":
        return DTypeShell(_text(args))
    if name == "_reconstruct":
        return ArrayShell()
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


def _tensor(name: str, args: tuple[object, ...], read_storage: Callable[[StorageRef], AnyArray]) -> object:
    if (
        name == "_rebuild_from_type_v2"
        and len(args) >= 3
        and isinstance(args[0], Global)
        and isinstance(args[2], tuple)
    ):
        inner = args[0].name
        if args[0].module == "torch._utils" and inner in _REBUILDERS:
            return _tensor(inner, args[2], read_storage)
    if name.startswith("_rebuild_parameter") and args and isinstance(args[0], TensorRef):
        return args[0]
    if name.startswith("_rebuild_tensor") and len(args) >= 4 and isinstance(args[0], StorageRef):
        storage, offset = _retyped(name, args), args[1]
        shape, stride = as_sizes(args[2]), as_sizes(args[3])
        if isinstance(offset, int):
            check_view(storage, offset, shape, stride)
            return TensorRef(storage, offset, shape, stride, read_storage)
    raise ModelFileError(f"torch._utils.{name} with arguments that it does not take; the file is damaged")


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
        raise ModelFileError("a tensor of an unknown type; this file cannot be read")
    return StorageRef(storage.key, kind.name, storage.count // flat_type(kind.name).itemsize)


def _from_buffer(args: tuple[object, ...]) -> ArrayShell:
    """An array as protocol 5 writes it: bytes, dtype, shape, order."""
    match args:
        case (bytes() | bytearray() as data, DTypeShell() as dtype, shape, "C" | "F" as order):
            made = ArrayShell()
            made.fill((1, shape, dtype, order == "F", data))
            return made
    raise ModelFileError("a numpy array has an unknown layout; the file is damaged")


def _scalar(args: tuple[object, ...]) -> object:
    if len(args) == 2 and isinstance(args[0], DTypeShell) and args[0].opaque:
        return None
    if len(args) == 2 and isinstance(args[0], DTypeShell) and isinstance(args[1], bytes):
        dtype = args[0].dtype()
        if len(args[1]) == dtype.itemsize:
            return np.frombuffer(args[1], dtype=dtype)[0].item()
    raise ModelFileError("a numpy scalar is not as long as its type says; the file is damaged")


def _text(args: tuple[object, ...]) -> str:
    if args and isinstance(args[0], str):
        return args[0]
    raise ModelFileError("a constructor got something else than text; the file is damaged")


def as_sizes(value: object) -> tuple[int, ...]:
    """``value`` as a shape; raises ModelFileError when it is none."""
    if isinstance(value, tuple | list) and all(type(n) is int and 0 <= n < 1 << 48 for n in value):
        return tuple(value)
    raise ModelFileError("a shape is not a list of sizes; the file is damaged")


def _items(args: tuple[object, ...]) -> Iterable[object]:
    if not args:
        return ()
    if isinstance(args[0], list | tuple | set | frozenset):
        return args[0]
    raise ModelFileError("a container is made from something else than a list; the file is damaged")


def _pairs(args: tuple[object, ...]) -> list[tuple[Hashable, object]]:
    if args and isinstance(args[0], dict):
        return list(args[0].items())
    pairs = []
    for item in _items(args):
        if not (isinstance(item, tuple | list) and len(item) == 2):
            raise ModelFileError("an ordered dictionary is made from something else than pairs; the file is damaged")
        pairs.append((as_key(item[0]), item[1]))
    return pairs
