"""What the page's list of a person's photos costs: the work behind it, and what is sent.

    OMP_NUM_THREADS=1 python bench/dataset_page.py [--photos 500 2000 5000]

The photos are made up and nowhere: 12 megapixels, one face each. ``first``: nothing is remembered; ``again``: what the
page asks for after each decision. Seconds of processor time.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import tempfile
import time
from pathlib import Path

import numpy as np

from twinloop.domain.faces import Box, Face, HeadPose
from twinloop.domain.vault import FaceKey, VaultFace, VaultPhoto
from twinloop.stages.vault.opened import ScanRecord
from twinloop.stages.vault.people.record import Found, people_of, write_people
from twinloop.store.vault.catalog import VaultCatalog
from twinloop.store.vault.files import FileEntry
from twinloop.store.vault.folder import Vault
from twinloop.web.api.dataset import dataset
from twinloop.web.site import Site

EXPRESSIONS = ("smile", "neutral", "laugh", "surprised")


def fill(vault: Vault, count: int) -> None:
    """Photos of one person, p001."""
    rng = np.random.default_rng(0)
    ScanRecord(folders=("/nowhere",), models_dir="fake", fingerprint="bench").write(vault)
    keys: list[FaceKey] = []
    with VaultCatalog(vault.catalog) as catalog, catalog.batch():
        for number in range(count):
            path = Path(f"/nowhere/2019/holiday/IMG_{number:05d}.jpg")
            measures = {f"expression.{name}": float(rng.random()) for name in EXPRESSIONS} | {"eyes_open": 0.9}
            pose = HeadPose(float(rng.normal() * 30), 0.0, 0.0)
            x, y = float(rng.random() * 2000), float(rng.random() * 1500)
            seen = Face(Box(x, y, x + 600, y + 800), 0.9, None, pose, np.asarray(rng.random(512), np.float32))
            face = VaultFace(seen, 0.9, {**measures, "sharpness": 200.0 + float(rng.random())})
            sha256 = hashlib.sha256(str(number).encode()).hexdigest()
            photo = VaultPhoto(
                sha256, (str(path),), 4000, 3000, f"{number:016x}", 1.5e9 + 1000 * number, "real", {}, (face,)
            )
            catalog.files.put(FileEntry(path, 1000, 0, sha256))
            catalog.put_photo(photo, "bench", b"")
            keys.append(photo.key(0))
    found = Found(
        groups={"p001": tuple(keys)}, strangers=(), last=1, fingerprint="bench", limit=0.5, chosen=None, min_faces=3,
        inputs="",
    )  # fmt: skip
    write_people(vault, people_of(found, ()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=int, nargs="+", default=[500, 2000, 5000])
    for count in parser.parse_args().photos:
        with tempfile.TemporaryDirectory() as home:
            os.chdir(home)
            site = Site("", Path(home))
            fill(site.vault, count)
            for which in ("first", "again"):
                start = time.process_time()
                found = dataset("p001", site)
                worked = time.process_time() - start
                sent = len(json.dumps(found))
                written = time.process_time() - start - worked
                print(f"{count:>6} {which:<6} {worked:6.2f} s, JSON {written:.2f} s, {sent / 1e6:.2f} MB", flush=True)
            os.chdir("/")


if __name__ == "__main__":
    main()
