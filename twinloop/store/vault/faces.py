"""Every face of the catalogue, also those without an embedding, in a few numbers each."""

from __future__ import annotations

import os
from dataclasses import dataclass

from twinloop.domain.faces import Box
from twinloop.domain.vault import FaceKey
from twinloop.store.vault.catalog import VaultCatalog

_FACES = """
SELECT f.sha256, f.x0, f.y0, f.x1, f.y1, f.confidence, f.quality, f.number, p.width, p.height, h.path
FROM face f JOIN photo p ON p.sha256 = f.sha256 AND p.fingerprint = f.fingerprint
JOIN (SELECT sha256, min(path) AS path FROM file WHERE problem = '' GROUP BY sha256) h ON h.sha256 = f.sha256
WHERE f.fingerprint = ? ORDER BY f.sha256, f.number
"""
_EMBEDDED = """
SELECT f.sha256, f.x0, f.y0, f.x1, f.y1, p.width, p.height
FROM face f JOIN photo p ON p.sha256 = f.sha256 AND p.fingerprint = f.fingerprint
WHERE f.fingerprint = ? AND f.embedding IS NOT NULL AND f.sha256 IN (SELECT sha256 FROM file WHERE problem = '')
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
