"""The fixtures that nobody here wrote; read in place."""

from __future__ import annotations

from pathlib import Path

import pytest

FIXTURES = Path(__file__).parents[4] / ".." / "shared" / "fixtures"


@pytest.fixture
def weights() -> Path:
    if not FIXTURES.is_dir():
        pytest.skip("shared fixtures are not on this machine (looked for ../shared/fixtures)")
    return FIXTURES / "weights"
