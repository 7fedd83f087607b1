"""Torch files made by hand, so that every lie they tell has its own test; and the fixtures that nobody here wrote."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

FIXTURES = Path(__file__).parents[4] / "shared" / "fixtures"


@pytest.fixture
def fixtures() -> Path:
    if not FIXTURES.is_dir():
        pytest.skip("shared fixtures are not on this machine (looked for ../shared/fixtures)")
    return FIXTURES


Zipped = Callable[..., Path]


@pytest.fixture
def torch_zip(tmp_path: Path) -> Zipped:
    """Write a torch zip: ``torch_zip(pickle_bytes, {"0": bytes}, **extra entries)``."""

    def write(
        pickle_bytes: bytes, storages: dict[str, bytes] | None = None, extra: dict[str, bytes] | None = None
    ) -> Path:
        path = tmp_path / "model.pt"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
            archive.writestr("archive/data.pkl", pickle_bytes)
            for key, data in (storages or {}).items():
                archive.writestr(f"archive/data/{key}", data)
            for name, data in (extra or {}).items():
                archive.writestr(name, data)
        return path

    return write
