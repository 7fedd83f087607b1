"""Deleting faces from the vault's catalogue so that nothing of them stays in the file."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from twinloop.domain.faces import Box
from twinloop.domain.vault import FaceKey
from twinloop.errors import StorageError
from twinloop.store.vault_catalog import VaultCatalog


def forget_faces(catalog: VaultCatalog, keys: Iterable[FaceKey]) -> int:
    """Delete these faces, whatever measured them, and the thumbnails that they are on; returns how many faces.

    Until `leave_nothing` their bytes may still lie in the write-ahead log.
    """
    wanted: dict[str, list[FaceKey]] = {}
    for key in keys:
        wanted.setdefault(key.sha256, []).append(key)
    catalog.run("PRAGMA secure_delete = ON")
    with catalog.batch():
        return sum(_forget_in(catalog, sha256, among) for sha256, among in wanted.items())


def leave_nothing(catalog: VaultCatalog) -> None:
    """Empty the write-ahead log, in which deleted rows live on; waits a few seconds for readers to end.

    Raises:
        StorageError: another program is still reading what was deleted.
    """
    busy, _, _ = catalog.run("PRAGMA wal_checkpoint(TRUNCATE)")[0]
    if busy:
        raise StorageError(
            f"Another program is reading {catalog.path}, so what was deleted still lies in {catalog.path}-wal. "
            "Close that program and run the same command again: it removes the rest."
        )


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
