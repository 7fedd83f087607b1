"""numpy's types and arrays as a pickle describes them. A description that numpy would take unchecked is checked here.

numpy believes the flags, sizes and offsets of a pickled type: one that hides that its values are objects makes an array
of raw pointers out of the file's bytes, and makes two readers skip different numbers of bytes.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from twinloop.errors import ModelFileError
from twinloop.pickles.values import AnyArray

_DTYPES = re.compile(r"[biufc][1-9]\d{0,4}|[SU][1-9]\d{0,6}")
_OPAQUE = re.compile(r"(V\d{0,7}|[Mm]8?|O8?)")
"""Structures, dates and objects: no weights; they are passed over, never built."""
_OBJECTS, _STRUCTURE, _SIZED = "O", "V", "VSU"
_POINTER = 8
_MOST_PARTS = 4096
"""Types within a type, each counted as often as it is met: numpy goes through all of them."""
_ORDERS = ("|", "<", ">", "=")
_HOLDS, _IS_OBJECT = 0b0011, 0b0100
"""Of numpy's flags those that say that a value holds a Python object, and that it is nothing else."""
RECORD = "numpy.record"
"""Code of a structure whose values are numpy's records; its size is told apart."""


@dataclass(eq=False)
class DTypeShell:
    """A numpy dtype being described: its code, and what ``BUILD`` tells of it, once and before it is used.

    Attributes:
        code: ``f4``, ``V12``... or `RECORD`. order: of the bytes. size: of one value, where the state tells it.
        subarray, names, fields: as numpy's state has them. flags: None without a state. final: it was described or
            used.
        parts: the fields in the order of their names, each with its offset. holds_objects: its arrays are lists of any
            values. count: of the types in it, itself among them. All are known once it is final.
    """

    code: str
    order: str = "="
    size: int | None = None
    subarray: object = None
    names: object = None
    fields: object = None
    flags: int | None = None
    final: bool = False
    holds_objects: bool = False
    parts: list[tuple[DTypeShell, int]] = field(default_factory=list)
    count: int = 1

    def describe(self, state: object) -> None:
        """Take numpy's state tuple: (version, byte order, subarray, names, fields, size, alignment, flags, perhaps
        units).

        Raises:
            ModelFileError: it does not fit the code, or itself.
        """
        if self.final:
            raise ModelFileError("a numpy type is described again after its use; the file is made to do harm")
        match state:
            case (3 | 4, str() as order, subarray, names, fields, int() as size, int(), int() as flags, *more) if (
                order in _ORDERS and len(more) <= 1
            ):
                pass
            case _:
                raise ModelFileError("a numpy type is described in an unknown way; the file is damaged")
        self.order, self.subarray, self.names, self.fields, self.flags = order, subarray, names, fields, flags
        if size != -1 or self.code[:1] in _SIZED or self.code == RECORD:
            self.size = size
        self.settle()

    def settle(self) -> None:
        """Check the description, once; from here on it does not change.

        Raises:
            ModelFileError: its parts disagree, or it is an unknown type.
        """
        if self.final:
            return
        self.final = True
        told = self._told()
        if self.size is not None and (self.size < 0 or told not in (None, self.size)):
            raise _two_ways()
        inner = [*self._subarray(), *self._fields()]
        self.count += sum(part.count for part in inner)
        if self.count > _MOST_PARTS:
            raise ModelFileError("a numpy type has more parts than any in a model file")
        self.holds_objects = self.is_object or any(part.holds_objects for part in inner)
        if self.holds_objects and self._overlaps():
            raise _two_ways()
        if self.flags is not None:
            wanted = (_HOLDS if self.holds_objects else 0) | (_IS_OBJECT if self.is_object else 0)
            if self.flags & (_HOLDS | _IS_OBJECT) != wanted:
                raise _two_ways()

    def _subarray(self) -> Iterator[DTypeShell]:
        if self.subarray is None:
            return
        match self.subarray:
            case (DTypeShell() as inner, tuple() | int() as shape) if self._is_structure() and self._may_hold(inner):
                inner.settle()
                count = math.prod(as_sizes(shape if isinstance(shape, tuple) else (shape,)))
                if self.fields is not None or count * inner.itemsize != self.itemsize:
                    raise _two_ways()
                yield inner
            case _:
                raise _two_ways()

    def _fields(self) -> Iterator[DTypeShell]:
        if self.fields is None and self.names is None:
            return
        fields, names = self.fields, self.names
        if not (self._is_structure() and isinstance(fields, dict) and isinstance(names, tuple)):
            raise _two_ways()
        if not all(isinstance(name, str) and name in fields for name in names) or len(set(names)) != len(names):
            raise _two_ways()
        self.parts = [self._part(fields[name]) for name in names]
        titles = [fields[title] for title in fields if title not in names]
        if not all(any(title is fields[name] for name in names) for title in titles):
            raise _two_ways()  # a second name of a field is the same field
        yield from (inner for inner, _ in self.parts)

    def _part(self, described: object) -> tuple[DTypeShell, int]:
        match described:
            case (DTypeShell() as inner, int() as offset, *more) if self._may_hold(inner) and len(more) <= 1:
                inner.settle()
                if 0 <= offset <= self.itemsize - inner.itemsize:
                    return inner, offset
        raise _two_ways()

    def _may_hold(self, inner: DTypeShell) -> bool:
        return inner is not self and not isinstance(inner, TextDTypeShell)

    def _overlaps(self) -> bool:
        """Whether two fields lie on the same bytes: a number over an object is a pointer that the file gives."""
        ends = 0
        for inner, offset in sorted(self.parts, key=lambda part: (part[1], part[0].itemsize)):
            if offset < ends:
                return True
            ends = offset + inner.itemsize
        return False

    def _is_structure(self) -> bool:
        return self.code == RECORD or self.code[:1] == _STRUCTURE

    def _told(self) -> int | None:
        """Bytes of one value as the code says; None where it does not."""
        if self.code == RECORD:
            return None
        if not self.opaque:
            return self.dtype().itemsize
        return int(self.code[1:] or (0 if self._is_structure() else _POINTER))

    @property
    def is_object(self) -> bool:
        """Whether each of its values is an object, which numpy takes as it is."""
        return self.code[:1] == _OBJECTS

    @property
    def opaque(self) -> bool:
        """Whether arrays of it are passed over (structures, dates, objects)."""
        return self.code == RECORD or _OPAQUE.fullmatch(self.code) is not None

    @property
    def itemsize(self) -> int:
        """Bytes of one value."""
        told = self._told()
        return (self.size or 0) if told is None else told

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


class TextDTypeShell(DTypeShell):
    """numpy 2's type of texts of any length.

    Its values lie elsewhere in memory: a file gives a list of them, never their bytes.

    numpy puts it into no structure; one that a file describes would make pointers of the file's bytes.
    """

    def __init__(self) -> None:
        super().__init__("T", final=True, holds_objects=True)

    @property
    def itemsize(self) -> int:
        return 2 * _POINTER

    @staticmethod
    def takes(value: object) -> bool:
        """Whether ``value`` may lie in an array of it: numpy makes a text of anything else."""
        return value is None or type(value) in (str, float)


def _two_ways() -> ModelFileError:
    return ModelFileError("a numpy type is described in two ways; the file is damaged or made to do harm")


@dataclass(frozen=True, eq=False)
class ScalarShell:
    """A single value of numpy's.

    It is no number, text or None of Python's: it has a state that can be set, and is not text to pickle.

    Attributes:
        value: the same number or text as Python has it; None for opaque types.
    """

    value: object


@dataclass(eq=False)
class ArrayShell:
    """A numpy array whose contents come with ``BUILD``.

    Attributes:
        value: the array; None until it is filled, and for opaque types. objects: what an array of objects holds. dtype:
            its type.
    """

    value: AnyArray | None = None
    objects: list[object] = field(default_factory=list)
    dtype: DTypeShell | None = None

    def fill(self, state: object) -> None:
        """Take numpy's state tuple: (version, shape, dtype, fortran order, bytes or a list of objects).

        Raises:
            ModelFileError: another layout, or another length than the shape says.
        """
        match state:
            case (_, shape, DTypeShell() as dtype, bool() | int() as fortran, data):
                pass
            case _:
                raise _unknown_layout()
        dtype.settle()
        self.dtype = dtype
        count = math.prod(as_sizes(shape))
        if dtype.holds_objects:
            if not isinstance(data, list) or len(data) != count:
                raise ModelFileError(
                    "an array of objects is not a list of them; the file is damaged or made to do harm"
                )
            self.objects = data
            return
        data = _latin(data) if isinstance(data, str) else data  # Python 2 wrote bytes as text
        if not isinstance(data, bytes | bytearray) or count * dtype.itemsize != len(data):
            raise ModelFileError("a numpy array is not as long as its shape says; the file is damaged")
        if not dtype.opaque:
            self.value = shaped(bytes(data), dtype.dtype(), as_sizes(shape), bool(fortran))


class MaskedShell(ArrayShell):
    """A masked numpy array: some of its numbers do not count, so that it is passed over."""

    def fill(self, state: object) -> None:
        """Take numpy's state tuple: that of an array, then the mask's bytes and a fill value.

        Raises:
            ModelFileError: as `ArrayShell.fill`.
        """
        match state:
            case (version, shape, DTypeShell() as dtype, fortran, data, bytes() | str(), fill) if _is_plain(fill):
                inner = ArrayShell()
                inner.fill((version, shape, dtype, fortran, data))
                self.objects, self.dtype = inner.objects, dtype
            case _:
                raise _unknown_layout()


def _is_plain(value: object) -> bool:
    return (
        value is None
        or isinstance(value, bool | int | float | complex | str | bytes | ScalarShell)
        or (isinstance(value, ArrayShell) and value.value is not None)
        or (type(value) is ArrayShell and value.dtype is not None and not value.dtype.holds_objects)
    )


def _unknown_layout() -> ModelFileError:
    return ModelFileError("a numpy array has an unknown layout; the file is damaged")


def shaped(data: bytes, dtype: np.dtype[np.generic], sizes: tuple[int, ...], fortran: bool) -> AnyArray:
    """Raw numbers as a fresh array.

    Raises:
        ModelFileError: a shape that numpy cannot make.
    """
    try:
        return np.frombuffer(data, dtype=dtype).reshape(sizes, order="F" if fortran else "C").copy()
    except ValueError as error:
        raise ModelFileError("a numpy array has an impossible shape; the file is damaged") from error


def as_sizes(value: object) -> tuple[int, ...]:
    """``value`` as a shape; raises ModelFileError when it is none."""
    if isinstance(value, tuple | list) and all(type(n) is int and 0 <= n < 1 << 48 for n in value):
        return tuple(value)
    raise ModelFileError("a shape is not a list of sizes; the file is damaged")


def _latin(text: str) -> bytes:
    try:
        return text.encode("latin1")
    except UnicodeEncodeError as error:
        raise ModelFileError("the bytes of a numpy array are not bytes; the file is damaged") from error
