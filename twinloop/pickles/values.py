"""What a pickle turns into when nobody runs it: plain values, and inert records of everything else."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from twinloop.errors import ModelFileError
from twinloop.pickles.names import VALUES

AnyArray = npt.NDArray[np.generic]
FLOAT8 = frozenset({"float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz", "float8_e5m2fnuz", "float8_e8m0fnu"})
COMPLEX32 = "complex32"
_LARGEST = 1 << 40
_COPIES, _SMALL = 4, 1 << 20
"""How often a tensor may repeat its numbers, and how many that does not matter for."""


@dataclass(frozen=True, eq=False)
class Global:
    """A name that the pickle asks for. It is never imported.

    Attributes:
        module, name: as written in the file. offset: byte offset of the opcode in the pickle.
    """

    module: str
    name: str
    offset: int

    @property
    def path(self) -> str:
        """``module.name``."""
        return f"{self.module}.{self.name}"

    @property
    def pair(self) -> tuple[str, str]:
        """``(module, name)``, as the lists hold them."""
        return self.module, self.name


@dataclass(eq=False, repr=False)
class Inert:
    """An object of a class that we do not know: its name, its arguments and its state, and no behaviour at all.

    Attributes:
        cls: the class (or harmless constructor) it would be made with.
        args: what it would be called with. state: what ``__setstate__`` would get.
        items: what would be appended, added or set on it.
        is_key: it may be a dictionary's key or a set's member; hashing and comparing it runs nothing that the file
            gives.
    """

    cls: Global
    args: tuple[object, ...] = ()
    state: object = None
    items: list[object] = field(default_factory=list)
    is_key: bool = False

    @property
    def attributes(self) -> dict[str, object]:
        """The instance's ``__dict__`` as far as the file tells, without names that are not text."""
        found: dict[str, object] = {}
        for part in self.state if isinstance(self.state, tuple) else (self.state,):
            if isinstance(part, dict):
                found.update({name: value for name, value in part.items() if isinstance(name, str)})
        return found

    def __repr__(self) -> str:
        return f"<inert {self.cls.path}>"


@dataclass(frozen=True, eq=False)
class StorageRef:
    """A block of numbers that lies beside the pickle in the torch file.

    Attributes:
        key: entry ``data/<key>`` of the zip. dtype: torch's name without ``torch.`` (``float16``, ``bfloat16``...).
        count: number of elements.
    """

    key: str
    dtype: str
    count: int


def printable(text: str) -> str:
    """A name or place as the file has it, for a message: a terminal must not take it for commands."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def no_storage(_: StorageRef) -> AnyArray:
    """The reader of a pickle that has no storages beside it."""
    raise ModelFileError("this pickle has no storages beside it; give the whole .pt file")


def flat_type(dtype: str) -> np.dtype[np.generic]:
    """The numpy type in which numbers of a torch type are kept bit for bit."""
    if dtype in ("bfloat16", COMPLEX32):
        return np.dtype(np.uint16 if dtype == "bfloat16" else np.uint32)
    return np.dtype(np.uint8 if dtype in FLOAT8 else dtype)


@dataclass(frozen=True, eq=False)
class TensorRef:
    """A view on a storage, which may show the same numbers again and again; they are read when asked for.

    Attributes:
        offset: first element. shape, stride: in elements.
        reader: gives the storage as a flat array; what numpy has no type for (bfloat16, float8) as unsigned integers of
            its width.
    """

    storage: StorageRef
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]
    reader: Callable[[StorageRef], AnyArray] = field(repr=False)

    def stored(self) -> AnyArray:
        """A fresh contiguous array of ``shape``, bit for bit what lies in the file (bfloat16 and float8 as unsigned
        integers).

        Raises:
            ModelFileError: the storage is not in the file or is shorter than the pickle says; or the view repeats it
                until it is huge.
        """
        flat = self.reader(self.storage)
        if math.prod(self.shape) > max(_COPIES * self.storage.count, _SMALL):
            raise ModelFileError("a tensor repeats the same numbers too often; it is not read")
        if math.prod(self.shape) == 0:
            return np.zeros(self.shape, dtype=flat.dtype)
        step = flat.dtype.itemsize
        view = np.lib.stride_tricks.as_strided(
            flat[self.offset :], self.shape, tuple(s * step for s in self.stride), writeable=False
        )
        return np.array(view)

    def numpy(self) -> AnyArray:
        """The numbers as numpy knows them: `stored`, with bfloat16 widened to float32.

        Raises:
            ModelFileError: as `stored`; or a type (float8, complex32) that numpy cannot calculate with.
        """
        stored = self.stored()
        if self.storage.dtype == "bfloat16" and stored.dtype == np.uint16:  # the upper half of a float32
            return (stored.astype(np.uint32) << np.uint32(16)).view(np.float32)
        if self.storage.dtype in FLOAT8 or self.storage.dtype == COMPLEX32:
            raise ModelFileError(f"a tensor of {self.storage.dtype}, which is not calculated with here")
        return stored


def check_view(storage: StorageRef, offset: int, shape: tuple[int, ...], stride: tuple[int, ...]) -> None:
    """Refuse a tensor that reaches outside its storage or that would blow up in memory.

    Raises:
        ModelFileError: says which.
    """
    if len(shape) != len(stride) or len(shape) > 32 or offset < 0 or min((*shape, *stride, 0)) < 0:
        raise ModelFileError("a tensor has an impossible shape; the file is damaged, download it again")
    if math.prod(max(n, 1) for n in shape) > _LARGEST:
        raise ModelFileError("a tensor is larger than any model's; the file is damaged or made to do harm")
    count = math.prod(shape)
    last = offset + sum((n - 1) * s for n, s in zip(shape, stride, strict=True))
    if count and last >= storage.count:
        raise ModelFileError(
            f"a tensor of {count} numbers reaches outside its storage of {storage.count}; the file is damaged"
        )


def check_names(state: dict[Any, Any]) -> None:
    """Raises ModelFileError for attributes that replace a method of Python's own."""
    for name in state:
        if isinstance(name, str) and name.startswith("__") and name.endswith("__"):
            raise ModelFileError(f"a state sets {name[:40]!r} of an object, which no model file does")


def check_attributes(state: object) -> None:
    """The attributes that torch sets on a tensor, one by one: a dictionary, or two.

    Raises:
        ModelFileError: another state.
    """
    for part in state if isinstance(state, tuple) else (state,):
        if part is None:
            continue
        if not isinstance(part, dict) or not all(isinstance(name, str) for name in part):
            raise ModelFileError("the attributes of a tensor are no dictionary; the file is damaged or made to do harm")
        check_names(part)
        if any(
            isinstance(value, Global) or (isinstance(value, Inert) and value.cls.pair not in VALUES)
            for value in part.values()
        ):
            raise ModelFileError("an attribute of a tensor is no data; the file is damaged or made to do harm")
