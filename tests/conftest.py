"""Tiny models with random weights, built once per test process."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.tiny_models import build_tiny_sdxl


@pytest.fixture(scope="session")
def tiny_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An SDXL folder built like the embedded base."""
    pytest.importorskip("diffusers", reason="the train extra is not installed")
    return build_tiny_sdxl(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="session")
def full_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An SDXL folder built like SDXL itself."""
    pytest.importorskip("diffusers", reason="the train extra is not installed")
    return build_tiny_sdxl(tmp_path_factory.mktemp("models") / "full", full_vae=True)
