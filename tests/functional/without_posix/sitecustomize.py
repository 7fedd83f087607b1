"""Takes away what Windows lacks, in every process that has this folder in PYTHONPATH, and makes files as hard to handle
as they are there.

It is no Windows: libraries go on as they are on this machine, and what is forbidden below is so only for callers in
`twinloop`, as far as the caller can be told.
"""

from __future__ import annotations

import builtins
import contextlib
import errno
import fcntl
import os
import signal
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import names
from lacking import MODULES, OF_OS, OF_SIGNAL

_import, _open, _write, _fsync, _kill = builtins.__import__, os.open, os.write, os.fsync, os.kill
_rename, _replace, _unlink = os.rename, os.replace, os.unlink
_as_text: set[int] = set()
"""Descriptors that were opened without O_BINARY."""


def _asked_by_us() -> bool:
    return str(sys._getframe(2).f_globals.get("__name__", "")).partition(".")[0] == "twinloop"


def without_modules(name: str, globals: Any = None, *others: Any, **named: Any) -> Any:
    if name in MODULES and str((globals or {}).get("__name__", "")).partition(".")[0] == "twinloop":
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)
    return _import(name, globals, *others, **named)


def open_no_folder(path: Any, flags: int, *others: Any, **named: Any) -> int:
    if _asked_by_us() and Path(path).is_dir():
        raise PermissionError(errno.EACCES, "Permission denied", path)
    found = path if named.get("dir_fd") is not None else names.there(path)
    handle = _open(found, flags & ~os.O_BINARY, *others, **named)
    (_as_text.discard if flags & os.O_BINARY else _as_text.add)(handle)
    return handle


def write_lines(handle: int, data: bytes) -> int:
    if not (_asked_by_us() and handle in _as_text):
        return _write(handle, data)
    _write(handle, bytes(data).replace(b"\n", b"\r\n"))
    return len(data)


def sync_what_is_written(handle: int) -> None:
    if fcntl.fcntl(handle, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
        raise OSError(errno.EBADF, "Bad file descriptor")
    _fsync(handle)


def kill_for_sure(pid: int, number: int) -> None:
    if _asked_by_us() and number == 0:
        raise AssertionError("on Windows this ends the process")
    _kill(pid, number)


def _used() -> Iterator[str]:
    """Files that this process, or one that it started, has open or mapped."""
    children = [Path(f"/proc/{pid}") for task in Path("/proc/self/task").glob("*/children") for pid in _words(task)]
    for process in (Path("/proc/self"), *children):
        with contextlib.suppress(OSError):  # it has ended
            for handle in process.joinpath("fd").iterdir():
                with contextlib.suppress(OSError):
                    yield os.fspath(handle.readlink())
            # address, permissions, offset, device, inode, name
            yield from (parts[5].rstrip() for line in _lines(process / "maps") if len(parts := line.split(None, 5)) > 5)


def _lines(path: Path) -> list[str]:
    return path.read_text("utf-8", "replace").splitlines()


def _words(path: Path) -> list[str]:
    return path.read_text("utf-8").split()


def _check_not_open(path: Any) -> None:
    """Windows moves and deletes no file that is open or mapped, and moves no folder that such a file lies in."""
    place = Path(os.path.realpath(path))
    for name in _used():
        if Path(name).is_relative_to(place) and not Path(name).is_dir():
            raise PermissionError(errno.EACCES, f"The process cannot access the file: {name} is open", str(path))


def rename_onto_nothing(source: Any, target: Any, **named: Any) -> None:
    source, target = names.there(source), names.to_be(target, source)
    _check_not_open(source)
    if os.path.lexists(target) and not Path(source).samefile(target):
        raise FileExistsError(errno.EEXIST, "File exists", str(target))
    _rename(source, target, **named)


def replace_what_is_closed(source: Any, target: Any, **named: Any) -> None:
    source, target = names.there(source), names.to_be(target, source)
    _check_not_open(source)
    _check_not_open(target)
    if Path(target).is_dir() and not Path(source).samefile(target):
        raise PermissionError(errno.EACCES, "Access is denied", str(target))
    _replace(source, target, **named)


def unlink_what_is_closed(path: Any, *, dir_fd: int | None = None) -> None:
    folder = Path() if dir_fd is None else Path(f"/proc/self/fd/{dir_fd}").readlink()
    path = names.there(folder / os.fspath(path))
    _check_not_open(path)
    _unlink(path)


names.below(Path.cwd())
for name in OF_OS:
    if hasattr(os, name):
        delattr(os, name)
for name in OF_SIGNAL:
    if hasattr(signal, name):
        delattr(signal, name)
os.O_BINARY = 0x8000  # type: ignore[attr-defined]
os.open, os.write, os.fsync, os.kill = open_no_folder, write_lines, sync_what_is_written, kill_for_sure
os.rename, os.replace, os.unlink = rename_onto_nothing, replace_what_is_closed, unlink_what_is_closed
os.remove = unlink_what_is_closed
builtins.__import__ = without_modules
subprocess.Popen.kill = lambda process: process.send_signal(9)  # type: ignore[method-assign]
# text files are in the country's code page there, unless it is said that they are not
warnings.filterwarnings("error", category=EncodingWarning, module=r"twinloop(\.|$)")
