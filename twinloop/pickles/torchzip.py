"""Torch's zip files (``.pt``, ``.pth``, ``.bin`` since 1.6): one ``data.pkl`` and raw storages beside it."""

from __future__ import annotations

import sys
import zipfile
import zlib
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import numpy as np

from twinloop.errors import ModelFileError, UnsafeModelFile
from twinloop.pickles.builders import STORAGE_DTYPES
from twinloop.pickles.machine import DEFAULT_LIMITS, Limits, Loaded, read_pickle
from twinloop.pickles.policy import DEFAULT_POLICY, Policy
from twinloop.pickles.values import AnyArray, Global, StorageRef

_MAX_ENTRIES = 200_000
_LEGACY_MAGIC = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."


@dataclass(frozen=True)
class TorchFile:
    """A torch file that was read without running it. ``loaded.value`` is usually a dict; tensors are `TensorRef`."""

    path: Path
    loaded: Loaded

    @property
    def value(self) -> object:
        """What ``torch.load`` would have returned, with inert records for foreign classes."""
        return self.loaded.value


@dataclass
class _Storages:
    """Reads storages out of the zip, each one once, checked against the size that the pickle claims."""

    path: Path
    root: str
    sizes: dict[str, int]
    swap: bool
    cache: dict[str, AnyArray] = field(default_factory=dict)

    def resolve(self, reference: object) -> StorageRef:
        """The storage that a persistent id ``("storage", class, key, location, count)`` names."""
        match reference:
            case ("storage", Global(name=name), str(key), _, int(count), *_) if name in STORAGE_DTYPES:
                pass
            case _:
                raise ModelFileError("a persistent id is not a torch storage")
        storage = StorageRef(key, STORAGE_DTYPES[name], count)
        have = self.sizes.get(key)
        if have is None:
            raise ModelFileError(f"storage {key[:40]!r} is not in the file")
        if count < 0 or count * _item_size(storage.dtype) > have:
            raise ModelFileError(f"storage {key[:40]!r} has {have} bytes, too few for {count} x {storage.dtype}")
        return storage

    def read(self, storage: StorageRef) -> AnyArray:
        """The storage as a flat array; bfloat16 is widened to float32."""
        if storage.key not in self.cache:
            with zipfile.ZipFile(self.path) as archive:
                raw = archive.read(f"{self.root}/data/{storage.key}")
            self.cache[storage.key] = _decode(raw, storage, self.swap)
        return self.cache[storage.key]


def _item_size(dtype: str) -> int:
    return 2 if dtype == "bfloat16" else np.dtype(dtype).itemsize


def _decode(raw: bytes, storage: StorageRef, swap: bool) -> AnyArray:
    kind = np.dtype(np.uint16 if storage.dtype == "bfloat16" else storage.dtype)
    flat: AnyArray = np.frombuffer(raw, dtype=kind.newbyteorder() if swap else kind, count=storage.count)
    if storage.dtype == "bfloat16":  # the upper half of a float32
        return (flat.astype(np.uint32) << np.uint32(16)).view(np.float32)
    return flat.astype(kind)


def read_torch_file(
    path: Path, *, policy: Policy = DEFAULT_POLICY, limits: Limits = DEFAULT_LIMITS, tolerant: bool = False
) -> TorchFile:
    """Read a torch zip file without unpickling it; needs no torch.

    Raises:
        UnsafeModelFile: it would run code. ModelFileError: not a torch zip, damaged, or dishonest about its sizes.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            root, storages = _layout(archive, path)
            info = archive.getinfo(f"{root}/data.pkl")
            if info.file_size > limits.size:
                raise ModelFileError(f"{path.name}: its pickle has {info.file_size} bytes; this is no model file")
            pickle_bytes = archive.read(info)
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, OSError) as error:
        _judge_bare_pickle(path, policy, limits)
        raise _no_zip(path, error) from error
    loaded = read_pickle(
        pickle_bytes, source=path.name, policy=policy, limits=limits, tolerant=tolerant,
        persistent=storages.resolve, read_storage=storages.read,
    )  # fmt: skip
    return TorchFile(path, loaded)


def _layout(archive: zipfile.ZipFile, path: Path) -> tuple[str, _Storages]:
    entries = archive.infolist()
    if len(entries) > _MAX_ENTRIES:
        raise ModelFileError(f"{path.name}: {len(entries)} entries; this is no model file")
    names = [entry.filename for entry in entries]
    if len(set(names)) != len(names):
        raise ModelFileError(
            f"{path.name}: two entries have the same name; the file was tampered with, download it again"
        )
    for entry in entries:
        parts = PurePosixPath(entry.filename).parts
        if entry.filename.startswith("/") or "\\" in entry.filename or ".." in parts or ":" in entry.filename:
            raise ModelFileError(f"{path.name}: an entry points outside the file; it was tampered with, do not use it")
    pickles = [name for name in names if PurePosixPath(name).name == "data.pkl"]
    roots = {name.split("/", 1)[0] for name in names}
    if len(pickles) != 1 or len(roots) != 1 or pickles[0].count("/") != 1:
        raise ModelFileError(
            f"{path.name}: not a torch file (expected one data.pkl in one folder, found {len(pickles)})"
        )
    root = roots.pop()
    # torch never compresses; a compressed storage would be a way to hide a zip bomb
    prefix = f"{root}/data/"
    stored = [e for e in entries if e.filename.startswith(prefix)]
    if any(e.compress_type != zipfile.ZIP_STORED for e in stored):
        raise ModelFileError(f"{path.name}: compressed storages, which torch never writes; do not use this file")
    order = _byte_order(archive, f"{root}/byteorder") if f"{root}/byteorder" in names else sys.byteorder
    sizes = {e.filename.removeprefix(prefix): e.file_size for e in stored}
    return root, _Storages(path, root, sizes, swap=order != sys.byteorder)


def _byte_order(archive: zipfile.ZipFile, name: str) -> str:
    with archive.open(name) as stream:
        order = stream.read(16).decode("ascii", "replace").strip()
    return order if order in ("big", "little") else sys.byteorder


def _judge_bare_pickle(path: Path, policy: Policy, limits: Limits) -> None:
    """A pickle under a model's name is worth the sharper message when it would have acted; anything else falls through."""
    try:
        with path.open("rb") as stream:
            data = stream.read(limits.size)
        read_pickle(data, source=path.name, policy=policy, limits=limits)
    except UnsafeModelFile:
        raise
    except (ModelFileError, OSError):
        return


def _no_zip(path: Path, error: Exception) -> ModelFileError:
    try:
        with path.open("rb") as stream:
            head = stream.read(len(_LEGACY_MAGIC))
    except OSError:
        return ModelFileError(f"{path}: cannot be read ({error})")
    if head == _LEGACY_MAGIC:
        return ModelFileError(
            f"{path.name}: written by torch before 1.6 (not a zip). Load and save it once with a new torch where you trust it, "
            "or get the .onnx or .safetensors version."
        )
    return ModelFileError(f"{path.name}: not a torch file, or cut short ({str(error)[:80]}). Download it again.")
