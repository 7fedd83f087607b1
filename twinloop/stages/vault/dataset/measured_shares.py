"""Measured shares: the latest analysis of a folder that lies about, from a run's round or made for the page."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twinloop.errors import InputError, StateError
from twinloop.store.atomic import read_json
from twinloop.store.pictures.sidecar import PERSON


@dataclass(frozen=True)
class MeasuredShares:
    """An analysis as it was written. ``stale``: the folder was prepared anew since."""

    path: Path
    data: dict[str, Any]
    stale: bool


def measured_shares(folder: Path, written: Iterable[Path], home: Path) -> MeasuredShares | None:
    """The newest of the files (as `analysis_json` makes them) that is about ``folder``; None = there is none.

    Args:
        written: files that may be one; others are passed over. home: what relative paths in them are relative to.
    """
    there = [path for path in written if path.is_file()]
    for path in sorted(there, key=lambda path: (-path.stat().st_mtime_ns, path)):
        data = _analysis(path)
        if data and (home / str(data["dataset"])).resolve() == folder.resolve():
            record = folder / PERSON
            stale = record.is_file() and record.stat().st_mtime_ns > path.stat().st_mtime_ns
            return MeasuredShares(path, data, stale)
    return None


def _analysis(path: Path) -> dict[str, Any]:
    """{} for a file that is no analysis."""
    try:
        data = read_json(path)
    except (InputError, StateError):
        return {}
    return data if isinstance(data, dict) and "facets" in data and "dataset" in data else {}
