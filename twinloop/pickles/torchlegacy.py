"""Torch's older files: five pickles and then the storages (0.1.10 to 1.5), or a tar of four parts (before 0.1.10)."""

from __future__ import annotations

import io
import struct
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field

from twinloop.errors import ModelFileError
from twinloop.pickles.arrays import as_sizes
from twinloop.pickles.blob import Blob
from twinloop.pickles.builders import STORAGE_DTYPES
from twinloop.pickles.machine import Beside
from twinloop.pickles.reader import Reader
from twinloop.pickles.storages import Storages, check_same, storage_of
from twinloop.pickles.values import AnyArray, Global, StorageRef, TensorRef, check_view, flat_type

_NUMBER = b"\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
MAGIC = b"\x80\x02" + _NUMBER
MAGICS = (
    MAGIC,
    b"\x80\x03" + _NUMBER,
    *(b"\x80" + protocol + b"\x95" + struct.pack("<Q", len(_NUMBER)) + _NUMBER for protocol in (b"\x04", b"\x05")),
    b"L119547037146038801333356L\n.",
)
"""The same number in each protocol that ``torch.save`` can be told to write; 2 unless it is told."""
_PROTOCOL = 1001
_PICKLES_WITHIN = 64 << 20
_COUNT = struct.Struct("<q")
_TAR_PARTS = ("pickle", "storages", "tensors")


@dataclass
class _Claimed:
    """Storages named by the pickle, which comes before their bytes; they are compared once these are found."""

    blob: Blob
    seen: dict[str, StorageRef] = field(default_factory=dict)
    storages: Storages | None = None

    def resolve(self, reference: object) -> object:
        match reference:
            case ("module", Global() as cls, None | str(), None | str()):
                return cls  # a class with its source text, which nobody reads
        storage = storage_of(reference)
        check_same(self.seen, storage)
        view = reference[5] if isinstance(reference, tuple) and len(reference) > 5 else None
        if view is not None:
            raise ModelFileError(
                "a view of a storage, as torch 0.3 wrote them, is not read; save the file anew with a later torch"
            )
        return storage

    def read(self, storage: StorageRef) -> AnyArray:
        if self.storages is None:
            raise ModelFileError("a storage is used before the pickle has ended")
        return self.storages.read(storage)

    def locate(self, keys: object, start: int) -> int:
        """Find the bytes of every key; gives where they end. Whatever machine wrote them, their order is ``little``."""
        if not isinstance(keys, list) or not all(isinstance(key, str) and key in self.seen for key in keys):
            raise ModelFileError("the list of storages does not fit the pickle")
        if len(set(keys)) != len(keys) or len(keys) != len(self.seen):
            raise ModelFileError("the list of storages does not fit the pickle")
        places: dict[str, tuple[int, int]] = {}
        for key in keys:
            storage = self.seen[key]
            (count,) = _COUNT.unpack(self.blob.part(start, _COUNT.size))
            size = storage.count * flat_type(storage.dtype).itemsize
            if count != storage.count:
                raise ModelFileError(f"storage {key[:40]!r} has {count} numbers, the pickle says {storage.count}")
            places[key] = (start + _COUNT.size, size)
            start += _COUNT.size + size
        sizes = {key: size for key, (_, size) in places.items()}
        self.storages = Storages(sizes, lambda key: self.blob.part(*places[key]), "little")
        return start


def read_torch_legacy(blob: Blob, reader: Reader) -> object:
    """The value of a file that torch 0.1.10 to 1.5 wrote (later ones with ``_use_new_zipfile_serialization=False``).

    Raises:
        UnsafeModelFile: it would run code. ModelFileError: damaged, cut short, or dishonest about its storages.
    """
    return _legacy(blob, reader, _Claimed(blob))


def _legacy(blob: Blob, reader: Reader, claimed: _Claimed) -> object:
    stream = io.BytesIO(blob.head(_PICKLES_WITHIN))
    _, protocol, system = (reader.read(stream, place=place) for place in ("magic", "protocol", "system"))
    if protocol != _PROTOCOL or not isinstance(system, dict):
        raise ModelFileError(f"{blob.source}: an unknown version of torch's older format")
    value = reader.read(stream, Beside(claimed.resolve, claimed.read), "the main pickle")
    keys = reader.read(stream, place="the list of storages")
    try:
        end = claimed.locate(keys, stream.tell())
    except ModelFileError as error:
        raise ModelFileError(f"{blob.source}: {error}. Download it again.") from error
    surplus = blob.size() - end
    if surplus:
        raise ModelFileError(
            f"{blob.source}: {abs(surplus)} bytes {'more' if surplus > 0 else 'less'} than its storages. Download it"
            " again."
        )
    return value


@dataclass
class NestedFiles:
    """What a plain pickle of torch tensors needs: each of their storages is a whole older torch file inside of it.

    Attributes:
        reader: of the pickle around them. found: our key -> the storage in its own file, and what reads it.
    """

    reader: Reader
    found: dict[str, tuple[StorageRef, _Claimed]] = field(default_factory=dict)

    def read(self, data: bytes) -> object:
        """The value of one nested file."""
        if not data.startswith(MAGIC) or is_tar(data):
            raise ModelFileError("a nested torch file of an unknown kind")
        blob = Blob(self.reader.source, data=data)
        claimed = _Claimed(blob)
        value = _legacy(blob, self.reader, claimed)
        if not isinstance(value, StorageRef):
            return value
        key = f"nested {len(self.found)}"
        self.found[key] = (value, claimed)
        return StorageRef(key, value.dtype, value.count)

    def read_storage(self, storage: StorageRef) -> AnyArray:
        """The numbers of a storage that `read` gave out."""
        inner, claimed = self.found[storage.key]
        return claimed.read(inner)


def is_tar(head: bytes) -> bool:
    """Whether Python's ``tarfile``, which torch asks before it unpickles anything but a zip, takes the file for a tar
    of any age.
    """
    try:
        tarfile.TarInfo.frombuf(head[: tarfile.BLOCKSIZE], "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        return False
    return True


def read_torch_tar(blob: Blob, reader: Reader) -> object:
    """The value of a tar that torch wrote before 0.1.10.

    Raises:
        UnsafeModelFile: it would run code. ModelFileError: damaged or dishonest.
    """
    parts = _tar_parts(blob, reader.limits.memory)
    storages = dict(_tar_storages(parts["storages"], reader))
    held = Storages({key: len(data) for key, (_, data) in storages.items()}, lambda key: storages[key][1])
    tensors = dict(_tar_tensors(parts["tensors"], reader, {key: ref for key, (ref, _) in storages.items()}, held))

    def persistent(reference: object) -> object:
        match reference:
            case (Global() as cls, *texts) if all(text is None or isinstance(text, str) for text in texts):
                return cls  # a class with its source text, which nobody reads
            case int() | str():
                pass
            case _:
                raise ModelFileError("a persistent id is of an unknown kind")
        found = tensors.get(str(reference)) or storages.get(str(reference), (None,))[0]
        if found is None:
            raise ModelFileError("a persistent id is not a tensor of this file")
        return found

    stream = io.BytesIO(parts["pickle"])
    value = reader.read(stream, Beside(persistent, held.read), "pickle")
    _check_end(stream, reader, "pickle")
    return value


def _tar_parts(blob: Blob, limit: int) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    try:
        with blob.open() as stream, tarfile.open(fileobj=stream, mode="r:") as archive:
            for member in archive:
                name = member.name.removeprefix("./")
                if name in _TAR_PARTS:
                    if name in found or member.size > limit or not member.isreg():
                        raise ModelFileError(
                            f"{blob.source}: {name} is there twice, is no file or is too large; do not use this file"
                        )
                    part = archive.extractfile(member)
                    found[name] = part.read() if part else b""
    except (tarfile.TarError, EOFError, ValueError) as error:
        raise ModelFileError(f"{blob.source}: a damaged tar ({error}). Download it again.") from error
    if len(found) != len(_TAR_PARTS):
        raise ModelFileError(f"{blob.source}: a tar, but not one that torch wrote")
    return found


def _tar_storages(data: bytes, reader: Reader) -> Iterator[tuple[str, tuple[StorageRef, bytes]]]:
    stream = io.BytesIO(data)
    for _ in range(_count(stream, reader, "storages")):
        match reader.read(stream, place="storages"):
            case (key, str(), Global(name=name)) if type(key) is int and name in STORAGE_DTYPES:
                pass
            case _:
                raise ModelFileError(f"{reader.source}: a storage is described in an unknown way")
        kind = STORAGE_DTYPES[name]
        (numbers,) = _COUNT.unpack(_take(stream, _COUNT.size))
        raw = _take(stream, numbers * flat_type(kind).itemsize)
        yield str(key), (StorageRef(str(key), kind, numbers), raw)
    views = reader.read(stream, place="storages")
    if type(views) is not list or views:
        raise ModelFileError(f"{reader.source}: views of storages are not read; save the file anew with a later torch")
    _check_end(stream, reader, "storages")


def _tar_tensors(
    data: bytes, reader: Reader, storages: dict[str, StorageRef], held: Storages
) -> Iterator[tuple[str, TensorRef]]:
    stream = io.BytesIO(data)
    for _ in range(_count(stream, reader, "tensors")):
        match reader.read(stream, place="tensors"):
            case (key, storage_key, Global()) if type(key) is int and type(storage_key) is int:
                pass
            case _:
                raise ModelFileError(f"{reader.source}: a tensor is described in an unknown way")
        (dimensions,) = struct.unpack("<i4x", _take(stream, 8))
        if not 0 <= dimensions <= 32:
            raise ModelFileError(f"{reader.source}: a tensor of {dimensions} dimensions; the file is damaged")
        numbers = struct.unpack(f"<{2 * dimensions + 1}q", _take(stream, 8 * (2 * dimensions + 1)))
        shape, stride = as_sizes(numbers[:dimensions]), as_sizes(numbers[dimensions:-1])
        if str(storage_key) not in storages:
            raise ModelFileError(f"{reader.source}: a tensor lies in a storage that is not there")
        storage = storages[str(storage_key)]
        check_view(storage, numbers[-1], shape, stride)
        yield str(key), TensorRef(storage, numbers[-1], shape, stride, held.read)
    _check_end(stream, reader, "tensors")


def _count(stream: io.BytesIO, reader: Reader, part: str) -> int:
    """How many pickles follow. torch goes on for anything that counts, so that it must be a plain number."""
    count = reader.read(stream, place=part)
    if type(count) is not int or count < 0:
        raise ModelFileError(f"{reader.source}: how many {part} there are is told in an unknown way")
    return count


def _check_end(stream: io.BytesIO, reader: Reader, part: str) -> None:
    if stream.read(1):
        raise ModelFileError(f"{reader.source}: bytes follow the end of its {part}; do not use this file")


def _take(stream: io.BytesIO, size: int) -> bytes:
    data = stream.read(size) if size >= 0 else b""
    if len(data) != size:
        raise ModelFileError("a part of the file is cut short; download it again")
    return data
