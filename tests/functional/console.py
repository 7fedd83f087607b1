"""Commands as people type them: in this process where that is enough, as scripts where it matters."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from twinloop.cli.app import main

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Said:
    """Exit code and what was printed."""

    code: int
    out: str
    err: str

    @property
    def data(self) -> Any:
        return json.loads(self.out)


def twinloop(capsys: pytest.CaptureFixture[str], *argv: object) -> Said:
    """``twinloop ARGV`` in this process."""
    capsys.readouterr()
    try:
        code = main([str(item) for item in argv])
    except SystemExit as stop:
        code = int(stop.code or 0)
    return Said(code, *capsys.readouterr())


def python(script: str, *argv: object, cwd: Path) -> Said:
    """``python SCRIPT ARGV`` in a process of its own; the script lies in the repository's root."""
    return interpreter(ROOT / script, *argv, cwd=cwd)


def interpreter(*argv: object, cwd: Path) -> Said:
    """``python ARGV`` in a process of its own."""
    done = subprocess.run(
        [sys.executable, *map(str, argv)],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    return Said(done.returncode, done.stdout, done.stderr)


def configuration(folder: Path, **changes: Any) -> Path:
    """A configuration on the fakes, relative to ``folder``."""
    data = {
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
        "training": {"steps": 3},
        "stop": {"patience": 5, "approval_rounds": 5},
    }
    path = folder / "bootstrap_config.json"
    path.write_text(json.dumps({**data, **changes}))
    return path
