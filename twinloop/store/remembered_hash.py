"""Hashes of files so large that they are not read twice for it."""

from __future__ import annotations

import contextlib
import hashlib
from pathlib import Path

from twinloop.errors import StorageError
from twinloop.store.atomic import read_object, sha256_file, write_json
from twinloop.store.user_cache import user_cache

_read: dict[Path, tuple[dict[str, int], str]] = {}
"""What this process read itself: there may be no cache that can be written to."""


def remembered_sha256(path: Path) -> str:
    """sha256 of a file, hex: from the last time, unless its size or the time of its last change are others now."""
    now = path.stat()
    seen = {"size": now.st_size, "changed_ns": now.st_mtime_ns}
    own = _read.get(path.resolve())
    if own is not None and own[0] == seen:
        return own[1]
    folder = user_cache()
    kept = None if folder is None else folder / "hashes" / f"{hashlib.sha256(_name(path)).hexdigest()}.json"
    if kept is not None:
        known = read_object(kept)
        digest = known.pop("sha256", None)
        if known == seen and isinstance(digest, str):
            return digest
    digest = sha256_file(path)
    _read[path.resolve()] = seen, digest
    if kept is not None:
        with contextlib.suppress(StorageError, OSError):  # without a cache it is read again, no more
            write_json(kept, {**seen, "sha256": digest})
    return digest


def _name(path: Path) -> bytes:
    return str(path.resolve()).encode("utf-8", "surrogateescape")
