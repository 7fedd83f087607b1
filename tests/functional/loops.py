"""Small loops for tests: photos by the fakes, one configuration, and a picture of a finished tree."""

from __future__ import annotations

import hashlib
import json
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

from tests.helpers.fake_photos import fake_photo
from tests.unit.things import Recording
from twinloop.config import Settings, parse_settings
from twinloop.loop import run_loop
from twinloop.stages.rounds import RunResult
from twinloop.store.journal import Journal
from twinloop.store.run.workspace import workspace_of
from twinloop.wiring import build_toolbox

TIMELESS = ("catalog.sqlite", ".lock")
"""What may differ between two equal runs: the cache (a database's bytes depend on its history) and the lock."""


def write_photos(folder: Path, count: int = 14) -> None:
    """Photos with a gap or two: mostly frontal, smiling, indoors."""
    folder.mkdir(parents=True)
    for number in range(count):
        fake_photo(
            folder / f"IMG_{number:04d}.png",
            seed=number,
            yaw=(0.0, 5.0, 30.0, -8.0)[number % 4],
            expression=("smile", "smile", "neutral")[number % 3],
            hands=int(number % 7 == 0),
            setting=("indoor", "indoor", "outdoor")[number % 3],
            lighting="normal",
            framing=("portrait", "close_up")[number % 2],
        )


def settings(**changes: Any) -> Settings:
    """A two-round run on the fakes, relative to the working directory."""
    data: dict[str, Any] = {
        "person_name": "ana",
        "person_trigger": "ohwx ana",
        "base_model": "fake",
        "models_dir": "fake",
        "dataset_dir": "photos",
        "output_dir": "out",
        "lora_output_dir": "loras",
        "max_iterations": 2,
        "generation": {"num_per_gap": 2},
        "panel": {"images": 4},
        "training": {"preset": "fake", "steps": 3},
        "analysis": {"facets": ["face_angle", "composition", "setting"]},
        "stop": {"patience": 5, "approval_rounds": 5},
    }
    return parse_settings({**data, **changes}, "test")


def configuration(path: Path, **changes: Any) -> Path:
    """The same settings as a file."""
    path.write_text(json.dumps(settings(**changes).model_dump(mode="json", exclude_unset=True)))
    return path


def run(chosen: Settings, boundary: Any = None, reporter: Recording | None = None) -> RunResult:
    """Args:
    boundary: called with the key after every journal record, to stop the run there.
    """
    with patch("twinloop.loop.Journal", partial(Journal, boundary=boundary)):
        return run_loop(chosen, build_toolbox(chosen, reporter or Recording()), workspace_of(chosen))


def tree(*folders: str) -> dict[str, str]:
    """Relative path -> sha256 of everything under the folders."""
    found = {}
    for folder in folders:
        for path in sorted(Path(folder).rglob("*")):
            if path.is_file() and not path.name.startswith(TIMELESS):
                found[path.as_posix()] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found
