"""Faces are biometric data: no library that is used here may keep an id of the machine, or events to send."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.functional.console import ROOT
from tests.functional.loops import write_photos

COMMANDS = {
    "analyze": ["analyze", "photos", "--models-dir", "nano"],
    # each of its workers opens the models in a process of its own
    "scan": ["vault", "scan", "photos", "--models-dir", "nano", "--vault", "home"],
}


def environment(home: Path) -> dict[str, str]:
    """As of a new user who has set none of the switches."""
    kept = {
        name: value for name, value in os.environ.items() if "TELEMETRY" not in name and not name.startswith("XDG_")
    }
    return {**kept, "HOME": str(home), "XDG_CACHE_HOME": str(home / ".cache"), "PYTHONPATH": str(ROOT)}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_that_opens_onnx_models_leaves_nothing_in_the_home_folder(name: str, tmp_path: Path) -> None:
    home = tmp_path / "user"
    home.mkdir()
    write_photos(tmp_path / "photos")
    call = [sys.executable, "-m", "twinloop", *COMMANDS[name]]
    done = subprocess.run(call, cwd=tmp_path, env=environment(home), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert [path for path in home.rglob("*") if path.is_file()] == []


def test_every_switch_is_set_before_the_first_import(tmp_path: Path) -> None:
    """Read by the libraries at their own import; inherited by processes that are started."""
    code = "import twinloop, os; print(os.environ['ORT_DISABLE_TELEMETRY'], os.environ['HF_HUB_DISABLE_TELEMETRY'])"
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment(tmp_path), capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["1", "1"]
