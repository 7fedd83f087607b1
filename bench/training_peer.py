"""LoRA training and generation against the loop that a user writes from the diffusers documentation.

    python bench/training_peer.py [--model FOLDER] [--steps 40] [--batch 2] [--resolution 128] [--precision float32] [--repeat 3]

The SDXL DreamBooth-LoRA script of diffusers is in neither the wheel nor the source archive of its releases, so the other side is
``bench/peers/plain_sdxl.py``: the same steps in the same order as that script takes them with the text encoders frozen (prompt embedded
once; every picture decoded, resized and encoded again in every step; AdamW, clipping), with our layers, rank and batch. Its own loss has
no min-SNR and no offset, so ours are switched off.

Each side trains and generates in a process of its own, in turns; printed are medians over the repetitions and their ratios. Without
``--model`` a tiny SDXL with random weights is built: what is measured then is mostly what the programs add to the arithmetic.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).parents[1]
PHOTOS = 12
PHOTO_SIZE = (1024, 768)
SIDES = {"twinloop": ROOT / "bench/peers/our_sdxl.py", "plain loop": ROOT / "bench/peers/plain_sdxl.py"}


def make_photos(folder: Path) -> None:
    """Photos of noise: what they show does not matter here."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for number in range(PHOTOS):
        small = rng.integers(0, 255, (24, 32, 3), dtype=np.uint8)
        Image.fromarray(small).resize(PHOTO_SIZE, Image.Resampling.BICUBIC).save(folder / f"{number:02d}.jpg", quality=92)


def measured(script: Path, arguments: list[str]) -> dict[str, float]:
    """The figures that one side prints as its last line."""
    done = subprocess.run([sys.executable, str(script), *arguments], capture_output=True, text=True, cwd=ROOT, env=None, check=False)
    if done.returncode:
        raise SystemExit(f"{script.name} failed:\n{done.stderr[-2000:]}")
    figures: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, help="an SDXL folder (default: a tiny one with random weights)")
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--resolution", type=int, default=128)
    parser.add_argument("--precision", default="float32", help="of both sides: float32, or bfloat16 on a GPU")
    parser.add_argument("--repeat", type=int, default=3)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        photos, model = Path(home) / "photos", args.model or Path(home) / "model"
        make_photos(photos)
        if args.model is None:
            sys.path.insert(0, str(ROOT))
            from tests.tiny_models import build_tiny_sdxl

            build_tiny_sdxl(model, full_vae=True)
        given = [str(model), str(photos), str(args.steps), str(args.batch), str(args.resolution), args.precision]
        rounds = [{side: measured(script, given) for side, script in SIDES.items()} for _ in range(args.repeat)]
    report(rounds)


def report(rounds: list[dict[str, dict[str, float]]]) -> None:
    """One line per figure: both sides and ours over theirs."""
    print(f"{'':34} {'twinloop':>10} {'plain loop':>10} {'ratio':>7}")
    for name in rounds[0]["twinloop"]:
        ours, theirs = (statistics.median(entry[side].get(name, float("nan")) for entry in rounds) for side in SIDES)
        ratio = f"{ours / theirs:7.2f}" if theirs and theirs == theirs else f"{'-':>7}"
        print(f"{name:34} {ours:10.4f} {theirs:10.4f} {ratio}")


if __name__ == "__main__":
    main()
