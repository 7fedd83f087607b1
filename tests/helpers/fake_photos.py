"""Files that the fake detectors read, for the tests."""

from __future__ import annotations

import io
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from PIL import Image

from twinloop.adapters.fakes import SIZE, FakeTruth, fake_image


def fake_photo(path: Path, *, seed: int, size: int = SIZE, **truth: object) -> FakeTruth:
    """Write a fake photo; keywords are the fields of `FakeTruth`. The suffix of ``path`` chooses the format."""
    shown = replace(FakeTruth(), **truth)  # type: ignore[arg-type]
    path.write_bytes(_encoded(shown, seed, size, path.suffix.lower()))
    return shown


# the tests of a file mostly begin with the same photos
@lru_cache(maxsize=256)
def _encoded(shown: FakeTruth, seed: int, size: int, suffix: str) -> bytes:
    held = io.BytesIO()
    # noise: zlib's other levels take five times as long and pack no tighter
    Image.fromarray(fake_image(shown, seed, size)).save(
        held, Image.registered_extensions()[suffix], quality=95, compress_level=1
    )
    return held.getvalue()
