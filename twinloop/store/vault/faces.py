"""Every face of the catalogue: in a few numbers each, or their embeddings as one array."""

from __future__ import annotations

import os
from dataclasses import dataclass

import numpy as np

from twinloop.domain.faces import Box, FloatArray
from twinloop.domain.vault import FaceKey
from twinloop.store.vault.catalog import VaultCatalog
from twinloop.store.vault.files import IS_PHOTO, PRESENT

_FACES = f"""
SELECT f.sha256, f.x0, f.y0, f.x1, f.y1, f.confidence, f.quality, f.number, p.width, p.height, h.path
FROM face f JOIN photo p ON p.sha256 = f.sha256 AND p.fingerprint = f.fingerprint
JOIN (SELECT sha256, min(path) AS path FROM file WHERE {IS_PHOTO} GROUP BY sha256) h ON h.sha256 = f.sha256
WHERE f.fingerprint = ? ORDER BY f.sha256, f.number
"""
_EMBEDDED = f"""
SELECT f.sha256, f.x0, f.y0, f.x1, f.y1, p.width, p.height
FROM face f JOIN photo p ON p.sha256 = f.sha256 AND p.fingerprint = f.fingerprint
WHERE f.fingerprint = ? AND f.embedding IS NOT NULL AND f.sha256 IN ({PRESENT})
"""


@dataclass(frozen=True, slots=True)
class FaceEntry:
    """One face.

    Attributes:
        box: in pixels of the photo. quality: 0..1. number: its place among the faces of the photo, from 0.
        width, height: of the photo. path: the first file with the photo.
    """

    key: FaceKey
    box: Box
    confidence: float
    quality: float
    number: int
    width: int
    height: int
    path: str


@dataclass(frozen=True, eq=False)
class FaceTable:
    """All faces with an embedding, as columns.

    Attributes:
        keys: n. embeddings: (n, D) float32 of unit norm. quality: (n,) 0..1.
    """

    keys: tuple[FaceKey, ...]
    embeddings: FloatArray
    quality: FloatArray

    def __len__(self) -> int:
        return len(self.keys)


def face_entries(catalog: VaultCatalog, fingerprint: str) -> list[FaceEntry]:
    """All faces of photos that are there, by content hash and number."""
    found = []
    for sha256, x0, y0, x1, y1, confidence, quality, number, width, height, path in catalog.run(_FACES, (fingerprint,)):
        box = Box(x0, y0, x1, y1)
        key = FaceKey.of(sha256, box, width, height)
        found.append(FaceEntry(key, box, confidence, quality, number, width, height, os.fsdecode(path)))
    return found


def embedded_faces(catalog: VaultCatalog, fingerprint: str) -> list[FaceKey]:
    """All faces with an embedding, of photos that are there; without reading the embeddings."""
    rows = catalog.run(_EMBEDDED, (fingerprint,))
    return [FaceKey.of(sha256, Box(*box), width, height) for sha256, *box, width, height in rows]


def count_embedded(catalog: VaultCatalog, fingerprint: str) -> int:
    """How many `embedded_faces` there are."""
    return int(
        catalog.value(
            f"SELECT count(*) FROM face WHERE fingerprint = ? AND embedding IS NOT NULL AND sha256 IN ({PRESENT})",
            (fingerprint,),
        )
    )


def face_table(catalog: VaultCatalog, fingerprint: str) -> FaceTable:
    """All faces with an embedding, of photos that are there, by content hash and number."""
    rows = catalog.run(
        "SELECT f.sha256, f.x0, f.y0, f.x1, f.y1, f.embedding, f.quality, p.width, p.height"
        " FROM face f JOIN photo p ON p.sha256 = f.sha256 AND p.fingerprint = f.fingerprint WHERE f.fingerprint = ?"
        f" AND f.embedding IS NOT NULL AND f.sha256 IN ({PRESENT}) ORDER BY f.sha256, f.number",
        (fingerprint,),
    )
    keys = tuple(FaceKey.of(row[0], Box(*row[1:5]), row[7], row[8]) for row in rows)
    vectors = [np.frombuffer(row[5], np.float32) for row in rows]
    return FaceTable(
        keys,
        np.stack(vectors) if vectors else np.zeros((0, 0), np.float32),
        np.array([row[6] for row in rows], np.float32),
    )
