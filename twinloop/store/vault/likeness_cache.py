"""What near-duplicate search read off each thumbnail, so that the next search reads only new ones.

A cache: delete it and only time is lost.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from twinloop.store.private_db import Kind, PrivateDb

_SIGN = 1 << 63
"""SQLite knows signed whole numbers only."""
_TABLE = frozenset({"signature"})
_KIND = Kind("cache of the duplicate search", b"TLlk", _TABLE, needed=_TABLE, versions=range(1))


@dataclass(frozen=True, slots=True)
class Signature:
    """Attributes:
    flat: the picture holds too little to be recognised by. disc: 64-bit hash of its central disc; None = the disc tells
    nothing.
    """

    flat: bool
    disc: int | None


class LikenessCache(PrivateDb):
    """Signatures by content hash and version of the code that made them.

    Raises:
        StorageError: the file cannot be created or is no database. StateError: it is another one.
    """

    def __init__(self, path: Path, version: str) -> None:
        super().__init__(path, _KIND, _prepare)
        self.version = version

    def known(self) -> dict[str, Signature]:
        """Every signature of this version."""
        rows = self.each("SELECT sha256, flat, disc FROM signature WHERE version = ?", (self.version,))
        return {sha256: Signature(bool(flat), None if disc is None else disc + _SIGN) for sha256, flat, disc in rows}

    def put(self, made: Iterable[tuple[str, Signature]]) -> None:
        """Remember these, together."""
        rows = (
            (sha256, self.version, made.flat, None if made.disc is None else made.disc - _SIGN) for sha256, made in made
        )
        with self.batch():
            self.run_many("INSERT OR REPLACE INTO signature VALUES (?, ?, ?, ?)", rows)


def _prepare(database: sqlite3.Connection) -> None:
    database.execute(
        "CREATE TABLE IF NOT EXISTS signature (sha256 TEXT PRIMARY KEY, version TEXT NOT NULL, flat INTEGER NOT NULL,"
        " disc INTEGER) WITHOUT ROWID"
    )
