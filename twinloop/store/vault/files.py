"""The vault's table of files against what the folders hold now: worked out inside SQLite, so that memory stays flat."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Set
from dataclasses import dataclass
from pathlib import Path

from twinloop.domain.scanned import ListedFile
from twinloop.store.pictures.raw_pairs import BESIDE, photo_beside
from twinloop.store.private_db import path_key
from twinloop.store.vault.catalog import VaultCatalog

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


@dataclass(frozen=True)
class Counts:
    """photos: different contents. faces: of these. files: that hold photos. skipped: files that were not readable as
    photos.
    """

    photos: int
    faces: int
    files: int
    skipped: int


class FileIndex:
    """What changed between the catalogue and the folders."""

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
                "INSERT OR IGNORE INTO gone SELECT path FROM file WHERE (path = ? OR (path >= ? AND path < ?)) AND path"
                " NOT IN (SELECT path FROM listing)",
                _under(root),
            )
        for folder in unread:
            self._catalog.run("DELETE FROM gone WHERE path <> ? AND path >= ? AND path < ?", _under(folder))
        for place in away:
            for table in ("gone", "listing"):
                self._catalog.run(f"DELETE FROM {table} WHERE path = ? OR (path >= ? AND path < ?)", _under(place))
        self._catalog.run("DELETE FROM file WHERE path IN (SELECT path FROM gone)")
        return int(self._catalog.value("SELECT count(*) FROM gone"))

    def forget_folder(self, folder: Path, kept: Iterable[Path]) -> int:
        """Forget the files of a folder that is no longer part of the vault, except those under ``kept``; returns how
        many.
        """
        self.take_listing(())
        for other in kept:
            self._catalog.run(
                "INSERT OR IGNORE INTO listing SELECT path, 0, 0, 0, '' FROM file WHERE path = ? OR (path >= ? AND path"
                " < ?)",
                _under(other),
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

    def plan(self, fingerprint: str, tried: str) -> int:
        """Work out which listed files must be looked at; returns how many.

        Args:
            fingerprint: of what would measure. tried: as in `FileEntry.tried`.
        """
        self._catalog.run("DELETE FROM todo")
        self._catalog.run(
            "INSERT INTO todo (path, size, mtime_ns, ctime_ns) SELECT l.path, l.size, l.mtime_ns, l.ctime_ns FROM"
            " listing l LEFT JOIN file f ON f.path = l.path LEFT JOIN photo p ON p.sha256 = f.sha256 AND p.fingerprint"
            f" = ? WHERE l.problem = '' AND NOT ifnull({_UNCHANGED}, 0) ORDER BY l.path",
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
                used = self._catalog.file(raw_photo.with_name(photo_beside(why) or raw_photo.name))
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

    def contents_below(self, roots: Iterable[Path]) -> frozenset[str]:
        """sha256 of every photo that has a file at or below one of these paths."""
        found: set[str] = set()
        for root in roots:
            rows = self._catalog.run(
                "SELECT DISTINCT sha256 FROM file WHERE problem = '' AND (path = ? OR (path >= ? AND path < ?))",
                _under(root),
            )
            found.update(sha256 for (sha256,) in rows)
        return frozenset(found)

    def files_below(self, roots: Iterable[Path]) -> int:
        """How many files that hold photos are known at or below these paths; none of them lies below another."""
        counted = (
            self._catalog.value(
                "SELECT count(*) FROM file WHERE problem = '' AND (path = ? OR (path >= ? AND path < ?))", _under(root)
            )
            for root in roots
        )
        return sum(int(number) for number in counted)

    def moved_to(self, folder: Path) -> Path | None:
        """Another folder that holds every photo that is known below this one, at the same place in it."""
        _, inside, end = _under(folder)
        rows = self._catalog.run(
            "SELECT path, sha256 FROM file WHERE problem = '' AND path >= ? AND path < ?", (inside, end)
        )
        found: set[bytes] | None = None
        for path, sha256 in rows:
            ending = b"/" + path[len(inside) :]
            same = self._catalog.run("SELECT path FROM file WHERE sha256 = ? AND problem = ''", (sha256,))
            there = {other[: -len(ending)] for (other,) in same if other.endswith(ending) and not inside <= other < end}
            found = there if found is None else found & there
            if not found:
                return None
        return Path(os.fsdecode(min(found))) if found else None

    def holds(self, sha256: str) -> bool:
        """Whether some file holds this content."""
        return bool(self._catalog.run("SELECT 1 FROM file WHERE sha256 = ? LIMIT 1", (sha256,)))

    def called(self, name: str) -> list[tuple[Path, str]]:
        """Files of this name that hold photos, in whatever folder, by path; each with the sha256 of its content."""
        ending = b"/" + os.fsencode(name)
        rows = self._catalog.run(
            "SELECT path, sha256 FROM file WHERE problem = '' AND sha256 IS NOT NULL AND substr(path, ?) = ? ORDER BY"
            " path",
            (-len(ending), ending),
        )
        return [(Path(os.fsdecode(path)), sha256) for path, sha256 in rows]

    def called_any(self, names: Set[str]) -> list[Path]:
        """Every known file, photo or not, that has one of these names, in whatever folder and however the letters are
        written.
        """
        wanted = {name.casefold() for name in names}
        paths = (Path(os.fsdecode(path)) for (path,) in self._catalog.run("SELECT path FROM file ORDER BY path"))
        return [path for path in paths if path.name.casefold() in wanted]

    def without_face(self, fingerprint: str) -> list[tuple[Path, str]]:
        """Photos on which no face was found: the first file of each, by path, with the sha256 of its content."""
        rows = self._catalog.run(
            "SELECT min(h.path), p.sha256 FROM photo p JOIN file h ON h.sha256 = p.sha256 AND h.problem = '' WHERE"
            " p.fingerprint = ? AND NOT EXISTS (SELECT 1 FROM face f WHERE f.sha256 = p.sha256 AND f.fingerprint ="
            " p.fingerprint) GROUP BY p.sha256 ORDER BY 1",
            (fingerprint,),
        )
        return [(Path(os.fsdecode(path)), sha256) for path, sha256 in rows]

    def skipped(self) -> list[tuple[Path, str]]:
        """Every skipped file with its reason, by path."""
        rows = self._catalog.run("SELECT path, problem FROM file WHERE problem <> '' ORDER BY path")
        return [(Path(os.fsdecode(path)), problem) for path, problem in rows]

    def counts(self, fingerprint: str) -> Counts:
        """How much is in the vault."""
        present = "sha256 IN (SELECT sha256 FROM file WHERE problem = '')"
        photos = self._catalog.value(f"SELECT count(*) FROM photo WHERE fingerprint = ? AND {present}", (fingerprint,))
        faces = self._catalog.value(f"SELECT count(*) FROM face WHERE fingerprint = ? AND {present}", (fingerprint,))
        files, skipped = self._catalog.run(
            "SELECT count(*) FILTER (WHERE problem = ''), count(*) FILTER (WHERE problem <> '') FROM file"
        )[0]
        return Counts(photos, faces, files, skipped)

    def embedded(self, fingerprint: str) -> int:
        """Faces with an embedding, of photos that are there."""
        found = self._catalog.value(
            "SELECT count(*) FROM face WHERE fingerprint = ? AND embedding IS NOT NULL AND sha256 IN (SELECT sha256"
            " FROM file WHERE problem = '')",
            (fingerprint,),
        )
        return int(found)


def _under(root: Path) -> tuple[bytes, bytes, bytes]:
    """A path itself, and the range of everything below it (``/`` is followed by ``0``)."""
    key = path_key(root)
    inside = key if key.endswith(b"/") else key + b"/"
    return key, inside, inside[:-1] + b"0"
