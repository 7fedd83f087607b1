"""Tests that need a CUDA device: a real one, or the pretend card (`make test-gpu`). Without either they are skipped."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if not torch.cuda.is_available():
        for item in items:
            if "/gpu/" in item.path.as_posix():
                item.add_marker(pytest.mark.skip(reason="no CUDA device; make test-gpu brings a pretend one"))
