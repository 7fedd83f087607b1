"""What a segmentation network marks on photos that nobody here took, beside the faces that YuNet finds on them.

    python bench/masks.py FIXTURES --model FILE [--sheet FILE]

Prints one line per set of photos. With --sheet it also writes a picture of the photos with their masks, to look at.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from fixture_folder import with_fixtures
from PIL import Image

from twinloop.domain.faces import ImageArray
from twinloop.errors import MaskFailed
from twinloop.ports import Masker
from twinloop.store.pictures.images import load_image
from twinloop.wiring import build_face_finder, build_masker

SETS = ("caltech_faces_easy", "lfw", "human_samples", "skimage")
SIDE, COLUMNS, SHOWN = 220, 4, 40
GREEN = np.array([0, 160, 0])
"""In place of what is not learned."""


def measured(name: str, files: list[Path], masker: Masker, models: Path) -> Iterator[tuple[ImageArray, ImageArray]]:
    """Photo and mask of each; the line is printed at the end."""
    faces, why = build_face_finder(str(models)), Counter[str]()
    shares, learned, seconds = list[float](), list[float](), list[float]()
    alone = beside = 0
    for path in files:
        image = load_image(path).pixels
        found = faces(image)
        begun = time.perf_counter()
        try:
            made = masker.mask(image, found)
        except MaskFailed as error:
            why[str(error)] += 1
            continue
        seconds.append(time.perf_counter() - begun)
        grey = made.grey / 255
        shares.append(float(grey.mean()))
        beside += bool(made.beside)
        alone += not found
        if found:
            box = found[0].box.clipped(image.shape[1], image.shape[0])
            learned.append(float(grey[int(box.y0) : int(box.y1) + 1, int(box.x0) : int(box.x1) + 1].mean()))
        yield image, made.grey
    print(
        f"{name}: {len(shares)} of {len(files)} with a mask, {alone} without a face, {beside} with somebody else in it;"
        f" white {_spread(shares)}, of the face {_spread(learned)}; {1000 * float(np.median(seconds)):.0f} ms;"
        f" {dict(why)}"
    )


def _spread(values: list[float]) -> str:
    low, middle, high = np.percentile(values, [5, 50, 95])
    return f"{100 * middle:.0f} % ({100 * low:.0f} to {100 * high:.0f})"


def tile(image: ImageArray, grey: ImageArray) -> Image.Image:
    """A photo, and beside it what is learned of it."""
    weight = grey[..., None] / 255
    learned = Image.fromarray((image * weight + GREEN * (1 - weight)).astype(np.uint8))
    both = Image.new("RGB", (2 * SIDE + 4, SIDE + 4))
    for number, picture in enumerate((Image.fromarray(image), learned)):
        picture.thumbnail((SIDE, SIDE))
        both.paste(picture, (number * (SIDE + 2), 0))
    return both


def main() -> None:
    parser: argparse.ArgumentParser = with_fixtures(__doc__)
    parser.add_argument("--model", type=Path, required=True, metavar="FILE", help="the segmentation network")
    parser.add_argument("--sheet", type=Path, metavar="FILE", help="picture of photos with their masks")
    args = parser.parse_args()
    masker = build_masker("models", args.model, drawn=False, grow=0.01, blur=0.005)
    tiles = []
    for name in SETS:
        folder = args.fixtures / "photos" / name
        files = sorted(path for path in folder.rglob("*") if path.suffix in (".jpg", ".png"))
        for number, (image, grey) in enumerate(measured(name, files, masker, args.fixtures / "weights" / "yunet")):
            if number < SHOWN // len(SETS):
                tiles.append(tile(image, grey))
    if args.sheet is not None:
        rows = -(-len(tiles) // COLUMNS)
        sheet = Image.new("RGB", (COLUMNS * (2 * SIDE + 4), rows * (SIDE + 4)))
        for number, one in enumerate(tiles):
            sheet.paste(one, (number % COLUMNS * one.width, number // COLUMNS * one.height))
        sheet.save(args.sheet)


if __name__ == "__main__":
    main()
