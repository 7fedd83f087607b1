"""A disk that fills up: a clear message, nothing lost, and the same command goes on to the same end."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.functional import loops
from tests.functional.console import configuration, twinloop

MESSAGE = "Nothing is lost; free some space and run the same command again."


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos") / "photos"
    loops.write_photos(folder)
    return folder


@pytest.fixture(autouse=True)
def fixed_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")


def full_after(writes: int) -> Callable[[int], None]:
    """An fsync that finds the disk full from a certain write on."""
    done = 0

    def fsync(handle: int) -> None:
        nonlocal done
        done += 1
        if done > writes:
            raise OSError(errno.ENOSPC, "No space left on device")

    return fsync


def new_home(path: Path, photos: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path.mkdir()
    (path / "photos").symlink_to(photos)
    monkeypatch.chdir(path)
    return configuration(path, max_iterations=1, analysis={"facets": ["face_angle", "setting"]})


def test_the_loop_goes_on_when_there_is_space_again(
    tmp_path: Path, photos: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fsync", lambda handle: None)
    config = new_home(tmp_path / "undisturbed", photos, monkeypatch)
    assert twinloop(capsys, "run", "--config", config).code == 0
    expected = loops.tree("out", "loras")

    config = new_home(tmp_path / "full", photos, monkeypatch)
    failures, space = 0, 0
    while True:
        monkeypatch.setattr(os, "fsync", full_after(space))
        said = twinloop(capsys, "run", "--config", config)
        if said.code == 0:
            break
        assert said.code == 2 and "The disk is full: could not write " in said.err and MESSAGE in said.err
        assert not list(Path().rglob("*.tmp")), "half a file was left behind"
        failures, space = failures + 1, space + 9  # a little more space each time
    assert failures > 5
    assert loops.tree("out", "loras") == expected


@pytest.mark.parametrize("step", ["analyze", "generate", "validate"])
def test_each_script_says_it(
    step: str, tmp_path: Path, photos: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    new_home(tmp_path / "steps", photos, monkeypatch)
    calls = {
        "analyze": ["analyze", "photos", "--models-dir", "fake"],
        "generate": ["generate", "gaps.json", "--base-model", "fake", "--person", "ohwx", "--output", "made"],
        "validate": ["validate", "made", "--models-dir", "fake", "--approved", "yes", "--rejected", "no"],
    }
    for name, call in calls.items():
        if name == step:
            with monkeypatch.context() as patch:
                patch.setattr(os, "fsync", full_after(1 if step != "analyze" else 0))
                said = twinloop(capsys, *call)
            assert said.code == 2 and "disk is full" in said.err and MESSAGE in said.err and "Traceback" not in said.err
        assert twinloop(capsys, *call).code == 0
    assert Path("no/verdicts.json").is_file()
