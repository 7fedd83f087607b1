"""Property tests draw the same examples every time; fixtures that nobody here wrote are read in place."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import settings

FIXTURES = Path(__file__).parents[2] / ".." / "shared" / "fixtures"

settings.register_profile("house", deadline=None, derandomize=True, database=None, max_examples=60)
settings.load_profile("house")


@pytest.fixture(scope="session")
def fixtures() -> Path:
    if not FIXTURES.is_dir():
        pytest.skip("shared fixtures are not on this machine (looked for ../shared/fixtures)")
    return FIXTURES
