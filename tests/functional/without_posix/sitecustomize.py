"""Takes away what Windows lacks, in every process that has this folder in PYTHONPATH, and makes files as hard to handle
as they are there.

It is no Windows: libraries go on as they are on this machine, and what is forbidden below is so only for callers in
`twinloop`, as far as the caller can be told.
"""

from __future__ import annotations

import builtins
import errno
import fcntl
import os
import signal
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

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
    handle = _open(path, flags & ~os.O_BINARY, *others, **named)
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


def _check_not_open(path: Any) -> None:
    """Windows moves and deletes no file that is open; of this process that can be told here."""
    place = Path(os.path.realpath(path))
    for handle in Path("/proc/self/fd").iterdir():
        if handle.is_symlink() and handle.readlink() == place:
            raise PermissionError(errno.EACCES, "The process cannot access the file", str(path))


def rename_onto_nothing(source: Any, target: Any, **named: Any) -> None:
    _check_not_open(source)
    if os.path.lexists(target):
        raise FileExistsError(errno.EEXIST, "File exists", str(target))
    _rename(source, target, **named)


def replace_what_is_closed(source: Any, target: Any, **named: Any) -> None:
    _check_not_open(source)
    _check_not_open(target)
    _replace(source, target, **named)


def unlink_what_is_closed(path: Any, **named: Any) -> None:
    if not named:
        _check_not_open(path)
    _unlink(path, **named)


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
