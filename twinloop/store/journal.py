"""The append-only journal: one checksummed JSON line per finished unit of work.

A process may die at any byte. On opening, a torn last line is cut off; everything before it counts as done.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from twinloop.errors import StateError
from twinloop.store.atomic import fsync_folder, storage_errors, write_bytes
from twinloop.system.files import BINARY

PRIVATE = 0o600
RESTART = "Restore it from a copy, or start anew with --restart."


def _line(key: str, data: Any) -> bytes:
    # pure ASCII: a file name that is not valid text must not break the record of what was done
    body = json.dumps([key, data], sort_keys=True, separators=(",", ":"))
    return f"{zlib.crc32(body.encode()):08x} {body}\n".encode()


def _parse(line: bytes) -> tuple[str, Any] | None:
    if len(line) < 10 or line[8:9] != b" " or not line.endswith(b"\n"):
        return None
    body = line[9:-1]
    try:
        if int(line[:8], 16) != zlib.crc32(body):
            return None
        key, data = json.loads(body)
    except (ValueError, TypeError, RecursionError):
        return None
    return key, data


def _append(path: Path, line: bytes, mode: int) -> None:
    """Write a line at the end, durably, or leave the file as it was: the next line must not be
    written onto a torn one.
    """
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | BINARY, mode)
    try:
        before = os.fstat(handle).st_size
        try:
            while line:
                line = line[os.write(handle, line) :]
            os.fsync(handle)
        except BaseException:
            os.ftruncate(handle, before)
            raise
    finally:
        os.close(handle)


class Journal:
    """Remembers which units are done and what each decided.

    Args:
        boundary: called with the key after each record is durable; tests use it to stop a run at every boundary.
        private: readable by the owner only.
        remedy: what to do about a damaged file, as a sentence.
        mend: cut a torn last line off. False = leave the file alone, for who only reads while another process may be
            writing that line.

    Raises:
        StateError: a line before the last one is damaged. StorageError: the file may not be read or mended.
    """

    def __init__(
        self,
        path: Path,
        boundary: Callable[[str], None] | None = None,
        mend: bool = True,
        private: bool = False,
        remedy: str = RESTART,
    ) -> None:
        self.path = path
        self._remedy = remedy
        self._boundary = boundary
        self._mend = mend
        self._mode = PRIVATE if private else 0o666
        self._done: dict[str, Any] = {}
        self._load()

    def _load(self) -> None:
        if not self.path.exists():
            return
        good = 0
        with storage_errors(self.path):
            lines = self.path.read_bytes().splitlines(keepends=True)
        for number, line in enumerate(lines, 1):
            entry = _parse(line)
            if entry is None:
                if number < len(lines):
                    raise StateError(
                        f"{self.path}, line {number} is damaged, and it is not the last one. {self._remedy}"
                    )
                break
            self._done[entry[0]] = entry[1]
            good += len(line)
        if self._mend and good < sum(map(len, lines)):
            with storage_errors(self.path), open(self.path, "rb+") as file:
                file.truncate(good)
                os.fsync(file.fileno())

    def __contains__(self, key: str) -> bool:
        return key in self._done

    def get(self, key: str) -> Any:
        """What was recorded under ``key``, or None."""
        return self._done.get(key)

    def record(self, key: str, data: Any = None) -> None:
        """Mark a unit as done, durably. Recording a key twice is a defect of the caller.

        Raises:
            StateError: the key is there already. StorageError: disk full.
        """
        if key in self._done:
            raise StateError(f"{self.path}: unit '{key}' was already done")
        with storage_errors(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            _append(self.path, _line(key, data), self._mode)
            if not self._done:  # the file may be new
                fsync_folder(self.path.parent)
        self._done[key] = data
        if self._boundary is not None:
            self._boundary(key)

    def replace(self, changes: Mapping[str, Any]) -> None:
        """Write the whole file anew with other data under these keys: what must not be on record any more is gone from
        the disk.

        Raises:
            StateError: a key is not there. StorageError: disk full; the file is as it was.
        """
        unknown = changes.keys() - self._done.keys()
        if unknown:
            raise StateError(f"{self.path}: no unit {', '.join(sorted(unknown))}")
        data = {**self._done, **changes}
        write_bytes(self.path, b"".join(_line(key, value) for key, value in data.items()), self._mode == PRIVATE)
        self._done = data

    def __len__(self) -> int:
        return len(self._done)
