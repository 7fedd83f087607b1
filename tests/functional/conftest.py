"""Where commands and runs of the fakes are tried."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.functional import loops


@pytest.fixture
def at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The working directory, empty; two runs in it write the same bytes."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")


@pytest.fixture
def home(at_home: None, tmp_path: Path) -> Path:
    """The same, with the fakes' photos."""
    loops.write_photos(tmp_path / "photos")
    return tmp_path
