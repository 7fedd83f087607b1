"""The names that photo programs gave, in the vault's catalogue: a cache of what stands in photos and beside them."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from twinloop.domain.names import folded
from twinloop.domain.vault import FaceKey
from twinloop.store.pictures.face_regions import PhotoName, agreement
from twinloop.store.private_db import path_key
from twinloop.store.vault.catalog import VaultCatalog
from twinloop.store.vault.files import PRESENT

_TABLES = """
CREATE TABLE IF NOT EXISTS named_source (
    source BLOB PRIMARY KEY, sha256 TEXT NOT NULL, stamp TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS named (
    source BLOB NOT NULL, sha256 TEXT NOT NULL, name TEXT NOT NULL, x0 REAL, y0 REAL, x1 REAL, y1 REAL
);
CREATE INDEX IF NOT EXISTS named_by_content ON named (sha256);
CREATE INDEX IF NOT EXISTS named_by_source ON named (source);
"""
_LISTED = """
SELECT l.path, f.sha256, f.size, f.mtime_ns, p.width, p.height, n.stamp
FROM listing l JOIN file f ON f.path = l.path JOIN photo p ON p.sha256 = f.sha256
LEFT JOIN named_source n ON n.source = CAST(f.sha256 AS BLOB)
WHERE l.problem = '' AND f.problem = '' AND l.path > ? GROUP BY l.path ORDER BY l.path LIMIT ?
"""
_END, _AFTER = b"\0", b"\1"


@dataclass(frozen=True)
class ListedPhoto:
    """A photo that the folders hold now.

    Attributes:
        size, mtime_ns: of the file when its content was hashed. width, height: of the photo, upright.
        stamp: what the names in its content were read with; None = they were not read yet.
    """

    path: Path
    sha256: str
    size: int
    mtime_ns: int
    width: int
    height: int
    stamp: str | None

    def beside(self, file: Path) -> bytes:
        """The source that a file beside this photo is."""
        return path_key(self.path) + _END + os.fsencode(file.name)

    @property
    def content(self) -> bytes:
        """The source that its own bytes are."""
        return self.sha256.encode()


class PhotoNames:
    """Names by source. A source is the content of a photo, or a file beside a certain photo."""

    def __init__(self, catalog: VaultCatalog) -> None:
        self._catalog = catalog

    def make(self) -> None:
        """Have the tables; a catalogue from before they were invented lacks them."""
        for statement in filter(str.strip, _TABLES.split(";")):
            self._catalog.run(statement)

    def _is_made(self) -> bool:
        return bool(self._catalog.run("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'named'"))

    def listed(self, after: Path | None, most: int) -> list[ListedPhoto]:
        """The next photos of the listing (`Listing.take_listing`), by path."""
        rows = self._catalog.run(_LISTED, (b"" if after is None else path_key(after), most))
        return [ListedPhoto(Path(os.fsdecode(path)), *rest) for path, *rest in rows]

    def stamps(self, photos: Sequence[ListedPhoto]) -> dict[bytes, str]:
        """The known files beside these photos, which follow each other in the listing, with their stamps."""
        first, last = path_key(photos[0].path) + _END, path_key(photos[-1].path) + _AFTER
        rows = self._catalog.run(
            "SELECT source, stamp FROM named_source WHERE source >= ? AND source < ? AND instr(source, x'00')",
            (first, last),
        )
        mine = {path_key(photo.path) for photo in photos} if rows else set()
        return {bytes(source): stamp for source, stamp in rows if bytes(source).partition(_END)[0] in mine}

    def put(self, source: bytes, sha256: str, stamp: str, names: Iterable[PhotoName]) -> None:
        """Remember what a source says of the photo of this content."""
        self.drop(source)
        self._catalog.run("INSERT INTO named_source VALUES (?, ?, ?)", (source, sha256, stamp))
        rows = ((source, sha256, found.name, *(found.box or (None,) * 4)) for found in names)
        self._catalog.run_many("INSERT INTO named VALUES (?, ?, ?, ?, ?, ?, ?)", rows)

    def drop(self, source: bytes) -> None:
        for table in ("named", "named_source"):
            self._catalog.run(f"DELETE FROM {table} WHERE source = ?", (source,))

    def drop_without_photo(self) -> None:
        """Drop the files beside photos that are no longer known."""
        self._catalog.run(
            "DELETE FROM named_source WHERE instr(source, x'00') AND substr(source, 1, instr(source, x'00') - 1)"
            " NOT IN (SELECT path FROM file)"
        )
        self._catalog.run("DELETE FROM named WHERE source NOT IN (SELECT source FROM named_source)")

    def count(self) -> int:
        """How many photos that are there have a name."""
        return int(self._catalog.value(f"SELECT count(DISTINCT sha256) FROM named WHERE sha256 IN ({PRESENT})"))

    def all(self) -> dict[str, list[PhotoName]]:
        """The names of photos that are there, by content hash."""
        found: dict[str, list[PhotoName]] = {}
        if self._is_made():
            rows = self._catalog.run(
                f"SELECT DISTINCT sha256, name, x0, y0, x1, y1 FROM named WHERE sha256 IN ({PRESENT})"
                " ORDER BY 1, 2, 3, 4"
            )
            for sha256, *said in rows:
                found.setdefault(sha256, []).append(_name(*said))
        return found

    def forget(self, keys: Iterable[FaceKey], names: Collection[str]) -> None:
        """Drop the names of these faces, those of the photos that they are on as a whole, every other mention of these
        names, and what was read of contents that are gone.
        """
        if not self._is_made():
            return
        by_photo: dict[str, list[FaceKey]] = {}
        for key in keys:
            by_photo.setdefault(key.sha256, []).append(key)
        wanted = {folded(name) for name in names}
        with self._catalog.batch():
            for rowid, sha256, *row in self._catalog.run("SELECT rowid, sha256, name, x0, y0, x1, y1 FROM named"):
                said = _name(*row)
                if folded(said.name) in wanted or (sha256 in by_photo and not kept((said,), by_photo[sha256])):
                    self._catalog.run("DELETE FROM named WHERE rowid = ?", (rowid,))
            for table in ("named", "named_source"):
                self._catalog.run(f"DELETE FROM {table} WHERE sha256 NOT IN ({PRESENT})")


def _name(name: str, x0: float | None, y0: float, x1: float, y1: float) -> PhotoName:
    return PhotoName(name, None if x0 is None else (x0, y0, x1, y1))


def kept(names: Iterable[PhotoName], forgotten: Sequence[FaceKey]) -> tuple[PhotoName, ...]:
    """The names of a photo without those of forgotten faces on it; a name without a place could be theirs."""
    if not forgotten:
        return tuple(names)
    if any(key.is_whole for key in forgotten):
        return ()
    return tuple(
        said for said in names if said.box is not None and not any(agreement(said.box, key.box) for key in forgotten)
    )
