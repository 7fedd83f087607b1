"""What a scan learns of one file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from twinloop.domain.vault import VaultPhoto


@dataclass(frozen=True)
class ListedFile:
    """A file as its folder lists it. ``size`` in bytes, ``mtime_ns`` and ``ctime_ns`` as `os.stat_result` has them.

    Programs set mtime at will, and copies keep it; ctime tells of one that took another's place.
    """

    path: Path
    size: int
    mtime_ns: int
    ctime_ns: int = 0


@dataclass(frozen=True, eq=False)
class ScannedFile:
    """One file after its bytes were looked at.

    Attributes:
        listed: with the stat that the file had just before it was read.
        sha256: of its bytes; None where they could not be read.
        photo: what was measured, without paths; None for content that was known already, and for what was skipped.
        thumbnail: a small JPEG without any metadata; empty without ``photo``.
        problem: why the file was skipped; "" when it was not.
        undecided: the ``problem`` is one of the process that read it (killed, or too slow), which the file need not be
            the cause of: the next scan tries it again.
    """

    listed: ListedFile
    sha256: str | None
    photo: VaultPhoto | None = None
    thumbnail: bytes = b""
    problem: str = ""
    undecided: bool = False
