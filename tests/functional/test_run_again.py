"""A finished run, started again: nothing is done and one line says so; with a larger budget it goes on."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.functional import loops
from tests.unit.things import Recording
from twinloop.adapters.fakes import fake_pack
from twinloop.config import Settings
from twinloop.errors import StateError
from twinloop.stages.rounds import history_json, result_from_json
from twinloop.steps import check_same_run
from twinloop.store.run.workspace import workspace_of
from twinloop.wiring import build_toolbox


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
        *first[-4:],
        "  For more rounds raise max_iterations (now 1) in the configuration and run the same command again.",
    ]
    assert first[-2].startswith("  Better than v1? ") and first[-1].startswith("  Best LoRA: v")
    assert loops.tree("out", "loras") == before

    more, _ = said(loops.settings(max_iterations=2))
    assert more[0] == "This run had ended after round 1; going on with round 2."
    assert "\nIteration 2:" in more and "\nIteration 1:" not in more and "\nStopped." in more


def test_a_lower_budget_does_not_change_why_a_run_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    loops.write_photos(Path("photos"))
    said(loops.settings(max_iterations=2))
    before = loops.tree("out", "loras")
    again, _ = said(loops.settings(max_iterations=1))
    assert "  Reason: 2 iterations done (max_iterations)" in again
    assert loops.tree("out", "loras") == before


def test_a_finished_run_hands_no_damaged_lora_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    loops.write_photos(Path("photos"))
    said(loops.settings(max_iterations=1))
    before = loops.tree("loras")
    for path in sorted(Path("loras").glob("lora_v?.safetensors")):
        whole = path.read_bytes()
        path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
        with pytest.raises(StateError, match=f"{path.name} is not the file that"):
            said(loops.settings(max_iterations=1))
        path.unlink()
        path.with_suffix(".json").unlink()
        assert said(loops.settings(max_iterations=1))[0][0] == "This run finished earlier: nothing to do."
        assert loops.tree("loras") == before


def test_a_run_that_cannot_go_on_names_the_restart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    loops.write_photos(Path("photos"))
    chosen = loops.settings(validation={"min_face_confidence": 1.0})
    said(chosen)
    lines, _ = said(chosen)
    assert lines[0] == "This run finished earlier: nothing to do." and "--restart" in lines[-1]


def test_a_finished_run_of_other_detectors_has_nothing_to_do_and_does_not_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of it is looked at again: today's detectors and limits would sort its images otherwise."""
    monkeypatch.chdir(tmp_path)
    loops.write_photos(Path("photos"))
    chosen = loops.settings(max_iterations=1)
    first, _ = said(chosen)
    record = json.loads(Path("out/run.json").read_text())
    Path("out/run.json").write_text(json.dumps({**record, "observer": "older"}))
    before = loops.tree("out", "loras")

    other = replace(fake_pack(), least_sharpness=0.03)
    monkeypatch.setattr("twinloop.wiring.measuring.build_pack", lambda *_: other)
    monkeypatch.setattr("twinloop.adapters.fakes.FakeDetectors.detect", lambda *_: pytest.fail("looked again"))
    again, _ = said(chosen)
    assert again[0] == "This run finished earlier: nothing to do." and again[1:5] == first[-4:]
    after = loops.tree("out", "loras")
    assert after.keys() == before.keys()
    assert [name for name in after if after[name] != before[name]] == ["out/report.html"], "it names the detectors"
    check_same_run(chosen, build_toolbox(chosen, Recording()), workspace_of(chosen))
    with pytest.raises(StateError, match="detectors measure differently"):
        said(loops.settings(max_iterations=2))
    with pytest.raises(StateError, match=r"observer: other detectors(.|\n)*sharpness_share: null -> 0\.3"):
        said(loops.settings(max_iterations=2, validation={"sharpness_share": 0.3}))
    with pytest.raises(StateError, match=r"settings\.seed: 0 -> 3"):
        said(loops.settings(max_iterations=1, seed=3))


def test_what_a_run_came_to_is_read_back_from_its_history(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    loops.write_photos(Path("photos"))
    outcome = loops.run(loops.settings(max_iterations=2))
    recorded = json.loads(Path("out/iteration_history.json").read_text())
    assert len(outcome.rounds) == 2 and outcome.stop is not None
    assert json.loads(json.dumps(history_json(result_from_json(recorded), "ana", "fake"))) == recorded


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


def test_the_figures_of_each_version_are_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    loops.write_photos(Path("photos"))
    lines, _ = said(loops.settings(max_iterations=1))
    measured = [line for line in lines if "Measured: LoRA v" in line]
    assert (
        measured[0].startswith("✓ Measured: LoRA v1, on-target rate ")
        and ", identity " in measured[0]
        and ", overall " in measured[0]
    )
