"""What the search for duplicates costs in a folder of photos that look alike: a camera that takes one view all day.

    OMP_NUM_THREADS=1 python bench/look_alikes.py [--photos 250 500 1000] [--patience inf] [--profile]
    OMP_NUM_THREADS=1 python bench/look_alikes.py --photos 1000 --ranks

Nothing is decoded but thumbnails: made-up photos of one view, each with so much detail of its own. ``copies``: as
little as saving a photo again changes, so that all are one picture. ``views``: more than that, so that no two are
copies, though their hashes are near each other. ``apart``: photos that share nothing. Seconds of processor time for the
search, the pairs that were compared on their thumbnails, and the most memory that the process has had. ``--ranks``: of
100 copies of such ``views``, how many have so many look-alikes before their original that it is not reached.
"""

from __future__ import annotations

import argparse
import cProfile
import hashlib
import io
import pstats
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from PIL import Image

from twinloop.domain.vault import VaultPhoto
from twinloop.ports import SilentReporter
from twinloop.stages.pixels import perceptual_hash
from twinloop.stages.same_picture.alignment import Thumbnail
from twinloop.stages.same_picture.likeness import Copy, upright_copy
from twinloop.stages.vault.copies import dedup as searching
from twinloop.stages.vault.copies.crowd import Crowd
from twinloop.stages.vault.opened import OpenVault, ScanRecord
from twinloop.store.vault.catalog import VaultCatalog
from twinloop.store.vault.decisions import DecisionLog
from twinloop.store.vault.files import FileEntry
from twinloop.store.vault.folder import Vault

OWN = {"copies": 0.01, "views": 0.25, "apart": 1.0}
"""Share of a photo's detail that is its own."""
SIZE = (320, 240)
COPIES = 100
Change = Callable[[Image.Image], Image.Image]
EACH = [(4, 0.5), (9, 0.3), (24, 0.2)]
"""Cells across, and weight, of the layers of a picture."""


def layers(rng: np.random.Generator) -> list[np.ndarray]:
    made = [Image.fromarray(rng.integers(0, 256, (cells, cells), np.uint8)) for cells, _ in EACH]
    return [np.asarray(one.resize(SIZE, Image.Resampling.BICUBIC), np.float32) for one in made]


def picture(view: list[np.ndarray], rng: np.random.Generator, own: float) -> Image.Image:
    new = layers(rng)
    mixed = [(1 - share) * a + share * b for a, b, share in zip(view, new, (own**3, own**2, own), strict=True)]
    weighed = np.sum([weight * one for (_, weight), one in zip(EACH, mixed, strict=True)], axis=0)
    return Image.fromarray(weighed.astype(np.uint8))


def fill(home: Path, count: int, own: float) -> OpenVault:
    """A vault that knows so many photos, which are nowhere."""
    rng = np.random.default_rng(0)
    view = layers(rng)
    vault, catalog = Vault(home), VaultCatalog(home / "catalog.sqlite")
    with catalog.batch():
        for number in range(count):
            image, written = picture(view, rng, own), io.BytesIO()
            image.resize((256, 192)).save(written, "JPEG", quality=85)
            sha256, path = hashlib.sha256(written.getvalue()).hexdigest(), f"/nowhere/{number:05d}.jpg"
            phash = perceptual_hash(np.asarray(image.convert("RGB")))
            photo = VaultPhoto(sha256, (path,), *SIZE, phash, None, "real", {}, ())
            catalog.files.put(FileEntry(Path(path), len(written.getvalue()), 0, sha256))
            catalog.put_photo(photo, "bench", written.getvalue())
    return OpenVault(
        vault, catalog, DecisionLog(vault.decisions), ScanRecord(folders=(), models_dir="", fingerprint="bench")
    )


def searched(count: int, name: str, patience: float, profile: bool) -> None:
    compared = 0

    def counted(*given: Any) -> Copy | None:
        nonlocal compared
        compared += 1
        return upright_copy(*given)

    with tempfile.TemporaryDirectory() as home:
        opened = fill(Path(home), count, OWN[name])
        profiler = cProfile.Profile()
        start = time.process_time()
        if profile:
            profiler.enable()
        with patch.object(searching, "upright_copy", counted), patch.object(searching, "PATIENCE", patience):
            found = searching.dedup(opened, searching.DedupOptions(), SilentReporter())
        profiler.disable()
        seconds = time.process_time() - start
        opened.catalog.close()
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    print(f"{count:>6} {name:<8} {found.kept:>6} kept {compared:>9} compared {seconds:8.2f} s {most:6} MiB", flush=True)
    if profile:
        pstats.Stats(profiler).sort_stats("cumtime").print_stats(25)


def cut(left: float, top: float, right: float, bottom: float) -> Change:
    def made(image: Image.Image) -> Image.Image:
        width, height = image.size
        return image.crop((int(left * width), int(top * height), int(right * width), int(bottom * height)))

    return made


CHANGES: dict[str, Change] = {
    "a quarter of the size": lambda image: image.resize((SIZE[0] // 2, SIZE[1] // 2)),
    "brighter": lambda image: image.point(lambda value: min(255, value * 1.2)),
    "cut by 2 % a side": cut(0.02, 0.02, 0.98, 0.98),
    "cut by 4 % a side": cut(0.04, 0.04, 0.96, 0.96),
    "cut by 4 % on the left": cut(0.04, 0.0, 1.0, 1.0),
    "cut by 6 % at the top": cut(0.0, 0.06, 1.0, 1.0),
}


def ranked(count: int) -> None:
    rng = np.random.default_rng(1)
    view = layers(rng)
    photos = [picture(view, rng, OWN["views"]) for _ in range(count)]
    for name, change in CHANGES.items():
        shown = [*photos, *(change(photo) for photo in photos[:COPIES])]
        crowd = Crowd([Thumbnail(image.resize((256, 192))) for image in shown].__getitem__)
        places = [crowd.nearest_first(count + number, range(count)).index(number) for number in range(COPIES)]
        late = sum(place >= searching.PATIENCE for place in places)
        print(f"{count:>6} {name:<24} {late:>3} of {COPIES} not reached", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=int, nargs="+", default=[250, 500, 1000])
    parser.add_argument("--kinds", nargs="+", choices=OWN, default=list(OWN))
    parser.add_argument("--patience", type=float, default=searching.PATIENCE, help="inf = compare all look-alikes")
    parser.add_argument("--profile", action="store_true", help="also what takes the time")
    parser.add_argument("--ranks", action="store_true", help="only how near copies come to their originals")
    args = parser.parse_args()
    for count in args.photos:
        if args.ranks:
            ranked(count)
            continue
        for name in args.kinds:
            searched(count, name, args.patience, args.profile)


if __name__ == "__main__":
    main()
