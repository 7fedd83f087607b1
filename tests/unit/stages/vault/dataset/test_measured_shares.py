"""The latest analysis of a folder, whoever made it."""

from __future__ import annotations

import json
import os
from pathlib import Path

from twinloop.stages.vault.dataset.measured_shares import measured_shares


def written(path: Path, dataset: str, when: int) -> Path:
    path.write_text(json.dumps({"dataset": dataset, "facets": {}, "images": when}))
    os.utime(path, (when, when))
    return path


def test_the_newest_one_that_is_about_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    folder.mkdir()
    files = [
        written(tmp_path / "a.json", "set", 1),
        written(tmp_path / "b.json", str(folder), 3),
        written(tmp_path / "c.json", "other", 5),
    ]
    found = measured_shares(folder, [*files, tmp_path / "gone.json"], tmp_path)
    assert found is not None and found.path.name == "b.json" and not found.stale
    (folder / "person.json").write_text("{}")
    newer = measured_shares(folder, files, tmp_path)
    assert newer is not None and newer.stale, "prepared anew since"


def test_files_that_are_none_are_passed_over(tmp_path: Path) -> None:
    (tmp_path / "broken.json").write_text("{")
    (tmp_path / "list.json").write_text("[]")
    (tmp_path / "else.json").write_text('{"dataset": "."}')
    assert measured_shares(tmp_path, list(tmp_path.glob("*.json")), tmp_path) is None
