"""The scan's one pass over a photo beside a chain of the usual tools: imagehash, cv2, hashlib, PIL, each opening the
file itself.

    OMP_NUM_THREADS=1 python bench/fused_pass.py FIXTURES /tmp/dedup_venv/bin/python

(bench/near_duplicates.py says how that virtual environment is made.) Both sides are one process on one core; figures
are processor time per JPEG of 12 megapixels. Both give content hash, perceptual hash, size, blur, brightness and a
thumbnail; no detectors.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from big_jpegs import megabytes, write_originals

from twinloop.domain.scanned import ListedFile
from twinloop.stages.vault.measure import PhotoMeasurer

CHAIN = Path(__file__).parent / "peers" / "chain.py"
COUNT, ROUNDS = 12, 3


def ours(files: list[Path]) -> float:
    """Milliseconds per file."""
    measurer = PhotoMeasurer()
    measurer.scan(ListedFile(files[0], 0, 0))  # what is loaded at first use does not count
    began = time.process_time()
    for path in files:
        if measurer.scan(ListedFile(path, 0, 0)).photo is None:
            raise SystemExit(f"{path} was not measured")
    return 1e3 * (time.process_time() - began) / len(files)


def chain(folder: Path, python: str) -> dict[str, float]:
    """Milliseconds per file of each tool."""
    done = subprocess.run([python, str(CHAIN), str(folder)], capture_output=True, text=True, check=True)
    spent: dict[str, float] = json.loads(done.stdout)
    return spent


def main() -> None:
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    folder = Path(tempfile.gettempdir()) / "twinloop_big_jpegs" / "originals"
    files = write_originals(Path(sys.argv[1]).resolve(), folder, COUNT)
    runs = [(ours(files), chain(folder, sys.argv[2])) for _ in range(ROUNDS)]
    fused = min(run for run, _ in runs)
    tools = min((run for _, run in runs), key=lambda run: sum(run.values()))
    print(f"{len(files)} JPEGs of 12 megapixels ({megabytes(files)}); milliseconds per file, best of {ROUNDS}")
    for name, spent in tools.items():
        print(f"  {name:28} {spent:8.1f}")
    print(f"  {'the chain':28} {sum(tools.values()):8.1f}")
    print(f"  {'one pass (twinloop)':28} {fused:8.1f}   {sum(tools.values()) / fused:.1f}x")


if __name__ == "__main__":
    main()
