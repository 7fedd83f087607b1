"""A finished three-round run on the fakes, made once, and copies of it to break."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.functional import loops
from twinloop.report.model import RunRecord
from twinloop.report.reading import read_run
from twinloop.store.run.workspace import Workspace


@contextmanager
def working_in(home: Path) -> Iterator[None]:
    """chdir with a fixed clock."""
    before = Path.cwd()
    os.environ["SOURCE_DATE_EPOCH"] = "1700000000"
    os.chdir(home)
    try:
        yield
    finally:
        os.chdir(before)
        del os.environ["SOURCE_DATE_EPOCH"]


def workspace_in(home: Path) -> Workspace:
    return Workspace(home / "out", home / "loras")


def edit(path: Path, change: Callable[[Any], None]) -> None:
    """Change a JSON artefact in place."""
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps(data))


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home of a finished run: 24 photos, two of them unusable, three rounds."""
    home = tmp_path_factory.mktemp("finished")
    with working_in(home):
        loops.write_photos(Path("photos"), 24)
        Path("photos/broken.jpg").write_bytes(b"\xff\xd8\xff no picture")
        Image.fromarray(np.full((64, 64, 3), 128, np.uint8)).save("photos/wall.png")
        loops.run(
            loops.settings(max_iterations=3, generation={"num_per_gap": 3}, validation={"identity_tolerance": 4.0})
        )
    return home


@pytest.fixture
def home(finished: Path, tmp_path: Path) -> Path:
    """A copy of the finished run."""
    return Path(shutil.copytree(finished, tmp_path / "home"))


@pytest.fixture(scope="session")
def record(finished: Path) -> RunRecord:
    return read_run(workspace_in(finished))
