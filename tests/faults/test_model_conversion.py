"""A conversion that is killed at any moment, or runs into a full disk, leaves the whole file or none, and the original
as it was.
"""

from __future__ import annotations

import errno
import hashlib
import os
import pickle
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.functional.console import twinloop
from twinloop.stages.model_files import inspect as inspect_models
from twinloop.store.models import tensor_file

Moment = Callable[[], None]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    path = tmp_path / "face.pkl"
    path.write_bytes(pickle.dumps({f"layer{i}.weight": rng.random((16, i + 1)) for i in range(5)}))
    return path


@pytest.fixture
def whole(model: Path, tmp_path: Path) -> bytes:
    """What an undisturbed conversion writes."""
    report = inspect_models.inspect_file(model, inspect_models.Policy(), True, tmp_path / "undisturbed")
    assert report.output is not None
    return report.output.path.read_bytes()


def watched(patch: pytest.MonkeyPatch, moment: Moment) -> None:
    """Call ``moment`` before everything that a conversion does to the disk, and before every tensor it loads."""

    def before(function: Callable[..., Any]) -> Callable[..., Any]:
        def run(*args: Any, **kwargs: Any) -> Any:
            moment()
            return function(*args, **kwargs)

        return run

    for name in ("fsync", "link", "replace", "unlink"):
        patch.setattr(os, name, before(getattr(os, name)))
    for module, name in (
        (inspect_models, "_bytes"),
        (tensor_file, "_compare"),
        (tensor_file, "_give_name"),
        (tensor_file, "fsync_folder"),
    ):
        patch.setattr(module, name, before(getattr(module, name)))


def convert_and_die(model: Path, folder: Path, at: int) -> bool:
    """Convert in a process that kills itself before moment ``at``; whether it came that far."""
    child = os.fork()
    if child == 0:
        left = at

        def moment() -> None:
            nonlocal left
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)

        with pytest.MonkeyPatch.context() as patch:
            watched(patch, moment)
            inspect_models.inspect_file(model, inspect_models.Policy(), True, folder)
            os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def test_killed_at_every_moment(model: Path, whole: bytes, tmp_path: Path) -> None:
    before, deaths = hashlib.sha256(model.read_bytes()).hexdigest(), 0
    for at in range(100):
        folder = tmp_path / f"out{at}"
        died = convert_and_die(model, folder, at)
        made = folder / "face.safetensors"
        assert not made.exists() or made.read_bytes() == whole, f"half a file after moment {at}"
        assert all(path == made or path.name.startswith(".") for path in folder.iterdir())
        report = inspect_models.inspect_file(model, inspect_models.Policy(), True, folder)
        assert report.output is not None and report.failure is None
        assert [path.name for path in folder.iterdir()] == ["face.safetensors"], "the next run tidies up"
        assert made.read_bytes() == whole
        if not died:
            break
        deaths += 1
    assert deaths >= 14, "two loads of five tensors, and what follows"
    assert hashlib.sha256(model.read_bytes()).hexdigest() == before


def test_a_full_disk_at_every_moment(
    model: Path, whole: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The disk is full from some moment on, for everything but deleting."""
    failures = 0
    for at in range(30):
        folder = tmp_path / f"full{at}"
        left = at

        def fsync(_: int) -> None:
            nonlocal left
            left -= 1
            if left < 0:
                raise OSError(errno.ENOSPC, "No space left on device")

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(os, "fsync", fsync)
            said = twinloop(capsys, "inspect", model, "--convert", "--output", folder)
        files = list(folder.iterdir())
        if said.code == 0:
            assert [path.read_bytes() for path in files] == [whole]
            break
        assert said.code == 2 and "The disk is full" in said.out and files == []
        failures += 1
    assert failures >= 1


@pytest.mark.parametrize("written", [0, 1, 3])
def test_a_disk_that_fills_up_while_it_is_written(
    written: int, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Full:
        """A file on a disk with room for ``written`` blocks."""

        def __init__(self, file: Any) -> None:
            self.file, self.left = file, written

        def __enter__(self) -> Any:
            self.file.__enter__()
            return self

        def __exit__(self, *error: Any) -> None:
            self.file.__exit__(*error)

        def write(self, block: bytes) -> None:
            self.left -= 1
            if self.left < 0:
                raise OSError(errno.ENOSPC, "No space left on device")
            self.file.write(block)

    def opened(path: Path, mode: str) -> Any:
        file = open(path, mode)  # noqa: SIM115 - its user closes it
        return Full(file) if "w" in mode else file

    monkeypatch.setattr(tensor_file, "open", opened, raising=False)
    said = twinloop(capsys, "inspect", model, "--convert", "--output", tmp_path / "out")
    assert said.code == 2 and "The disk is full" in said.out
    assert list((tmp_path / "out").iterdir()) == []


def test_an_original_that_changes_while_it_is_converted(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tensor_file, "fsync_folder", lambda _: model.write_bytes(b"other"))
    report = inspect_models.inspect_file(model, inspect_models.Policy(), True, tmp_path / "out")
    assert report.output is None and "was changed while it was converted" in str(report.failure)
