"""Whether the memory of a scan stays flat, however many photos there are.

    python bench/scan_memory.py [--photos 100000] [--workers 2]

Makes that many different small JPEGs, then runs ``twinloop vault scan`` on them in a process of its own and reads the
resident memory of that process and of its workers from /proc. The detectors are simulated (``--models-dir fake``: they
read what the pictures carry); decoding, hashing, measuring, worker processes and catalogue are the real ones. Then the
same scan again, with nothing changed.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from PIL import Image

from twinloop.adapters.fakes import FakeTruth, fake_image
from twinloop.store.vault.catalog import VaultCatalog
from twinloop.store.vault.folder import Vault

LINES = 10
PER_FOLDER = 1000


def make_photos(folder: Path, count: int) -> None:
    """Different JPEGs of 96 pixels with a face each, a thousand in a folder."""
    for number in range(count):
        place = folder / f"{number // PER_FOLDER:04d}"
        if number % PER_FOLDER == 0:
            place.mkdir()
        Image.fromarray(fake_image(FakeTruth(person=number % 16), number, 96)).save(
            place / f"{number:06d}.jpg", quality=90
        )


def megabytes(pid: int) -> float:
    """Resident memory; 0 for a process that is gone."""
    try:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1024
    except OSError:
        pass
    return 0.0


def children(pid: int) -> list[int]:
    try:
        return [int(text) for text in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def watched(command: list[str], count: int, catalog: Path | None) -> tuple[float, float]:
    """Run the scan; print its memory now and then; returns the peaks of the process and of its largest worker in MB."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    peak = worker_peak = 0.0
    shown = 0
    while process.poll() is None:
        peak = max(peak, megabytes(process.pid))
        workers = [megabytes(child) for child in children(process.pid)]
        worker_peak = max([worker_peak, *workers])
        done = photos_in(catalog)
        if done >= (shown + 1) * count // LINES:
            shown = done * LINES // count
            print(
                f"{done:>8} photos   this process {megabytes(process.pid):6.1f} MB   workers"
                f" {' '.join(f'{value:6.1f}' for value in workers)} MB",
                flush=True,
            )
        time.sleep(0.2)
    if process.returncode != 0:
        raise SystemExit(f"the scan failed with exit code {process.returncode}")
    return peak, worker_peak


def photos_in(catalog: Path | None) -> int:
    if catalog is None or not catalog.exists():
        return 0
    import sqlite3

    try:
        with sqlite3.connect(f"file:{catalog}?mode=ro", uri=True) as db:
            return int(db.execute("SELECT count(*) FROM file").fetchone()[0])
    except sqlite3.Error:
        return 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=int, default=100_000)
    parser.add_argument("--workers", type=int, default=2)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        photos, vault = Path(home) / "photos", Vault(Path(home) / "vault")
        photos.mkdir()
        began = time.perf_counter()
        make_photos(photos, args.photos)
        print(f"{args.photos} JPEGs made in {time.perf_counter() - began:.0f} s")
        command = [
            sys.executable,
            "-m",
            "twinloop",
            "vault",
            "scan",
            str(photos),
            "--vault",
            str(vault.root),
            "--models-dir",
            "fake",
            "--min-face",
            "20",
        ]
        began = time.perf_counter()
        peak, worker = watched([*command, "--workers", str(args.workers)], args.photos, vault.catalog)
        seconds = time.perf_counter() - began
        print(
            f"first scan: {seconds:.0f} s, {args.photos / seconds:.0f} photos a second; peak {peak:.1f} MB, of a worker"
            f" {worker:.1f} MB"
        )
        began = time.perf_counter()
        peak, _ = watched(command, args.photos, None)
        print(f"nothing changed: {time.perf_counter() - began:.1f} s, peak {peak:.1f} MB")
        with VaultCatalog(vault.catalog) as catalog:
            count = catalog.run("SELECT count(*) FROM photo")[0][0]
        print(f"{count} photos in a catalogue of {vault.catalog.stat().st_size / 2**20:.0f} MB")


if __name__ == "__main__":
    main()
