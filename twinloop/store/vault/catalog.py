"""The vault's catalogue: photos and faces as measured, and the table of files, in SQLite.

A cache: delete it and only time is lost.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from twinloop.domain.faces import Box, Face, FloatArray, HeadPose
from twinloop.domain.vault import VaultFace, VaultPhoto
from twinloop.errors import StorageError
from twinloop.store.private_db import Kind, PrivateDb
from twinloop.store.vault.files import IS_PHOTO, PRESENT, VaultFiles
from twinloop.store.vault.folder import Vault

VERSION = 3
_TABLES = """
CREATE TABLE file (
    path BLOB PRIMARY KEY, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, sha256 TEXT,
    problem TEXT NOT NULL DEFAULT '', tried TEXT NOT NULL DEFAULT '', ctime_ns INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE INDEX file_by_content ON file (sha256);
CREATE TABLE photo (
    sha256 TEXT NOT NULL, fingerprint TEXT NOT NULL, width INTEGER NOT NULL, height INTEGER NOT NULL,
    phash TEXT NOT NULL, taken REAL, origin TEXT NOT NULL, measures TEXT NOT NULL, thumbnail BLOB,
    PRIMARY KEY (sha256, fingerprint)
);
CREATE TABLE face (
    sha256 TEXT NOT NULL, fingerprint TEXT NOT NULL, number INTEGER NOT NULL, x0 REAL, y0 REAL, x1 REAL, y1 REAL,
    confidence REAL NOT NULL, landmarks BLOB, yaw REAL, pitch REAL, roll REAL, embedding BLOB,
    quality REAL NOT NULL, measures TEXT NOT NULL, PRIMARY KEY (sha256, fingerprint, number)
);
"""
_KIND = Kind(
    "catalogue of a vault", b"TLvc", frozenset({"file", "photo", "face", "named", "named_source"}),
    needed=frozenset({"file", "photo", "face"}), versions=range(1, 4),
)  # fmt: skip


class OtherVersion(StorageError):
    """The catalogue was made by another version of this program; a scan makes it anew."""


class VaultCatalog(PrivateDb):
    """Photos by content hash and fingerprint of what measured them; files by path, so that an unchanged one is only
    stat-ed.

    Faces are biometric data: the file is readable by its owner only.

    Attributes:
        files: its table of files.

    Args:
        path: database file, or None for memory only.
        reading: nothing is changed or made; where there is no file, nothing is known.
        any_version: one of another version of this program is read as it is, else made anew: for who holds the vault's
            lock.

    Raises:
        StorageError: the file cannot be created or is no database. OtherVersion: of this program made it. StateError:
            it is another database.
    """

    def __init__(self, path: Path | None, *, reading: bool = False, any_version: bool = False) -> None:
        super().__init__(path, _KIND, partial(_prepare, path=path, reading=reading, any_version=any_version), reading)
        self.files = VaultFiles(self)

    def has(self, sha256: str, fingerprint: str) -> bool:
        return bool(self.run("SELECT 1 FROM photo WHERE sha256 = ? AND fingerprint = ?", (sha256, fingerprint)))

    def put_photo(self, photo: VaultPhoto, fingerprint: str, thumbnail: bytes) -> None:
        """What was measured of one content; ``photo.paths`` is not stored here.

        Thumbnail: a small JPEG, or b"" for none.
        """
        values = (
            photo.sha256,
            fingerprint,
            photo.width,
            photo.height,
            photo.phash,
            photo.taken,
            photo.origin,
            json.dumps(dict(photo.measures)),
            thumbnail or None,
        )
        self.run("INSERT OR REPLACE INTO photo VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", values)
        self.run("DELETE FROM face WHERE sha256 = ? AND fingerprint = ?", (photo.sha256, fingerprint))
        for number, face in enumerate(photo.faces):
            self.run(
                f"INSERT INTO face VALUES ({', '.join('?' * 15)})",
                (photo.sha256, fingerprint, number, *_face_row(face)),
            )

    def photos(self, fingerprint: str, only: Sequence[str] | None = None) -> Iterator[VaultPhoto]:
        """Photos of which at least one file is there, by content hash; ``only``: these hashes.

        Streams: memory stays flat.
        """
        wanted = self._hashes(fingerprint) if only is None else only
        for sha256 in wanted:
            photo = self.photo(sha256, fingerprint)
            if photo is not None:
                yield photo

    def photo(self, sha256: str, fingerprint: str) -> VaultPhoto | None:
        """One photo, or None when it is not known or no file holds it any more."""
        found = self.measured(sha256, fingerprint)
        return found if found is not None and found.paths else None

    def measured(self, sha256: str, fingerprint: str) -> VaultPhoto | None:
        """What is known of a content, also where no file holds it any more: then without paths."""
        rows = self.run(
            "SELECT width, height, phash, taken, origin, measures FROM photo WHERE sha256 = ? AND fingerprint = ?",
            (sha256, fingerprint),
        )
        paths = [
            os.fsdecode(row[0])
            for row in self.run(f"SELECT path FROM file WHERE sha256 = ? AND {IS_PHOTO} ORDER BY path", (sha256,))
        ]
        if not rows:
            return None
        width, height, phash, taken, origin, measures = rows[0]
        faces = self.run(
            "SELECT * FROM face WHERE sha256 = ? AND fingerprint = ? ORDER BY number", (sha256, fingerprint)
        )
        return VaultPhoto(
            sha256,
            tuple(paths),
            width,
            height,
            phash,
            taken,
            origin,
            json.loads(measures),
            tuple(_face(row[3:]) for row in faces),
        )

    def _hashes(self, fingerprint: str) -> list[str]:
        rows = self.run(
            f"SELECT sha256 FROM photo WHERE fingerprint = ? AND sha256 IN ({PRESENT}) ORDER BY sha256",
            (fingerprint,),
        )
        return [row[0] for row in rows]

    def thumbnail(self, sha256: str) -> bytes | None:
        """The small JPEG of a photo, upright."""
        found = self.value("SELECT thumbnail FROM photo WHERE sha256 = ? AND thumbnail IS NOT NULL LIMIT 1", (sha256,))
        return None if found is None else bytes(found)


def _prepare(database: sqlite3.Connection, path: Path | None, reading: bool, any_version: bool) -> None:
    """Have the tables of this version, where those of another one are not to be read as they are."""
    if _is_current(database):
        return
    if _tables(database):
        if not any_version:
            command = Vault(path.parent).command("scan") if path is not None else "twinloop vault scan"
            raise OtherVersion(f"{path} was made by another version of this program. Bring it up to date: {command}")
        if reading:
            return
    _make_tables(database)


def _is_current(database: sqlite3.Connection) -> bool:
    return bool(database.execute("PRAGMA user_version").fetchone()[0] == VERSION)


def _tables(database: sqlite3.Connection) -> list[str]:
    return [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]


def _make_tables(database: sqlite3.Connection) -> None:
    """Of another version of this program nothing is migrated: a cache is made anew."""
    database.execute("BEGIN IMMEDIATE")
    if not _is_current(database):  # another process may have been faster
        for name in _KIND.tables:
            database.execute(f"DROP TABLE IF EXISTS {name}")
        for statement in _TABLES.split(";"):
            database.execute(statement)
        database.execute(f"PRAGMA user_version = {VERSION}")
    database.execute("COMMIT")


def _face_row(found: VaultFace) -> tuple[Any, ...]:
    face, box, pose = found.face, found.face.box, found.face.pose
    angles = (None, None, None) if pose is None else (float(pose.yaw), float(pose.pitch), float(pose.roll))
    return (
        float(box.x0),
        float(box.y0),
        float(box.x1),
        float(box.y1),
        float(face.confidence),
        _blob(face.landmarks),
        *angles,
        _blob(face.embedding),
        float(found.quality),
        json.dumps(dict(found.measures)),
    )


def _blob(values: FloatArray | None) -> bytes | None:
    return None if values is None else np.ascontiguousarray(values, np.float32).tobytes()


def _face(row: Sequence[Any]) -> VaultFace:
    x0, y0, x1, y1, confidence, landmarks, yaw, pitch, roll, embedding, quality, measures = row
    face = Face(
        Box(x0, y0, x1, y1), confidence,
        None if landmarks is None else np.frombuffer(landmarks, np.float32).reshape(-1, 2),
        None if yaw is None else HeadPose(yaw, pitch, roll),
        None if embedding is None else np.frombuffer(embedding, np.float32),
    )  # fmt: skip
    known: Mapping[str, float] = json.loads(measures)
    return VaultFace(face, quality, known)
