"""What was decided of a round stays decided, also where a newer version would decide otherwise."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.functional import loops


def test_a_finished_run_that_is_gone_through_again_keeps_its_decisions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    loops.write_photos(Path("photos"))
    loops.run(loops.settings())
    path = Path("out/iteration_history.json")
    history = json.loads(path.read_text())
    first = history["iterations"][0]
    first["improvement"] = {**first["improvement"], "low": -0.5}
    path.write_text(json.dumps(history))
    again = loops.run(loops.settings())
    assert again.rounds[0].facts.improvement is not None and again.rounds[0].facts.improvement.low == -0.5
    assert json.loads(path.read_text())["iterations"][0] == first
