"""The usual tools one after the other over JPEGs, for bench/fused_pass.py; runs in a virtual environment with
imagehash.

    python chain.py FOLDER

Each tool opens the file itself, as scripts made of such tools do. Prints JSON: milliseconds of processor time per file
of each tool.
"""

from __future__ import annotations

import hashlib
import io
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import imagehash
from PIL import Image


def sha256(path: Path) -> object:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def phash(path: Path) -> object:
    with Image.open(path) as image:
        return imagehash.phash(image)


def blur_and_brightness(path: Path) -> object:
    """cv2.imread, the variance of the Laplacian and the mean: one decode for both, the usual recipe."""
    picture = cv2.imread(str(path))
    assert picture is not None
    grey = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)
    return cv2.Laplacian(grey, cv2.CV_64F).var(), grey.mean()


def thumbnail(path: Path) -> object:
    buffer = io.BytesIO()
    with Image.open(path) as image:
        image.thumbnail((256, 256))
        image.save(buffer, "JPEG")
    return buffer.getvalue()


TOOLS: dict[str, Callable[[Path], object]] = {
    "hashlib.sha256": sha256,
    "imagehash.phash": phash,
    "cv2 Laplacian, brightness": blur_and_brightness,
    "PIL thumbnail": thumbnail,
}


def main(folder: Path) -> None:
    cv2.setNumThreads(1)
    files = sorted(folder.glob("*.jpg"))
    spent = {}
    for name, tool in TOOLS.items():
        tool(files[0])  # what is loaded at first use does not count
        began = time.process_time()
        for path in files:
            tool(path)
        spent[name] = 1e3 * (time.process_time() - began) / len(files)
    print(json.dumps(spent))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
