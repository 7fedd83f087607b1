"""The catalogue: what was observed, in SQLite. A cache: delete it and only time is lost."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterable, Mapping, Set
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from twinloop.domain.captions import Description
from twinloop.domain.faces import Box, Face, HandShape, HeadPose, Part
from twinloop.domain.observation import Observation
from twinloop.store.private_db import Kind, PrivateDb, path_key

_SCHEMA = """
CREATE TABLE IF NOT EXISTS observation (
    sha256 TEXT NOT NULL, fingerprint TEXT NOT NULL, data TEXT NOT NULL, PRIMARY KEY (sha256, fingerprint)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS description (
    sha256 TEXT NOT NULL, fingerprint TEXT NOT NULL, data TEXT NOT NULL, PRIMARY KEY (sha256, fingerprint)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS file (
    path TEXT PRIMARY KEY, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, sha256 TEXT NOT NULL, origin TEXT NOT NULL,
    ctime_ns INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
"""
_KIND = Kind(
    "catalogue of what was observed", b"TLrc", frozenset({"observation", "description", "file"}),
    needed=frozenset({"observation"}), versions=range(2),
)  # fmt: skip
_ORIGINS = 1
"""Version of the rules by which a file is told to be made by a model (`twinloop.store.pictures.provenance`)."""


class Catalog(PrivateDb):
    """Observations by content hash and model fingerprint; file stats by path, so that an unchanged file is not read
    again.

    Faces are biometric data: the file is readable by its owner only.

    Args:
        path: database file, or None for memory only.
        reading: nothing is changed or made; where there is no file, nothing is known.

    Raises:
        StorageError: the file cannot be created or is no database. StateError: it is another one.
    """

    def __init__(self, path: Path | None, *, reading: bool = False) -> None:
        super().__init__(path, _KIND, partial(_prepare, reading=reading), reading)

    def known_file(self, path: Path, stat: os.stat_result) -> tuple[str, str] | None:
        """(sha256, origin) of a file that still has this ``stat``, or None when it must be read."""
        rows = self.run(
            "SELECT sha256, origin FROM file WHERE path = ? AND size = ? AND mtime_ns = ? AND ctime_ns = ?",
            (_key(path), *_stat(stat)),
            "read",
        )
        return rows[0] if rows else None

    def remember_file(self, path: Path, stat: os.stat_result, sha256: str, origin: str) -> None:
        """Note what a file holds.

        ``stat`` was taken before it was read: if it changed meanwhile, it is read again next time.
        """
        self.run(
            "INSERT OR REPLACE INTO file (path, size, mtime_ns, ctime_ns, sha256, origin) VALUES (?, ?, ?, ?, ?, ?)",
            (_key(path), *_stat(stat), sha256, origin),
            "write",
        )

    def get(self, sha256: str, fingerprint: str) -> Observation | None:
        data = self._data("observation", sha256, fingerprint)
        return observation_from_json(data) if data is not None else None

    def put(self, seen: Observation) -> None:
        self._put("observation", seen.sha256, seen.fingerprint, observation_to_json(seen))

    def described(self, sha256: str, fingerprint: str) -> Description | None:
        """What a captioner of that fingerprint said of this content."""
        data = self._data("description", sha256, fingerprint)
        return Description.from_json(data) if data is not None else None

    def put_described(self, sha256: str, fingerprint: str, said: Description) -> None:
        self._put("description", sha256, fingerprint, said.to_json())

    def _data(self, table: str, sha256: str, fingerprint: str) -> dict[str, Any] | None:
        text = self.value(
            f"SELECT data FROM {table} WHERE sha256 = ? AND fingerprint = ?", (sha256, fingerprint), "read"
        )
        data: dict[str, Any] | None = None if text is None else json.loads(text)
        return data

    def _put(self, table: str, sha256: str, fingerprint: str, data: Mapping[str, Any]) -> None:
        self.run(f"INSERT OR REPLACE INTO {table} VALUES (?, ?, ?)", (sha256, fingerprint, json.dumps(data)), "write")

    def contents_below(self, folders: Iterable[Path]) -> set[str]:
        """sha256 of every file at or below one of these paths, as it was when it was last read."""
        roots = [_key(folder) for folder in folders]
        return {
            sha256
            for path, sha256 in self.run("SELECT path, sha256 FROM file", verb="read")
            if any(path == root or path.startswith(f"{root.rstrip('/')}/") for root in roots)
        }

    def observed(self, contents: Set[str]) -> Set[str]:
        """Those of these contents that something is known of."""
        return contents & {sha256 for (sha256,) in self.run("SELECT DISTINCT sha256 FROM observation", verb="read")}

    def forget(self, contents: Iterable[str]) -> None:
        """Delete for good what is known of these contents, and of any that no file has any more: of a picture that was
        deleted or changed nobody can say whom it showed.

        Raises:
            StorageError: the file cannot be written, or another program reads what is to go.
        """
        missing = [row for row in self.run("SELECT path FROM file", verb="read") if not os.path.lexists(row[0])]
        with self.batch("write", at_once=True):
            self.run_many("DELETE FROM file WHERE path = ?", missing, "write")
            self.run("CREATE TEMP TABLE gone (sha256 TEXT PRIMARY KEY) WITHOUT ROWID", verb="write")
            self.run_many("INSERT OR IGNORE INTO gone VALUES (?)", ((sha256,) for sha256 in contents), "write")
            self.run("DELETE FROM file WHERE sha256 IN (SELECT sha256 FROM gone)", verb="write")
            for table in ("observation", "description"):
                self.run(f"DELETE FROM {table} WHERE sha256 NOT IN (SELECT sha256 FROM file)", verb="write")
            self.run("DROP TABLE gone", verb="write")
        self.leave_nothing("write")


def _prepare(database: sqlite3.Connection, reading: bool) -> None:
    if reading and database.execute("SELECT 1 FROM sqlite_master").fetchone():
        return
    database.executescript(_SCHEMA)
    _add_ctime(database)
    _doubt_old_origins(database)


def _add_ctime(database: sqlite3.Connection) -> None:
    """Where a file was noted without it, it is read again: what was seen of its content is kept."""
    if _has_ctime(database):
        return
    database.execute("BEGIN IMMEDIATE")
    if not _has_ctime(database):  # another process may have been faster
        database.execute("ALTER TABLE file ADD COLUMN ctime_ns INTEGER NOT NULL DEFAULT 0")
    database.execute("COMMIT")


def _has_ctime(database: sqlite3.Connection) -> bool:
    return any(row[1] == "ctime_ns" for row in database.execute("PRAGMA table_info(file)"))


def _doubt_old_origins(database: sqlite3.Connection) -> None:
    """Files whose origin was told by other rules are read again when they are next asked for."""
    if database.execute("PRAGMA user_version").fetchone()[0] != _ORIGINS:
        database.execute("UPDATE file SET mtime_ns = -1")
        database.execute(f"PRAGMA user_version = {_ORIGINS}")


def _stat(stat: os.stat_result) -> tuple[int, int, int]:
    """What of a file's stat tells that it was written to, or that another took its place."""
    return stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns


def _key(path: Path) -> str:
    return path_key(path).decode("utf-8", "backslashreplace")


def observation_to_json(seen: Observation) -> dict[str, Any]:
    """All raw numbers, embeddings included: the catalogue's own form, not the exchange form."""
    return {
        "sha256": seen.sha256, "size": [seen.width, seen.height], "origin": seen.origin, "phash": seen.phash,
        "fingerprint": seen.fingerprint, "measured": sorted(seen.measured), "measures": dict(seen.measures),
        "faces": [_face_to_json(face) for face in seen.faces],
        "parts": [_part_to_json(part) for part in seen.parts], "forms": seen.forms,
    }  # fmt: skip


def observation_from_json(data: Mapping[str, Any]) -> Observation:
    return Observation(
        sha256=data["sha256"],
        width=data["size"][0],
        height=data["size"][1],
        origin=data["origin"],
        phash=data["phash"],
        fingerprint=data["fingerprint"],
        measured=frozenset(data["measured"]),
        measures=data["measures"],
        faces=tuple(_face_from_json(face) for face in data["faces"]),
        parts=tuple(_part_from_json(part) for part in data["parts"]),
        forms=data["forms"],
    )


def _raw(box: Box) -> list[float]:
    return [float(box.x0), float(box.y0), float(box.x1), float(box.y1)]


def _part_to_json(part: Part) -> dict[str, Any]:
    data: dict[str, Any] = {"kind": part.kind, "box": _raw(part.box), "confidence": part.confidence}
    if part.box_only:
        data["box_only"] = True
    if (shape := part.shape) is not None:
        data["landmarks"] = np.asarray(shape.landmarks, np.float32).tolist()
        data["looks"] = [float(shape.handedness), float(shape.presence), float(shape.spread)]
    return data


def _part_from_json(data: Mapping[str, Any]) -> Part:
    shape = HandShape(np.asarray(data["landmarks"], np.float32), *data["looks"]) if "landmarks" in data else None
    return Part(data["kind"], Box(*data["box"]), data["confidence"], shape, data.get("box_only", False))


def _face_to_json(face: Face) -> dict[str, Any]:
    return {
        "box": _raw(face.box), "confidence": float(face.confidence),
        "landmarks": None if face.landmarks is None else np.asarray(face.landmarks, np.float32).tolist(),
        "pose": None if face.pose is None else [float(face.pose.yaw), float(face.pose.pitch), float(face.pose.roll)],
        "embedding": None if face.embedding is None else np.asarray(face.embedding, np.float32).tobytes().hex(),
    }  # fmt: skip


def _face_from_json(data: Mapping[str, Any]) -> Face:
    embedding = data["embedding"]
    return Face(
        box=Box(*data["box"]), confidence=data["confidence"],
        landmarks=None if data["landmarks"] is None else np.asarray(data["landmarks"], np.float32),
        pose=None if data["pose"] is None else HeadPose(*data["pose"]),
        embedding=None if embedding is None else np.frombuffer(bytes.fromhex(embedding), np.float32),
    )  # fmt: skip
