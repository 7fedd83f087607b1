"""A finished run, started again: nothing is done and one line says so; with a larger budget it goes on."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.functional import loops
from tests.unit.things import Recording
from twinloop.config import Settings


def said(chosen: Settings) -> tuple[list[str], list[str]]:
    reporter = Recording()
    loops.run(chosen, reporter=reporter)
    return reporter.lines, reporter.warnings


def test_a_finished_run_says_so_and_how_it_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    loops.write_photos(Path("photos"))
    first, _ = said(loops.settings(max_iterations=1))
    assert "\nIteration 1:" in first and "\nStopped." in first
    before = loops.tree("out", "loras")

    again, _ = said(loops.settings(max_iterations=1))
    assert again[0] == "This run finished earlier: nothing to do."
    assert again[1:] == [
        *first[-4:], "  For more rounds raise max_iterations (now 1) in the configuration and run the same command again."
    ]  # fmt: skip
    assert first[-2].startswith("  Better than v1? ") and first[-1].startswith("  Best LoRA: v")
    assert loops.tree("out", "loras") == before

    more, _ = said(loops.settings(max_iterations=2))
    assert more[0] == "This run had ended after round 1; going on with round 2."
    assert "\nIteration 2:" in more and "\nIteration 1:" not in more and "\nStopped." in more


def test_a_run_that_cannot_go_on_names_the_restart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    loops.write_photos(Path("photos"))
    chosen = loops.settings(validation={"min_face_confidence": 1.0})
    said(chosen)
    lines, _ = said(chosen)
    assert lines[0] == "This run finished earlier: nothing to do." and "--restart" in lines[-1]


def test_a_kill_while_a_finished_run_is_gone_through_loses_none_of_its_history(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    loops.write_photos(Path("photos"))
    said(loops.settings(max_iterations=2))
    before = loops.tree("out", "loras")

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr("twinloop.loop.steps.generate", killed)
        said(loops.settings(max_iterations=2))
    assert loops.tree("out", "loras") == before
    lines, _ = said(loops.settings(max_iterations=2))
    assert lines[0] == "This run finished earlier: nothing to do."
