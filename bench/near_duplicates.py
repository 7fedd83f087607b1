"""Near-duplicate search beside imagededup's (PHash, 10 bits): the same groups? at what processor time?

    python3 -m venv /tmp/dedup_venv
    /tmp/dedup_venv/bin/pip install numpy scipy pillow opencv-python-headless matplotlib tqdm scikit-learn imagehash
    /tmp/dedup_venv/bin/pip install --no-deps imagededup PyWavelets
    OMP_NUM_THREADS=1 python bench/near_duplicates.py FIXTURES /tmp/dedup_venv/bin/python

imagededup requires torch and torchvision for its CNN method, which is not compared: without them its CNN modules are
stood in for by empty ones (bench/peers/imagededup_phash.py); with them (pip install imagededup) it runs as it is. Both
sides are one process on one core, figures are processor time. Ours is everything `twinloop vault scan` (without
detectors) and `twinloop vault dedup` do: content hash, perceptual hash, blur, brightness, thumbnail, catalogue, search,
verification on the thumbnails, groups.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from big_jpegs import megabytes, write_corpus

from twinloop.domain.scanned import ListedFile
from twinloop.ports import SilentReporter
from twinloop.stages.vault.copies.dedup import DedupOptions, dedup
from twinloop.stages.vault.copies.hash_search import pairs_within
from twinloop.stages.vault.measure import PhotoMeasurer
from twinloop.stages.vault.opened import OpenVault, ScanRecord
from twinloop.store.vault.catalog import VaultCatalog
from twinloop.store.vault.decisions import DecisionLog
from twinloop.store.vault.files import FileEntry
from twinloop.store.vault.folder import Vault

PEER = Path(__file__).parent / "peers" / "imagededup_phash.py"
ORIGINALS = 15
ROUNDS = 3
Pairs = set[tuple[str, str]]


@dataclass(frozen=True)
class Run:
    """Processor seconds of reading and of searching, and the pairs (file names) that are in one group."""

    read: float
    search: float
    pairs: Pairs

    @property
    def total(self) -> float:
        return self.read + self.search


def ours(folder: Path) -> Run:
    """Scan and dedup in a new vault."""
    measurer = PhotoMeasurer()
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    measurer.scan(ListedFile(files[0], 0, 0))  # what is loaded at first use does not count
    with tempfile.TemporaryDirectory() as home, VaultCatalog(Path(home) / "catalog.sqlite") as catalog:
        began = time.process_time()
        with catalog.batch():
            for path in files:
                seen = measurer.scan(
                    ListedFile(path, 0, 0), lambda sha256: not catalog.has(sha256, measurer.fingerprint)
                )
                catalog.files.put(FileEntry(path, seen.listed.size, seen.listed.mtime_ns, seen.sha256, seen.problem))
                if seen.photo is not None:
                    catalog.put_photo(seen.photo, measurer.fingerprint, seen.thumbnail)
        read = time.process_time()
        vault = Vault(Path(home))
        record = ScanRecord(folders=(str(folder),), models_dir="", fingerprint=measurer.fingerprint)
        opened = OpenVault(vault, catalog, DecisionLog(vault.decisions), record)
        found = dedup(opened, DedupOptions(), SilentReporter())
        done = time.process_time()
    groups = [
        sorted({str(Path(file.path).relative_to(folder.resolve())) for file in group.files}) for group in found.groups
    ]
    return Run(read - began, done - read, {pair for group in groups for pair in combinations(group, 2)})


def theirs(folder: Path, python: str) -> tuple[Run, str]:
    """imagededup over the same folder, and its version."""
    done = subprocess.run([python, str(PEER), str(folder)], capture_output=True, text=True, check=True)
    data: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    pairs = {(min(a, b), max(a, b)) for a, others in data["duplicates"].items() for b in others}
    return Run(data["encode_s"], data["search_s"], pairs), data["version"]


def agreement(name: str, mine: Pairs, other: Pairs) -> None:
    print(
        f"  {name}: {len(mine & other)} pairs found by both, {len(mine - other)} by us alone, {len(other - mine)} by"
        " imagededup alone"
    )


def listed(text: str, pairs: Pairs) -> None:
    for one, other in sorted(pairs):
        print(f"    {text}: {one} = {other}")


def fixtures_part(fixtures: Path, python: str) -> None:
    print("imagededup's own test pictures")
    mine, (other, _) = ours(fixtures / "images" / "imagededup"), theirs(fixtures / "images" / "imagededup", python)
    agreement("all", mine.pairs, other.pairs)
    listed("ours alone", mine.pairs - other.pairs)
    listed("imagededup alone", other.pairs - mine.pairs)
    print("photos of different people and moments (hardly any duplicates)")
    for name in ("lfw", "caltech_faces_easy"):
        mine, (other, _) = ours(fixtures / "photos" / name), theirs(fixtures / "photos" / name, python)
        agreement(name, mine.pairs, other.pairs)
        listed("ours", mine.pairs)


def speed_part(folder: Path, python: str) -> None:
    files = sorted(folder.glob("*.jpg"))
    runs = [(ours(folder), theirs(folder, python)) for _ in range(ROUNDS)]
    mine, (other, version) = (
        min((run for run, _ in runs), key=lambda run: run.total),
        min((run for _, run in runs), key=lambda run: run[0].total),
    )
    copies = sum(path.name.startswith("copy") for path in files)
    print(
        f"{len(files)} JPEGs of 12 megapixels ({megabytes(files)}), {copies} of them copies of the same bytes; best of"
        f" {ROUNDS}"
    )
    print(f"  {'':28} {'twinloop':>10} {'imagededup ' + version:>24} {'ratio':>8}")
    rows = (
        ("ms per file, all of it", 1e3 * mine.total / len(files), 1e3 * other.total / len(files)),
        ("ms per file that is decoded", 1e3 * mine.total / (len(files) - copies), 1e3 * other.total / len(files)),
        ("s of search in all", mine.search, other.search),
    )
    for text, one, two in rows:
        print(f"  {text:28} {one:10.3f} {two:24.3f} {two / one:7.1f}x")
    agreement("groups", mine.pairs, other.pairs)


def search_part() -> None:
    print("pairs within 10 bits among random hashes, one core")
    for count in (10_000, 100_000, 200_000):
        hashes = np.random.default_rng(0).integers(0, 2**63, count, dtype=np.uint64) * np.uint64(2)
        began = time.process_time()
        found = sum(len(first) for first, _ in pairs_within(np.unique(hashes), 10))
        print(f"  {count:>8}: {time.process_time() - began:6.2f} s, {found} pairs")


def main() -> None:
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    fixtures, python = Path(sys.argv[1]).resolve(), sys.argv[2]
    folder = Path(tempfile.gettempdir()) / "twinloop_big_jpegs" / "corpus"
    write_corpus(fixtures, folder, ORIGINALS)
    fixtures_part(fixtures, python)
    speed_part(folder, python)
    search_part()


if __name__ == "__main__":
    main()
