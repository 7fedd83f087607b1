"""Every photo of the catalogue in a few numbers, for work that looks at all photos at once."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from twinloop.store.vault.catalog import VaultCatalog

_SUMMARIES = """
SELECT p.sha256, min(h.path), h.size, p.width, p.height, p.phash, p.taken, p.origin, f.measures, f.confidence
FROM photo p JOIN file h ON h.sha256 = p.sha256
LEFT JOIN face f ON f.sha256 = p.sha256 AND f.fingerprint = p.fingerprint AND f.number = 0
WHERE p.fingerprint = ? GROUP BY p.sha256 ORDER BY p.sha256
"""


@dataclass(frozen=True, slots=True)
class PhotoSummary:
    """A photo in a few numbers.

    Attributes:
        path: the first of its files. size: bytes. taken: as in `VaultPhoto`. face: measures of its first face; {}
            without one. confidence: the detector's in that face; 0.0 without one.
    """

    sha256: str
    path: str
    size: int
    width: int
    height: int
    phash: int
    taken: float | None
    origin: str
    face: Mapping[str, float]
    confidence: float = 0.0


def summaries(catalog: VaultCatalog, fingerprint: str) -> Iterator[PhotoSummary]:
    """Photos of which at least one file is there, by content hash, without reading each one's faces."""
    for row in catalog.each(_SUMMARIES, (fingerprint,)):
        sha256, path, size, width, height, phash, taken, origin, measures, confidence = row
        known: Mapping[str, float] = json.loads(measures) if measures else {}
        yield PhotoSummary(
            sha256, os.fsdecode(path), size, width, height, int(phash, 16), taken, origin, known,
            confidence or 0.0,
        )  # fmt: skip


def paths_of_copies(catalog: VaultCatalog) -> dict[str, list[str]]:
    """Paths by content hash, of contents that several files have; sorted."""
    rows = catalog.run(
        "SELECT sha256, path FROM file WHERE sha256 IN (SELECT sha256 FROM file WHERE sha256 IS NOT NULL GROUP BY"
        " sha256 HAVING count(*) > 1) ORDER BY sha256, path"
    )
    found: dict[str, list[str]] = {}
    for sha256, path in rows:
        found.setdefault(sha256, []).append(os.fsdecode(path))
    return found
