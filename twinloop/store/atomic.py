"""Whole files or none: write under a temporary name, fsync, rename, fsync the folder."""

from __future__ import annotations

import contextlib
import errno
import glob
import hashlib
import json
import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from twinloop.errors import InputError, StateError, StorageError


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turn "disk full" and "no permission" into one clear error."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StorageError(
                f"The disk is full: could not write {path}. Nothing is lost; free some space and run the same command again."
            ) from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise StorageError(
                f"No permission to write {path}. Choose another output folder or change the permissions."
            ) from error
        raise


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
    """Raises an error where nothing can be made in ``folder``, or where that is not there yet, in the nearest one above."""
    nearest = next(place for place in (folder, *folder.parents) if os.path.lexists(place))
    if not nearest.is_dir():
        raise InputError(f"{path} cannot be written: {nearest} is no folder. Name another {what}.")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise StorageError(f"No permission to write {path}. Choose another output folder or change the permissions.")


_LEFTOVER = re.compile(r"\..+\.(?P<pid>\d+)\.tmp")


def write_bytes(path: Path, data: bytes, private: bool = False) -> None:
    """Write ``path`` as a whole or leave it as it was.

    Args:
        private: readable by the owner only (what describes a face).

    Raises:
        StorageError: disk full or not permitted; no temporary file is left behind.
    """
    # the name is cut: one that is as long as a file system allows must have room for the pid
    temporary = path.with_name(f".{path.name[:40]}.{threading.get_ident()}.{os.getpid()}.tmp")
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600 if private else 0o666)
            with open(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
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
    """Delete the temporary files that killed processes left when they wrote this very file; nothing else in its folder is touched."""
    for found in path.parent.glob(f".{glob.escape(path.name[:40])}.*.tmp"):
        if is_leftover(found):
            found.unlink(missing_ok=True)


def is_leftover(path: Path) -> bool:
    """Whether this is, by its name, a temporary file that a killed process left."""
    match = _LEFTOVER.fullmatch(path.name)
    return match is not None and not _is_another_alive(int(match["pid"]))


def _is_another_alive(pid: int) -> bool:
    if pid == os.getpid():
        return False
    try:
        os.kill(pid, 0)
    except PermissionError:  # another user's
        return True
    except (ProcessLookupError, OverflowError):
        return False
    return True


def fsync_folder(folder: Path) -> None:
    """Make a rename in ``folder`` durable (a no-op where folders cannot be opened)."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def write_json(path: Path, data: Any, private: bool = False) -> None:
    """Write JSON: two spaces, keys in the order given, UTF-8, newline at the end. NaN is refused."""
    text = json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False)
    # undecodable bytes of file names become \udcxx, which is valid JSON and reads back as the same name
    write_bytes(path, (text + "\n").encode("utf-8", "backslashreplace"), private)


def read_json(path: Path) -> Any:
    """Read JSON that a stage wrote.

    Raises:
        InputError: missing. StateError: not JSON.
    """
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError:
        raise InputError(f"File not found: {path}") from None
    except (ValueError, OSError) as error:
        raise StateError(f"Cannot read {path}: {error}. Move it away and run the step that writes it again.") from error


def sha256_file(path: Path) -> str:
    """sha256 of the file's bytes, hex."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def copy_whole(source: Path, target: Path) -> None:
    """Copy a file's bytes; ``target`` appears complete or not at all. An identical target is left alone."""
    if (
        target.exists()
        and target.stat().st_size == source.stat().st_size
        and sha256_file(target) == sha256_file(source)
    ):
        return
    write_bytes(target, source.read_bytes())
