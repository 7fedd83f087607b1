"""Torch's zip files (``.pt``, ``.pth``, ``.bin`` since 1.6): one ``data.pkl`` and raw storages beside it."""

from __future__ import annotations

import io
import sys
import zlib
from dataclasses import dataclass
from pathlib import PurePosixPath

from twinloop.errors import ModelFileError
from twinloop.pickles.blob import Blob
from twinloop.pickles.machine import Beside
from twinloop.pickles.npy import NUMPY, read_npy
from twinloop.pickles.reader import Reader, check_size
from twinloop.pickles.storages import Storages
from twinloop.pickles.values import StorageRef
from twinloop.pickles.ziplayout import STORED, Entry, ZipLayout, damaged

_PICKLE = "data.pkl"
_PICKLE_ENDINGS = (".pkl", ".pickle", ".pt", ".pth", ".joblib")
_PROTOCOL = b"\x80"
_SCRIPT = ("constants.pkl", "code")
"""What makes torch hand a file to TorchScript."""


@dataclass(frozen=True)
class _Archive:
    """A zip that has the shape of a torch file."""

    layout: ZipLayout
    root: str

    def entry(self, name: str) -> Entry | None:
        """By its name in any case, as torch's reader looks for it."""
        wanted = f"{self.root}/{name}".casefold()
        return next((e for e in self.layout.entries if e.name.casefold() == wanted), None)

    def storages(self, blob: Blob) -> Storages:
        prefix = f"{self.root}/data/"
        entries = {e.name.removeprefix(prefix): e for e in self.layout.entries if e.name.startswith(prefix)}

        def load(key: str) -> bytes:
            entry = entries[key]
            data = blob.part(entry.data, entry.size)
            if zlib.crc32(data) != entry.crc:
                raise damaged(blob.source, entry.name)
            return data

        return Storages({key: entry.size for key, entry in entries.items()}, load)

    def byte_order(self, source: str) -> str:
        entry = self.entry("byteorder")
        if entry is None:
            return sys.byteorder
        order = self.layout.read(entry, 16).decode("latin1")
        if order not in ("big", "little"):
            raise ModelFileError(f"{source}: its byte order is told in an unknown way ({order!r})")
        return order


def read_torch_zip(blob: Blob, reader: Reader) -> object:
    """The value of a torch zip. A tolerant reader also looks into every other pickle, and compares every checksum.

    Raises:
        UnsafeModelFile: it would run code. ModelFileError: not a torch zip, damaged, or dishonest about its contents.
    """
    with blob.open() as stream:
        layout = ZipLayout(stream, blob.source)
        problem = next(iter(layout.problems), None) or _shape_problem(layout)
        root = "" if problem else layout.entries[0].name.split("/", 1)[0]
        if reader.tolerant:
            loose = _read_loose_pickles(layout, reader, root)
            problem = problem or loose
        if problem is not None:
            raise ModelFileError(f"{blob.source}: {problem}; do not use this file")
        archive = _Archive(layout, root)
        entry = archive.entry(_PICKLE)
        assert entry is not None  # _shape_problem looked
        check_size(entry.size, reader.limits, blob.source)
        storages = archive.storages(blob)
        pickled = layout.read(entry, reader.limits.size)
        value = reader.read(pickled, Beside(storages.resolve, storages.read), entry.name if reader.tolerant else "")
        storages.order = archive.byte_order(blob.source)  # last: what the pickle would do is told first
        for other in layout.entries if reader.tolerant else ():
            layout.check_stored(other)
        return value


def _read_loose_pickles(layout: ZipLayout, reader: Reader, root: str) -> str | None:
    """Look into whatever else may be a pickle; what acts is noted in ``reader``. ``root``: of a proper torch file.

    Gives what is wrong with the first that cannot be read to its end: what its damage hides is not known.
    """
    problem = None
    for entry in layout.entries:
        storage = root and entry.name.startswith(f"{root}/data/") and not layout.starts_with(entry, NUMPY)
        if storage or (root and entry.name == f"{root}/{_PICKLE}") or entry.size == 0:
            continue
        try:
            data = layout.read(entry, reader.limits.size)
            if data.startswith(_PROTOCOL) or entry.name.lower().endswith(_PICKLE_ENDINGS):
                reader.read(data, _ANY_STORAGE, entry.name)
            elif data.startswith(NUMPY):
                read_npy(io.BytesIO(data), reader, entry.name)
        except ModelFileError as error:
            problem = (
                problem or f"{entry.name[:60]!r} cannot be read ({str(error).removeprefix(f'{reader.source}: ')[:120]})"
            )
    return problem


def _some_storage(_: object) -> StorageRef:
    """Stands for whatever a persistent id in a loose pickle means: it must not hide what comes behind it."""
    return StorageRef("", "uint8", 1 << 60)


_ANY_STORAGE = Beside(persistent=_some_storage)


def _shape_problem(layout: ZipLayout) -> str | None:
    names = [entry.name for entry in layout.entries]
    pickles = [name for name in names if PurePosixPath(name).name == _PICKLE]
    roots = {name.split("/", 1)[0] for name in names}
    if len(pickles) != 1 or len(roots) != 1 or pickles[0].count("/") != 1:
        return f"not a torch file (expected one {_PICKLE} in one folder, found {len(pickles)})"
    root = next(iter(roots))
    if any(
        name.casefold() in (f"{root}/{part}".casefold() for part in _SCRIPT) or name.startswith(f"{root}/code/")
        for name in names
    ):
        return "TorchScript, which holds code of its own"
    prefix = f"{root}/data/"
    # torch never compresses; a compressed storage would be a way to hide a zip bomb
    if any(e.method != STORED or e.packed != e.size for e in layout.entries if e.name.startswith(prefix)):
        return "compressed storages, which torch never writes"
    return None
