"""The commands that the menu starts, as processes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.functional.console import ROOT
from twinloop.menu.runner import ProcessRunner


def test_a_command_that_fails_has_no_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    runner = ProcessRunner()
    assert runner.ask(["vault", "status"]) is None, "nothing was scanned"
    assert runner.ask(["facets"]).keys() == {"facets"}
