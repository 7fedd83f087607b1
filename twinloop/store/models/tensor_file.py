"""Writing tensors as safetensors: streamed, the same bytes every time, and read back before the file gets its name."""

from __future__ import annotations

import contextlib
import hashlib
import math
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from twinloop.errors import StateError, StorageError
from twinloop.pickles.safetensors_header import BITS, TEXTS, header_bytes, placed
from twinloop.store.atomic import fsync_folder, remove_leftovers_of, sha256_file, storage_errors, temporary_beside
from twinloop.system.files import rename_over

_BLOCK = 1 << 20

DTYPES: Mapping[str, str] = {
    "float64": "F64",
    "float32": "F32",
    "float16": "F16",
    "bfloat16": "BF16",
    "float8_e4m3fn": "F8_E4M3",
    "float8_e5m2": "F8_E5M2",
    "int64": "I64",
    "int32": "I32",
    "int16": "I16",
    "int8": "I8",
    "uint64": "U64",
    "uint32": "U32",
    "uint16": "U16",
    "uint8": "U8",
    "bool": "BOOL",
    "complex64": "C64",
}
"""numpy or torch name of a type -> its name in safetensors."""


@dataclass(frozen=True)
class Tensor:
    """One tensor to write.

    Attributes:
        name: as in ``state_dict()``. dtype: a key of `DTYPES`. shape: sizes. load: its bytes, little-endian and in C
            order; called twice.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    load: Callable[[], bytes]

    @property
    def nbytes(self) -> int:
        """How many bytes `load` gives."""
        return math.prod(self.shape) * BITS[DTYPES[self.dtype]] // 8


@dataclass(frozen=True)
class Written:
    """The file that is there now. ``unchanged``: it already was."""

    path: Path
    sha256: str
    unchanged: bool


def write_tensors(path: Path, tensors: Iterable[Tensor], texts: Mapping[str, str]) -> Written:
    """Write ``path``; a file of that name stays as it is.

    The temporary file is synced, read back and compared with the tensors, which are loaded once more, before it gets
    its name.

    Raises:
        StateError: another file has that name, or what was written does not read back. StorageError: disk full, no
            permission.
    """
    # widest types first, as the safetensors library does: every tensor then starts at a multiple of its own size
    ordered = sorted(tensors, key=lambda t: (-BITS[DTYPES[t.dtype]], t.name))
    head = _header(ordered, texts)
    temporary = temporary_beside(path)
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_leftovers_of(path)
        try:
            digest = _write(temporary, head, ordered)
            _compare(temporary, head, ordered, digest)
            return _give_name(temporary, path, digest)
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink()


def _header(tensors: list[Tensor], texts: Mapping[str, str]) -> bytes:
    seen = {TEXTS}
    for tensor in tensors:
        if tensor.name in seen:
            raise StateError(f"two tensors would be called {tensor.name[:80]!r}; nothing was written.")
        if not _is_text(tensor.name):
            raise StateError(f"a tensor is called {tensor.name[:80]!r}, which is no text; nothing was written.")
        seen.add(tensor.name)
    return header_bytes(placed((tensor.name, DTYPES[tensor.dtype], tensor.shape) for tensor in tensors), texts)


def _is_text(name: str) -> bool:
    """Whether UTF-8 can hold it, which has no lone surrogates."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _write(temporary: Path, head: bytes, tensors: list[Tensor]) -> str:
    digest = hashlib.sha256()
    with open(temporary, "wb") as file:
        for load in (lambda: head, *(tensor.load for tensor in tensors)):
            block = load()
            digest.update(block)
            file.write(block)
        file.flush()
        os.fsync(file.fileno())
    return digest.hexdigest()


def _compare(temporary: Path, head: bytes, tensors: list[Tensor], digest: str) -> None:
    with open(temporary, "rb") as file:
        same = _reads(file, head) and all(_reads(file, tensor.load()) for tensor in tensors) and not file.read(1)
    if not same or sha256_file(temporary) != digest:
        raise StateError(
            f"{temporary} does not read back as it was written; check the disk. The original is untouched."
        )


def _reads(file: BinaryIO, wanted: bytes) -> bool:
    view = memoryview(wanted)
    return all(file.read(min(_BLOCK, len(view) - at)) == view[at : at + _BLOCK] for at in range(0, len(view), _BLOCK))


def _give_name(temporary: Path, path: Path, digest: str) -> Written:
    """A hard link fails when the name is taken, where a rename would overwrite; file systems without links get the
    rename.
    """
    try:
        os.link(temporary, path)
    except FileExistsError:
        if path.is_file() and sha256_file(path) == digest:
            return Written(path, digest, unchanged=True)
        raise StateError(
            f"{path} exists and holds something else; it was not touched. Move it away, or choose another folder with"
            " --output."
        ) from None
    except OSError:
        if path.exists():
            raise StorageError(f"{path} exists; it was not touched.") from None
        rename_over(temporary, path)
    fsync_folder(path.parent)
    return Written(path, digest, unchanged=False)
