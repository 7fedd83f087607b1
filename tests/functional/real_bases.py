"""Runs on tiny models of the real families, through the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")
from tests.functional.console import Said, twinloop  # noqa: E402
from tests.functional.loops import write_photos  # noqa: E402
from tests.unit.seed_config import SEED  # noqa: E402

SMALL = {"width": 64, "height": 64, "batch_size": 4}


def configured(folder: Path, base: Path, **training: Any) -> Path:
    """The seed's configuration with paths of this machine, and sizes and steps that a test has time for."""
    write_photos(folder / "photos", 6)
    data = {
        **SEED,
        "base_model": str(base),
        "dataset_dir": "photos",
        "models_dir": "fake",
        "max_iterations": 1,
        "panel": {"images": 2},
        "generation": {**SEED["generation"], **SMALL, "num_per_gap": 1, "num_inference_steps": 2},
        "analysis": {"facets": ["face_angle"]},
        "training": {**SEED["training"], "resolution": 64, "steps": 2, "rank": 4, **training},
    }
    path = folder / "bootstrap_config.json"
    path.write_text(json.dumps(data))
    return path


def run(capsys: pytest.CaptureFixture[str], config: Path, **changes: Any) -> Said:
    data = json.loads(config.read_text())
    for name, value in changes.items():
        data[name] = {**data[name], **value} if isinstance(value, dict) else value
    config.write_text(json.dumps(data))
    return twinloop(capsys, "run", "--config", config)
