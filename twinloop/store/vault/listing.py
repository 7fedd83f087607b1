"""What a scan has to do: the vault's table of files against what the folders hold now."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from twinloop.domain.scanned import ListedFile
from twinloop.store.pictures.raw_pairs import BESIDE, photo_beside
from twinloop.store.private_db import path_key
from twinloop.store.vault.catalog import VaultCatalog
from twinloop.store.vault.files import BELOW, below

_CHUNK = 512
_PAIRED = f"{BESIDE}%"
_TABLES = """
DROP TABLE IF EXISTS temp.listing|
CREATE TEMP TABLE listing (
    path BLOB PRIMARY KEY, size INTEGER, mtime_ns INTEGER, ctime_ns INTEGER, problem TEXT
) WITHOUT ROWID|
DROP TABLE IF EXISTS temp.todo|
CREATE TEMP TABLE todo (number INTEGER PRIMARY KEY, path BLOB, size INTEGER, mtime_ns INTEGER, ctime_ns INTEGER)
"""
_UNCHANGED = """
f.size = l.size AND f.mtime_ns = l.mtime_ns AND f.ctime_ns = l.ctime_ns
AND CASE WHEN f.problem = '' THEN p.sha256 IS NOT NULL ELSE f.tried <> '' AND f.tried = ? END
"""


@dataclass(frozen=True)
class Found:
    """One entry of a folder: a file to scan, or (with a ``problem``) one that is skipped by its name or kind."""

    listed: ListedFile
    problem: str = ""


class Listing:
    """What the folders hold now, against what the catalogue knows.

    It is worked out inside SQLite, so that memory stays flat.
    """

    def __init__(self, catalog: VaultCatalog) -> None:
        self._catalog = catalog

    def take_listing(self, found: Iterable[Found]) -> int:
        """Hold what the folders hold now; returns the number of files to scan.

        A file that is reached twice counts once.
        """
        for statement in _TABLES.split("|"):
            self._catalog.run(statement)
        rows = (
            (path_key(seen.path), seen.size, seen.mtime_ns, seen.ctime_ns, problem)
            for seen, problem in ((entry.listed, entry.problem) for entry in found)
        )
        with self._catalog.batch():
            self._catalog.run_many("INSERT OR IGNORE INTO listing VALUES (?, ?, ?, ?, ?)", rows)
        return int(self._catalog.value("SELECT count(*) FROM listing WHERE problem = ''"))

    def forget_missing(self, roots: Iterable[Path], unread: Iterable[Path], away: Iterable[Path] = ()) -> int:
        """Forget files under ``roots`` that are not listed any more, except where a folder could not be looked into;
        returns how many.

        Args:
            away: folders and files that are not there at the moment, with what is below them; a link to nothing is
                listed no more.
        """
        self._catalog.run("DROP TABLE IF EXISTS temp.gone")
        self._catalog.run("CREATE TEMP TABLE gone (path BLOB PRIMARY KEY) WITHOUT ROWID")
        for root in roots:
            self._catalog.run(
                f"INSERT OR IGNORE INTO gone SELECT path FROM file WHERE {BELOW} AND path NOT IN (SELECT path FROM"
                " listing)",
                below(root),
            )
        for folder in unread:
            self._catalog.run("DELETE FROM gone WHERE path <> ? AND path >= ? AND path < ?", below(folder))
        for place in away:
            for table in ("gone", "listing"):
                self._catalog.run(f"DELETE FROM {table} WHERE {BELOW}", below(place))
        self._catalog.run("DELETE FROM file WHERE path IN (SELECT path FROM gone)")
        return int(self._catalog.value("SELECT count(*) FROM gone"))

    def forget_folder(self, folder: Path, kept: Iterable[Path]) -> int:
        """Forget the files of a folder that is no longer part of the vault, except those under ``kept``; returns how
        many.
        """
        self.take_listing(())
        for other in kept:
            self._catalog.run(
                f"INSERT OR IGNORE INTO listing SELECT path, 0, 0, 0, '' FROM file WHERE {BELOW}",
                below(other),
            )
        return self.forget_missing([folder], [])

    def note_problems(self) -> None:
        """Write down what is skipped by its name or kind."""
        self._catalog.run(
            "INSERT OR REPLACE INTO file SELECT l.path, l.size, l.mtime_ns, NULL, l.problem, '', l.ctime_ns FROM"
            " listing l LEFT JOIN file f ON f.path = l.path WHERE l.problem <> '' AND (l.problem IS NOT f.problem OR"
            " l.size <> f.size OR l.mtime_ns <> f.mtime_ns OR l.ctime_ns <> f.ctime_ns)"
        )

    def listed_pairs(self) -> list[tuple[ListedFile, str, str]]:
        """Raw photos, unchanged since the last scan, that lie or lay beside a photo of the same shot: each with why it
        was skipped then, and why it is now; "" = it was not, or is not.
        """
        rows = self._catalog.run(
            "SELECT l.path, l.size, l.mtime_ns, l.ctime_ns, f.problem, l.problem FROM listing l JOIN file f ON f.path ="
            " l.path WHERE l.size = f.size AND l.mtime_ns = f.mtime_ns AND (l.problem LIKE ?1 OR f.problem LIKE ?1)",
            (_PAIRED,),
        )
        return [
            (ListedFile(Path(os.fsdecode(path)), size, mtime_ns, ctime_ns), before, now)
            for path, size, mtime_ns, ctime_ns, before, now in rows
        ]

    def is_unchanged(self, path: Path) -> bool:
        """Whether a listed file is as the last scan knew it."""
        rows = self._catalog.run(
            "SELECT 1 FROM listing l JOIN file f ON f.path = l.path WHERE l.path = ? AND l.size = f.size AND l.mtime_ns"
            " = f.mtime_ns AND l.ctime_ns = f.ctime_ns",
            (path_key(path),),
        )
        return bool(rows)

    def plan(self, fingerprint: str, tried: str, again: Collection[str] = ()) -> int:
        """Work out which listed files must be looked at; returns how many.

        Args:
            fingerprint: of what would measure. tried: as in `FileEntry.tried`. again: contents to look at whatever is
                known of them.
        """
        self._catalog.run("DELETE FROM todo")
        self._catalog.run("CREATE TEMP TABLE IF NOT EXISTS again (sha256 TEXT PRIMARY KEY) WITHOUT ROWID")
        self._catalog.run("DELETE FROM again")
        self._catalog.run_many("INSERT INTO again VALUES (?)", ((sha256,) for sha256 in again))
        self._catalog.run(
            "INSERT INTO todo (path, size, mtime_ns, ctime_ns) SELECT l.path, l.size, l.mtime_ns, l.ctime_ns FROM"
            " listing l LEFT JOIN file f ON f.path = l.path LEFT JOIN photo p ON p.sha256 = f.sha256 AND p.fingerprint"
            f" = ? WHERE l.problem = '' AND (NOT ifnull({_UNCHANGED}, 0) OR f.sha256 IN (SELECT sha256 FROM again))"
            " ORDER BY l.path",
            (fingerprint, tried),
        )
        return int(self._catalog.value("SELECT count(*) FROM todo"))

    def plan_unpaired(self, problem: str) -> int:
        """Work out which raw photos must be looked at because the photo of the same shot beside them is none after all;
        returns how many.

        Args:
            problem: why no raw photo can be looked at; "" = they can.
        """
        self._catalog.run("DELETE FROM todo")
        rows = self._catalog.run(
            "SELECT path, size, mtime_ns, ctime_ns, problem FROM listing WHERE problem LIKE ? ORDER BY path", (_PAIRED,)
        )
        with self._catalog.batch():
            for path, *stat, why in rows:
                raw_photo = Path(os.fsdecode(path))
                used = self._catalog.files.at(raw_photo.with_name(photo_beside(why) or raw_photo.name))
                if used is not None and used.problem and used.path != raw_photo:
                    self._catalog.run("UPDATE listing SET problem = ? WHERE path = ?", (problem, path))
                    if not problem:
                        self._catalog.run(
                            "INSERT INTO todo (path, size, mtime_ns, ctime_ns) VALUES (?, ?, ?, ?)", (path, *stat)
                        )
            self.note_problems()
        return int(self._catalog.value("SELECT count(*) FROM todo"))

    def listed_photos(self) -> int:
        """How many of the listed files are known as photos."""
        return int(
            self._catalog.value(
                "SELECT count(*) FROM listing l JOIN file f ON f.path = l.path WHERE l.problem = '' AND f.problem = ''"
            )
        )

    def planned(self) -> Iterator[ListedFile]:
        """The files of `plan`, by path, a few at a time."""
        last = 0
        while rows := self._catalog.run(
            "SELECT number, path, size, mtime_ns, ctime_ns FROM todo WHERE number > ? ORDER BY number LIMIT ?",
            (last, _CHUNK),
        ):
            for number, path, *stat in rows:
                last = number
                yield ListedFile(Path(os.fsdecode(path)), *stat)
