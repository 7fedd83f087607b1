"""Whole files or none: write under a temporary name, fsync, rename, fsync the folder."""

from __future__ import annotations

import contextlib
import glob
import hashlib
import json
import os
import re
import shutil
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from twinloop.errors import DISK_FULL, FREE_SPACE, NOT_PERMITTED, InputError, NotPermitted, StateError, StorageError
from twinloop.system.files import NO_WAIT, rename_over
from twinloop.system.processes import is_alive

T = TypeVar("T")
_INSTEAD = "Choose another output folder"
_REMEDY = "Move it away and run the step that writes it again."


@contextmanager
def storage_errors(path: Path, instead: str = _INSTEAD) -> Iterator[None]:
    """Turn "disk full", "no permission" and "open in another program" into one clear error.

    Args:
        instead: what to do where there is no permission, beside changing that.
    """
    try:
        yield
    except OSError as error:
        if error.errno in DISK_FULL:
            raise StorageError(f"The disk is full: could not write {path}. {FREE_SPACE}") from error
        held = getattr(error, "winerror", None) in _HELD
        if held or error.errno in NOT_PERMITTED:
            raise NotPermitted(path, instead, held) from error
        raise


_HELD = (5, 32, 33, 1224)
"""Windows' errors where a file is open in another program: access denied (which may also be a permission), a sharing
violation, a lock violation, a mapped section."""


@contextmanager
def denied_within(folder: Path, instead: str) -> Iterator[None]:
    """Where there is no permission to write ``folder``, or something in it, say this of what to do, beside changing
    that: nobody chose the folder as one of outputs.
    """
    try:
        yield
    except NotPermitted as error:
        inside = Path(os.path.abspath(error.path)).is_relative_to(os.path.abspath(folder))
        if not inside or error.instead != _INSTEAD:
            raise
        raise NotPermitted(error.path, instead, error.held) from error


def check_writable(path: Path) -> None:
    """Ask before long work whether a file can be written; nothing is made for it.

    Raises:
        InputError: the path is a folder, or lies below a file. StorageError: not permitted.
    """
    if path.is_dir():
        raise InputError(f"{path} is a folder. Name a file.")
    _check_place(path, Path(os.path.abspath(path)).parent, "file")


def check_writable_folder(path: Path) -> None:
    """The same of a folder that files will be written into; it need not be there.

    Raises:
        InputError: the path is a file, or lies below one. StorageError: not permitted.
    """
    if os.path.lexists(path) and not path.is_dir():
        raise InputError(f"{path} is no folder. Name a folder.")
    _check_place(path, Path(os.path.abspath(path)), "folder")


def _check_place(path: Path, folder: Path, what: str) -> None:
    """Raises an error where nothing can be made in ``folder``, or where that is not there yet, in the nearest one
    above.
    """
    nearest = next(place for place in (folder, *folder.parents) if os.path.lexists(place))
    if not nearest.is_dir():
        raise InputError(f"{path} cannot be written: {nearest} is no folder. Name another {what}.")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise NotPermitted(path, _INSTEAD)


_LEFTOVER = re.compile(r"\..+\.(?P<pid>\d+)\.tmp")
_BLOCK = 1 << 20


def temporary_beside(path: Path) -> Path:
    """What ``path`` is called while this thread writes it; `remove_leftovers` knows such a name when the process is
    dead.
    """
    # the name is cut: one that is as long as a file system allows must have room for the pid
    return path.with_name(f".{path.name[:40]}.{threading.get_ident()}.{os.getpid()}.tmp")


def write_bytes(path: Path, data: bytes, private: bool = False) -> None:
    """Write ``path`` as a whole or leave it as it was.

    Args:
        private: readable by the owner only (what describes a face).

    Raises:
        StorageError: disk full or not permitted; no temporary file is left behind.
    """
    with whole_file(path, private) as file:
        file.write(data)


@contextmanager
def whole_file(path: Path, private: bool = False) -> Iterator[BinaryIO]:
    """A file to write that becomes ``path`` when the block ends; where it ends in an error, ``path`` stays as it was.

    A device or a pipe (``/dev/null``) is written to and stays what it is.

    Args:
        private: readable by the owner only.

    Raises:
        StorageError: disk full or not permitted; no temporary file is left behind.
    """
    if path.exists() and not path.is_file() and not path.is_dir():
        with storage_errors(path), open(path, "wb", buffering=0) as device:
            yield device
        return
    temporary = temporary_beside(path)
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600 if private else 0o666)
            with open(handle, "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            rename_over(temporary, path)
        except BaseException as error:
            with contextlib.suppress(OSError):
                temporary.unlink()
            if isinstance(error, OSError) and str(error.filename) == str(temporary):
                error.filename = str(path)  # what the user named, not what it is called while it is written
            raise
        fsync_folder(path.parent)


def remove_leftovers(folder: Path) -> None:
    """Delete the temporary files that killed processes left under ``folder``; those of living processes stay."""
    for path in folder.rglob(".*.tmp"):
        if is_leftover(path):
            path.unlink(missing_ok=True)


def remove_leftovers_of(path: Path) -> None:
    """Delete the temporary files that killed processes left when they wrote this very file; nothing else in its folder
    is touched.
    """
    for found in path.parent.glob(f".{glob.escape(path.name[:40])}.*.tmp"):
        if is_leftover(found):
            found.unlink(missing_ok=True)


def is_leftover(path: Path) -> bool:
    """Whether this is, by its name, a temporary file that a killed process left."""
    match = _LEFTOVER.fullmatch(path.name)
    return match is not None and (int(match["pid"]) == os.getpid() or not is_alive(int(match["pid"])))


def fsync_folder(folder: Path) -> None:
    """Make a rename in ``folder`` durable (a no-op where folders cannot be opened)."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def write_json(path: Path, data: Any, private: bool = False) -> None:
    """Write JSON as `json_bytes`."""
    write_bytes(path, json_bytes(data), private)


def json_bytes(data: Any) -> bytes:
    """JSON: two spaces, keys in the order given, UTF-8, newline at the end. NaN is refused."""
    text = json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False)
    # undecodable bytes of file names become \udcxx, which is valid JSON and reads back as the same name
    return (text + "\n").encode("utf-8", "backslashreplace")


def read_json(path: Path) -> Any:
    """Read JSON that a stage wrote.

    Raises:
        InputError: missing. StateError: not JSON, or no file: reading a pipe would wait for ever.
    """
    try:
        with open(path, "rb", opener=_without_waiting) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise StateError(f"Cannot read {path}: it is no file. {_REMEDY}")
            return json.loads(file.read())
    except FileNotFoundError:
        raise InputError(f"File not found: {path}") from None
    except IsADirectoryError as error:
        raise StateError(f"Cannot read {path}: it is a folder. {_REMEDY}") from error
    except (ValueError, OSError, RecursionError) as error:
        raise StateError(f"Cannot read {path}: {error}. {_REMEDY}") from error


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | NO_WAIT)


def read_as(
    path: Path, parse: Callable[[Any], T], remedy: str = _REMEDY, read: Callable[[Path], Any] | None = None
) -> T:
    """Read JSON as what a stage wrote.

    Args:
        parse: JSON -> what it says; one of its errors means that this is not what the stage writes.
        remedy: what the user can do about it, in one sentence or two. read: as `read_json`, which it is by default, and
            with its errors.

    Raises:
        InputError: missing. StateError: not JSON, or another's; names the file and the remedy.
    """
    data = (read or read_json)(path)
    try:
        return parse(data)
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise StateError(f"{path} does not hold what this program writes there ({_told(error)}). {remedy}") from error


def _told(error: Exception) -> str:
    if isinstance(error, KeyError):
        return f'"{error.args[0]}" is missing'
    # those of fields that are checked (`domain.json_fields`) speak for themselves
    return str(error) if type(error) is ValueError else f"{type(error).__name__}: {error}"


def read_object(path: Path, read: Callable[[Path], Any] = read_json) -> dict[str, Any]:
    """A JSON object for a look at what there is; {} where there is none yet, or a damaged file, or somebody else's.

    Args:
        read: as `read_json`, and with its errors.
    """
    try:
        data = read(path)
    except (InputError, StateError):
        return {}
    return data if isinstance(data, dict) else {}


def sha256_file(path: Path) -> str:
    """sha256 of the file's bytes, hex."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def copy_whole(source: Path, target: Path) -> None:
    """Copy a file's bytes; ``target`` appears complete or not at all. An identical target is left alone."""
    if (
        target.exists()
        and target.stat().st_size == source.stat().st_size
        and sha256_file(target) == sha256_file(source)
    ):
        return
    with open(source, "rb") as given, whole_file(target) as made:
        shutil.copyfileobj(given, made, _BLOCK)
