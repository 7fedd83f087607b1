"""Files that the fake detectors read, for the tests."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from PIL import Image

from twinloop.adapters.fakes import SIZE, FakeTruth, fake_image


def fake_photo(path: Path, *, seed: int, size: int = SIZE, **truth: object) -> FakeTruth:
    """Write a fake photo; keywords are the fields of `FakeTruth`. The suffix of ``path`` chooses the format."""
    shown = replace(FakeTruth(), **truth)  # type: ignore[arg-type]
    # noise: zlib's other levels take five times as long and pack no tighter
    Image.fromarray(fake_image(shown, seed, size)).save(path, quality=95, compress_level=1)
    return shown
