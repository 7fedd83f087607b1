"""Torch storages: what a persistent id may name, and the numbers as flat arrays."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from twinloop.errors import ModelFileError
from twinloop.pickles.builders import STORAGE_DTYPES
from twinloop.pickles.values import AnyArray, Global, StorageRef, flat_type

_KEPT = 256 << 20


@dataclass
class Storages:
    """The storages of one file, each checked against the size that the pickle claims.

    Attributes:
        sizes: key -> bytes that are there. load: key -> these bytes. order: of the bytes in the file (``little``,
            ``big``).
    """

    sizes: Mapping[str, int]
    load: Callable[[str], bytes]
    order: str = sys.byteorder
    _seen: dict[str, StorageRef] = field(default_factory=dict)
    _cache: dict[tuple[str, str], AnyArray] = field(default_factory=dict)
    _held: int = 0

    def resolve(self, reference: object) -> StorageRef:
        """The storage that a persistent id ``("storage", class, key, location, count)`` names.

        Raises:
            ModelFileError: another kind of id, an unknown type, or a storage that is missing or too short.
        """
        storage = storage_of(reference)
        check_same(self._seen, storage)
        have = self.sizes.get(storage.key)
        if have is None:
            raise ModelFileError(f"storage {storage.key[:40]!r} is not in the file")
        if storage.count * flat_type(storage.dtype).itemsize > have:
            raise ModelFileError(
                f"storage {storage.key[:40]!r} has {have} bytes, too few for {storage.count} x {storage.dtype}"
            )
        return storage

    def read(self, storage: StorageRef) -> AnyArray:
        """The storage as a flat array of `flat_type`, in this machine's byte order."""
        key = (storage.key, storage.dtype)
        if key not in self._cache:
            kind = flat_type(storage.dtype)
            swap = self.order != sys.byteorder
            flat: AnyArray = np.frombuffer(
                self.load(storage.key), dtype=kind.newbyteorder() if swap else kind, count=storage.count
            )
            self._keep(key, flat.astype(kind) if swap else flat)
        return self._cache[key]

    def _keep(self, key: tuple[str, str], flat: AnyArray) -> None:
        """Many small tensors may share one storage; large files must not pile up in memory."""
        if self._held + flat.nbytes > _KEPT:
            self._cache.clear()
            self._held = 0
        self._cache[key] = flat
        self._held += flat.nbytes


def check_same(seen: dict[str, StorageRef], storage: StorageRef) -> None:
    """Whether a storage is claimed as it was before: torch takes it as it was claimed first.

    Raises:
        ModelFileError: with another type or another length.
    """
    first = seen.setdefault(storage.key, storage)
    if (first.dtype, first.count) != (storage.dtype, storage.count):
        raise ModelFileError(f"storage {storage.key[:40]!r} is claimed with two types or lengths")


def storage_of(reference: object) -> StorageRef:
    """What a persistent id claims, not yet compared with anything.

    Raises:
        ModelFileError: not the id of a torch storage.
    """
    match reference:
        case ("storage", Global(name=name), str(key), str(), int(count), *_) if name in STORAGE_DTYPES and count >= 0:
            return StorageRef(key, STORAGE_DTYPES[name], count)
        case _:
            raise ModelFileError("a persistent id is not a torch storage")
