"""What a vault is scanned with."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from twinloop import __version__
from twinloop.domain.choices import BUILT_IN
from twinloop.domain.model_roles import pack_and_folder
from twinloop.domain.scanned import ListedFile
from twinloop.ports import NeighbourSearch, ScanJob, Scanner
from twinloop.stages import pixels
from twinloop.stages.vault.measure import VERSION as SCAN_VERSION
from twinloop.stages.vault.measure import PhotoMeasurer
from twinloop.stages.vault.opened import ScanRecord
from twinloop.stages.vault.scan import ScanPlan
from twinloop.store.vault.folder import Vault
from twinloop.wiring.detectors import build_pack, models_report
from twinloop.wiring.extras import with_extra
from twinloop.wiring.names import nano_detectors_path
from twinloop.wiring.workers import MIN_FACE, MODELS, worker_count

_MOST_WORKERS = 16
_DETECTORS = 5
"""Raised with the version in any detector's own fingerprint."""


def build_neighbour_search() -> NeighbourSearch:
    """The approximate index for very many faces.

    Raises:
        MissingExtra: its library is not installed.
    """

    def load() -> NeighbourSearch:
        from twinloop.adapters.neighbours.inverted_lists import InvertedLists

        return InvertedLists()

    return with_extra("Telling people apart among more than 100,000 faces", "large", load)


@contextmanager
def build_scanner(models_dir: str, min_face: int, workers: int, timeout: float, memory: int) -> Iterator[Scanner]:
    """What looks at the files of a vault. Its models are opened when it is entered, in the processes that use them;
    leaving it ends those.

    Args:
        min_face: pixels. workers: processes; 0 = in this one, without protection. timeout: seconds a file. memory:
            megabytes a worker.

    Raises (on entering): as `build_pack`. StateError: no worker can start.
    """
    from twinloop.adapters.scanning.scanners import HereScanner, WorkerScanner
    from twinloop.adapters.scanning.supervisor import Limits, Supervisor

    if workers == 0:
        yield HereScanner(_measurer(models_dir, min_face))
        return
    arguments, limits = {"models_dir": models_dir, "min_face": min_face}, Limits(timeout, memory)
    with Supervisor[ListedFile]("twinloop.wiring.scanning:scan_worker", arguments, workers, limits) as supervisor:
        yield WorkerScanner(supervisor)


def _measurer(models_dir: str, min_face: int) -> PhotoMeasurer:
    return PhotoMeasurer(build_pack(models_dir, scanning=True), min_face)


@dataclass(frozen=True, kw_only=True)
class ScanSettings:
    """How the photos of a scan are measured.

    None = as in the vault's last scan (the one that was interrupted, where one was), else the default.

    Attributes:
        min_face: pixels (40). workers: processes (one per core, 16 at most: each holds its own models).
        timeout: seconds a file. memory: megabytes that one file may take.
    """

    models_dir: str | None = None
    min_face: int | None = None
    workers: int | None = None
    timeout: float
    memory: int


def scan_plan(
    vault: Vault,
    add: Sequence[Path],
    measured: ScanSettings,
    *,
    remove: Sequence[Path] = (),
    exclude: Sequence[str] = (),
    only_these: bool = False,
) -> ScanPlan:
    """What to scan into a vault, and with what.

    Args:
        add, remove: folders or files. exclude, only_these: as in `ScanPlan`.
    """
    record = ScanRecord.read(vault) if vault.scan_record.exists() else None
    known_models, known_least = ("", 0) if record is None else _last_made_with(record)
    asked = measured.models_dir
    models = known_models if known_models and not asked else _from_anywhere(asked or MODELS)
    least = measured.min_face or known_least or MIN_FACE
    count = worker_count(measured.workers, _MOST_WORKERS)
    timeout, memory = measured.timeout, measured.memory
    return ScanPlan(
        tuple(add), tuple(remove), models, least, scan_stamp(models, least), f"{timeout:g} s, {memory} MB",
        lambda: build_scanner(models, least, count, timeout, memory), exclude=tuple(exclude), only_these=only_these,
    )  # fmt: skip


def _last_made_with(record: ScanRecord) -> tuple[str, int]:
    """Models folder and smallest face of the scan that was interrupted, else of the last one."""
    return record.begun_models or record.models_dir, record.begun_min_face or record.min_face


def _from_anywhere(models_dir: str) -> str:
    """The same models folder for a later command, wherever that is started."""
    if models_dir in BUILT_IN:
        return models_dir
    _, folder = pack_and_folder(models_dir)
    return models_dir.removesuffix(folder) + os.path.abspath(folder)


def scan_worker(models_dir: str, min_face: int) -> tuple[bytes, ScanJob]:
    """What a worker of `build_scanner` calls to become ready."""
    from twinloop.adapters.scanning.scanners import scan_job

    return scan_job(_measurer(models_dir, min_face))


def scan_stamp(models_dir: str, min_face: int) -> str:
    """Changes whenever the fingerprint of a scan could; made without opening a model, from names, sizes and times of
    the model files.
    """
    report = models_report(models_dir)
    files = sorted(nano_detectors_path().glob("*.onnx")) if report is None else [model.path for model in report.found]
    seen = [(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in files]
    text = repr((SCAN_VERSION, pixels.VERSION, _DETECTORS, __version__, min_face, models_dir, seen))
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()[:16]
