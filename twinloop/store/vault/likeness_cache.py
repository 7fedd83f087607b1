"""What near-duplicate search read off each thumbnail, so that the next search reads only new ones.

A cache: delete it and only time is lost.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from twinloop.store.atomic import storage_errors
from twinloop.store.private_db import open_private, unusable

_SIGN = 1 << 63
"""SQLite knows signed whole numbers only."""


@dataclass(frozen=True, slots=True)
class Signature:
    """Attributes:
    flat: the picture holds too little to be recognised by. disc: 64-bit hash of its central disc; None = the disc tells
    nothing.
    """

    flat: bool
    disc: int | None


class LikenessCache:
    """Signatures by content hash and version of the code that made them.

    Raises:
        StorageError: the file cannot be created or is no database.
    """

    def __init__(self, path: Path, version: str) -> None:
        self.path, self.version = path, version
        try:
            with storage_errors(path):
                self._db = open_private(path)
            self._db.execute(
                "CREATE TABLE IF NOT EXISTS signature (sha256 TEXT PRIMARY KEY, version TEXT NOT NULL, flat INTEGER NOT"
                " NULL, disc INTEGER) WITHOUT ROWID"
            )
        except sqlite3.Error as error:
            raise unusable("use", self.path, error) from error

    def known(self) -> dict[str, Signature]:
        """Every signature of this version."""
        try:
            rows = self._db.execute("SELECT sha256, flat, disc FROM signature WHERE version = ?", (self.version,))
            return {
                sha256: Signature(bool(flat), None if disc is None else disc + _SIGN) for sha256, flat, disc in rows
            }
        except sqlite3.Error as error:
            raise unusable("use", self.path, error) from error

    def put(self, made: Iterable[tuple[str, Signature]]) -> None:
        """Remember these, together."""
        rows = [
            (sha256, self.version, made.flat, None if made.disc is None else made.disc - _SIGN) for sha256, made in made
        ]
        try:
            self._db.execute("BEGIN")
            self._db.executemany("INSERT OR REPLACE INTO signature VALUES (?, ?, ?, ?)", rows)
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            raise unusable("use", self.path, error) from error

    def close(self) -> None:
        self._db.close()

    def __enter__(self) -> LikenessCache:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
