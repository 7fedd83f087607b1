"""Deleting faces from the vault's catalogue so that nothing of them stays in the file."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from twinloop.domain.faces import Box
from twinloop.domain.vault import FaceKey
from twinloop.store.vault.catalog import VaultCatalog
from twinloop.store.vault.files import PRESENT

_UNSEEN = f"fingerprint <> ? OR sha256 NOT IN ({PRESENT})"


def forget_faces(catalog: VaultCatalog, keys: Iterable[FaceKey]) -> int:
    """Delete these faces, whatever measured them, and the thumbnails that they are on; returns how many faces.

    Until `VaultCatalog.leave_nothing` their bytes may still lie in the write-ahead log.
    """
    wanted: dict[str, list[FaceKey]] = {}
    for key in keys:
        wanted.setdefault(key.sha256, []).append(key)
    with catalog.batch():
        return sum(_forget_in(catalog, sha256, among) for sha256, among in wanted.items())


def forget_unseen(catalog: VaultCatalog, fingerprint: str) -> int:
    """Delete what nobody can be told by any more, whoever it shows: rows of contents that no file has (deleted,
    edited), and what other models than those of ``fingerprint`` measured; returns how many faces.
    """
    with catalog.batch():
        faces = unseen_faces(catalog, fingerprint)
        for table in ("face", "photo"):
            catalog.run(f"DELETE FROM {table} WHERE {_UNSEEN}", (fingerprint,))
    return faces


def unseen_faces(catalog: VaultCatalog, fingerprint: str) -> int:
    """How many faces `forget_unseen` would delete."""
    return int(catalog.value(f"SELECT count(*) FROM face WHERE {_UNSEEN}", (fingerprint,)))


def all_contents(catalog: VaultCatalog) -> frozenset[str]:
    """sha256 of everything that the catalogue knows anything of; of another version of this program, too."""
    rows = catalog.run("SELECT sha256 FROM photo UNION SELECT sha256 FROM file WHERE sha256 IS NOT NULL")
    return frozenset(sha256 for (sha256,) in rows)


def _forget_in(catalog: VaultCatalog, sha256: str, keys: Sequence[FaceKey]) -> int:
    rows = catalog.run(
        "SELECT f.rowid, f.x0, f.y0, f.x1, f.y1, p.width, p.height FROM face f JOIN photo p ON p.sha256 = f.sha256 AND"
        " p.fingerprint = f.fingerprint WHERE f.sha256 = ?",
        (sha256,),
    )
    gone = [row[0] for row in rows if any(key.same(FaceKey.of(sha256, Box(*row[1:5]), row[5], row[6])) for key in keys)]
    for number in gone:
        catalog.run("DELETE FROM face WHERE rowid = ?", (number,))
    catalog.run("UPDATE photo SET thumbnail = NULL WHERE sha256 = ?", (sha256,))
    return len(gone)
