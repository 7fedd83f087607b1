"""Real photos for the contracts.

They lie beside the repository; without them the real detectors are skipped, loudly.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from twinloop.domain.faces import ImageArray

FIXTURES = Path(__file__).parents[2] / ".." / "shared" / "fixtures"


@pytest.fixture(scope="session")
def fixtures() -> Path:
    if not FIXTURES.is_dir():
        pytest.skip("shared fixtures are not on this machine (looked for ../shared/fixtures)")
    return FIXTURES


@pytest.fixture(scope="session")
def photo(fixtures: Path) -> Callable[[str], ImageArray]:
    """Read a fixture photo as uint8 HxWx3 RGB."""

    def read(name: str) -> ImageArray:
        return np.asarray(Image.open(fixtures / "photos" / name).convert("RGB"), dtype=np.uint8)

    return read
