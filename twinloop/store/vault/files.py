"""The vault's table of files: what is known of each, and questions about them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Set
from dataclasses import dataclass
from pathlib import Path

from twinloop.store.private_db import PrivateDb, path_key

IS_PHOTO = "problem = ''"
"""SQL, of a row of the table of files: it holds a photo."""
PRESENT = f"SELECT sha256 FROM file WHERE {IS_PHOTO} AND sha256 IS NOT NULL"
"""SQL: the contents of which a file is there."""
BELOW = "(path = ? OR (path >= ? AND path < ?))"
"""SQL: at or below a path; its values come from `below`."""


@dataclass(frozen=True)
class FileEntry:
    """What is known of one file.

    Attributes:
        size, mtime_ns, ctime_ns: its stat. sha256: of its content; None where it could not be read.
        problem: why it was skipped; "" when it was not.
        tried: what was tried on a skipped file (programs and limits): it is tried again when that changes; "" = every
            time.
    """

    path: Path
    size: int
    mtime_ns: int
    sha256: str | None
    problem: str = ""
    tried: str = ""
    ctime_ns: int = 0


@dataclass(frozen=True)
class Counts:
    """photos: different contents. faces: of these. files: that hold photos."""

    photos: int
    faces: int
    files: int


class VaultFiles:
    """Files by path, each with its content.

    Args:
        database: that of the vault's catalogue.
    """

    def __init__(self, database: PrivateDb) -> None:
        self._database = database

    def all(self) -> dict[str, FileEntry]:
        """Every known file by its absolute path (as `os.fsdecode` gives it)."""
        rows = self._database.run(
            "SELECT path, size, mtime_ns, sha256, problem, tried, ctime_ns FROM file ORDER BY path"
        )
        return {path: FileEntry(Path(path), *rest) for path, *rest in ((os.fsdecode(row[0]), *row[1:]) for row in rows)}

    def at(self, path: Path) -> FileEntry | None:
        """One file, or None when it was never scanned."""
        rows = self._database.run(
            "SELECT path, size, mtime_ns, sha256, problem, tried, ctime_ns FROM file WHERE path = ?", (path_key(path),)
        )
        return FileEntry(Path(os.fsdecode(rows[0][0])), *rows[0][1:]) if rows else None

    def put(self, entry: FileEntry) -> None:
        """Note what a file holds.

        Its stat was taken before it was read: if it changed meanwhile, it is read again next time.
        """
        stat = (entry.size, entry.mtime_ns)
        values = (path_key(entry.path), *stat, entry.sha256, entry.problem, entry.tried, entry.ctime_ns)
        self._database.run("INSERT OR REPLACE INTO file VALUES (?, ?, ?, ?, ?, ?, ?)", values)

    def any(self) -> bool:
        """Whether any file is known."""
        return bool(self._database.run("SELECT 1 FROM file LIMIT 1"))

    def doubt(self, sha256: str) -> None:
        """Have every file that is said to hold this content read again by the next scan, whatever its stat says."""
        self._database.run("UPDATE file SET mtime_ns = -1 WHERE sha256 = ?", (sha256,))

    def contents_below(self, roots: Iterable[Path]) -> frozenset[str]:
        """sha256 of every photo that has a file at or below one of these paths."""
        found: set[str] = set()
        for root in roots:
            rows = self._database.run(f"SELECT DISTINCT sha256 FROM file WHERE {IS_PHOTO} AND {BELOW}", below(root))
            found.update(sha256 for (sha256,) in rows)
        return frozenset(found)

    def files_below(self, roots: Iterable[Path]) -> int:
        """How many files that hold photos are known at or below these paths; none of them lies below another."""
        counted = (
            self._database.value(f"SELECT count(*) FROM file WHERE {IS_PHOTO} AND {BELOW}", below(root))
            for root in roots
        )
        return sum(int(number) for number in counted)

    def moved_to(self, folder: Path) -> Path | None:
        """Another folder that holds every photo that is known below this one, at the same place in it."""
        _, inside, end = below(folder)
        rows = self._database.run(
            f"SELECT path, sha256 FROM file WHERE {IS_PHOTO} AND path >= ? AND path < ?", (inside, end)
        )
        found: set[bytes] | None = None
        for path, sha256 in rows:
            ending = b"/" + path[len(inside) :]
            same = self._database.run(f"SELECT path FROM file WHERE sha256 = ? AND {IS_PHOTO}", (sha256,))
            there = {other[: -len(ending)] for (other,) in same if other.endswith(ending) and not inside <= other < end}
            found = there if found is None else found & there
            if not found:
                return None
        return Path(os.fsdecode(min(found))) if found else None

    def holds(self, sha256: str) -> bool:
        """Whether some file holds this content."""
        return bool(self._database.run("SELECT 1 FROM file WHERE sha256 = ? LIMIT 1", (sha256,)))

    def holding(self, sha256: str) -> list[FileEntry]:
        """The photos that hold this content, by path."""
        rows = self._database.run(
            "SELECT path, size, mtime_ns, sha256, problem, tried, ctime_ns FROM file WHERE sha256 = ? AND"
            f" {IS_PHOTO} ORDER BY path",
            (sha256,),
        )
        return [FileEntry(Path(os.fsdecode(path)), *rest) for path, *rest in rows]

    def called(self, name: str) -> list[tuple[Path, str]]:
        """Files of this name that hold photos, in whatever folder, by path; each with the sha256 of its content."""
        ending = b"/" + os.fsencode(name)
        rows = self._database.run(
            f"SELECT path, sha256 FROM file WHERE {IS_PHOTO} AND sha256 IS NOT NULL AND substr(path, ?) = ?"
            " ORDER BY path",
            (-len(ending), ending),
        )
        return [(Path(os.fsdecode(path)), sha256) for path, sha256 in rows]

    def called_any(self, names: Set[str]) -> list[Path]:
        """Every known file, photo or not, that has one of these names, in whatever folder and however the letters are
        written.
        """
        wanted = {name.casefold() for name in names}
        paths = (Path(os.fsdecode(path)) for (path,) in self._database.run("SELECT path FROM file ORDER BY path"))
        return [path for path in paths if path.name.casefold() in wanted]

    def without_face(self, fingerprint: str) -> list[tuple[Path, str]]:
        """Photos on which no face was found: the first file of each, by path, with the sha256 of its content."""
        rows = self._database.run(
            "SELECT min(h.path), p.sha256 FROM photo p JOIN file h ON h.sha256 = p.sha256 AND h.problem = '' WHERE"
            " p.fingerprint = ? AND NOT EXISTS (SELECT 1 FROM face f WHERE f.sha256 = p.sha256 AND f.fingerprint ="
            " p.fingerprint) GROUP BY p.sha256 ORDER BY 1",
            (fingerprint,),
        )
        return [(Path(os.fsdecode(path)), sha256) for path, sha256 in rows]

    def skipped(self) -> list[tuple[Path, str]]:
        """Every skipped file with its reason, by path."""
        rows = self._database.run("SELECT path, problem FROM file WHERE problem <> '' ORDER BY path")
        return [(Path(os.fsdecode(path)), problem) for path, problem in rows]

    def counts(self, fingerprint: str) -> Counts:
        """How much is in the vault."""
        photos = self._database.value(
            f"SELECT count(*) FROM photo WHERE fingerprint = ? AND sha256 IN ({PRESENT})", (fingerprint,)
        )
        faces = self._database.value(
            f"SELECT count(*) FROM face WHERE fingerprint = ? AND sha256 IN ({PRESENT})", (fingerprint,)
        )
        files = self._database.value(f"SELECT count(*) FROM file WHERE {IS_PHOTO}")
        return Counts(photos, faces, files)


def below(root: Path) -> tuple[bytes, bytes, bytes]:
    """The values of `BELOW`: a path itself, and the range of everything below it (``/`` is followed by ``0``)."""
    key = path_key(root)
    inside = key if key.endswith(b"/") else key + b"/"
    return key, inside, inside[:-1] + b"0"
