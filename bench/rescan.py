"""How much faster a second scan is when nothing changed: it only stats files.

    python bench/rescan.py FIXTURES [--photos 300] [--models-dir FIXTURES/weights]

Makes a folder of JPEGs (faces of the fixtures on noise, 2 megapixels), scans it with real detectors, then scans again
with nothing changed. Printed are the seconds of both commands' work (without the start of Python), and their ratio.
Issue 3 asks for 200.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
from fixture_folder import with_fixtures
from PIL import Image

from twinloop import wiring
from twinloop.ports import SilentReporter
from twinloop.stages.vault.scan import Scanned, scan
from twinloop.store.pictures.images import find_images
from twinloop.store.vault.folder import Vault

SIZE = (1632, 1224)


def make_photos(fixtures: Path, folder: Path, count: int) -> None:
    """Different JPEGs of `SIZE`, each with a face of the LFW fixtures in its middle."""
    faces = find_images(fixtures / "photos" / "lfw")
    rng = np.random.default_rng(0)
    ground = Image.fromarray(rng.integers(0, 256, (SIZE[1] // 8, SIZE[0] // 8, 3), dtype=np.uint8)).resize(
        SIZE, Image.Resampling.BICUBIC
    )
    for number in range(count):
        photo = ground.copy()
        with Image.open(faces[number % len(faces)]) as face:
            photo.paste(face.resize((700, 700)), (450 + number % 50, 260 + number // len(faces)))
        photo.save(folder / f"{number:04d}.jpg", quality=90)


def timed(vault: Vault, folders: tuple[Path, ...], models_dir: str, workers: int) -> tuple[float, Scanned]:
    began = time.perf_counter()
    measured = wiring.ScanSettings(models_dir=models_dir, workers=workers, timeout=30, memory=2048)
    plan = wiring.scan_plan(vault, folders, measured)
    done = scan(vault, plan, SilentReporter())
    return time.perf_counter() - began, done


def main() -> None:
    parser = with_fixtures(__doc__)
    parser.add_argument("--photos", type=int, default=300)
    parser.add_argument("--models-dir", help="another models folder than FIXTURES/weights")
    parser.add_argument("--workers", type=int, default=2)
    args = parser.parse_args()
    models = args.models_dir or str(args.fixtures / "weights")
    with tempfile.TemporaryDirectory() as home:
        photos, vault = Path(home) / "photos", Vault(Path(home) / "vault")
        photos.mkdir()
        make_photos(args.fixtures, photos, args.photos)
        first, done = timed(vault, (photos,), models, args.workers)
        print(
            f"first scan, {args.workers} workers: {first:.2f} s, {done.measured} photos measured, {done.counts.faces}"
            " faces"
        )
        again = [timed(vault, (), models, args.workers) for _ in range(5)]
        assert all(result.measured == 0 and result.unchanged == args.photos for _, result in again)
        second = statistics.median(seconds for seconds, _ in again)
        print(
            f"nothing changed:      {second:.4f} s (median of 5), {1e6 * second / args.photos:.0f} microseconds a photo"
        )
        print(f"ratio:                {first / second:.0f} (asked for: 200)")


if __name__ == "__main__":
    main()
