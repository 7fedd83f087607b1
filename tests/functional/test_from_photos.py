"""The loop starts images from real photos: near in pose, never one that is held out, and by hand the same ones."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.functional import loops
from twinloop import manual
from twinloop.domain.records import Dataset
from twinloop.stages.sources import Source
from twinloop.store.atomic import read_json
from twinloop.store.run.workspace import Workspace


def test_images_start_from_photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    loops.write_photos(Path("photos"), count=24)
    chosen = loops.settings(max_iterations=1, generation={"num_per_gap": 4, "from_photos": 1.0, "references": 2})
    loops.run(chosen)
    space = Workspace(Path("out"), Path("loras"))
    members = Dataset.from_json(read_json(space.dataset(0))).real
    held_out = {member.path for member in members if member.weight == 0}
    photos = manual.photos_of_run(chosen)
    assert held_out and {photo.path for photo in photos} == {member.path for member in members} - held_out
    assert all(photo.yaw is not None and photo.quality is not None for photo in photos)
    shots = json.loads(space.shots(1).read_text())["shots"]
    assert shots and all(
        len(shot["references"]) == 1 and not {shot["source"], *shot["references"]} & held_out for shot in shots
    )
    yaws = {photo.path: photo.yaw or 0.0 for photo in photos}
    profiles = [shot for shot in shots if shot["target"] == "profile"]
    # heads that face the camera straight are farthest
    assert profiles and all(abs(yaws[shot["source"]]) >= 4 for shot in profiles)
    assert "references" in read_json(space.synthetic(1) / "generation_metadata.json")["images"][0]


def test_runs_without_photos_write_no_list_of_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    loops.write_photos(Path("photos"))
    chosen = loops.settings(max_iterations=1)
    loops.run(chosen)
    assert not Workspace(Path("out"), Path("loras")).sources.exists()
    members = Dataset.from_json(read_json(Workspace(Path("out"), Path("loras")).dataset(0))).real
    # for who asks for a share by hand
    assert manual.photos_of_run(chosen) == tuple(Source(member.path) for member in members)
