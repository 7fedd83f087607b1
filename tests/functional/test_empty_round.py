"""A round in which nothing is approved: no LoRA is trained for it, and the run stops and says so."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.functional import loops
from tests.unit.things import Recording


def test_nothing_approved_trains_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    loops.write_photos(Path("photos"))
    reporter = Recording()
    outcome = loops.run(loops.settings(validation={"min_face_confidence": 1.0}), reporter=reporter)
    assert outcome.stop is not None and outcome.stop.rule == "nothing_approved"
    assert outcome.best == 1
    assert not Path("loras/lora_v2.safetensors").exists()
    history = json.loads(Path("out/iteration_history.json").read_text())
    assert [entry["lora_version"] for entry in history["iterations"]] == [1]
    assert history["iterations"][0]["merged"] == 0 and history["iterations"][0]["improvement"] is None
    rejected = history["iterations"][0]["rejected"]
    first = reporter.lines.index("\nIteration 1:")
    told = [line for line in reporter.lines[first:] if not line.startswith("  ✓ G")]
    assert told[1] == "  - Validation: 0 approved (0%)"
    assert told[2].startswith(f"    Why rejected: uncertain face {rejected}"), (
        "what stood in the way, the most frequent first"
    )
    assert told[3:5] == ["  - Merged: 0 images into dataset", "  - Improvement: not measured (no new LoRA)"]
    assert Path("out/report.html").exists()


def test_approved_images_that_may_not_join_are_counted_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    loops.write_photos(Path("photos"))
    reporter = Recording()
    outcome = loops.run(loops.settings(max_iterations=1, merge={"max_synthetic_share": 0.1}), reporter=reporter)
    joined, approved = outcome.rounds[0].merged, outcome.rounds[0].tally.approved
    assert 0 < joined < approved
    (merged,) = (line for line in reporter.lines if "Merged:" in line)
    left_out = approved - joined
    assert f"into dataset ({left_out} approved left out: the dataset holds as many generated images as" in merged


def test_where_no_image_may_join_none_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    loops.write_photos(Path("photos"))
    reporter = Recording()
    outcome = loops.run(loops.settings(max_iterations=3, merge={"max_synthetic_share": 0.0}), reporter=reporter)
    assert outcome.stop is not None and outcome.rounds == () and outcome.gaps_left
    told = "holds as many generated images as merge.max_synthetic_share (0%) allows, so those of a round could not join"
    assert any(line.startswith("  Reason: ") and line.endswith(told) for line in reporter.lines)
    assert "\nStopped." in reporter.lines and not Path("out/synthetic_iter1").exists()
    history = json.loads(Path("out/iteration_history.json").read_text())
    assert (history["stop"]["rule"], history["iterations"]) == ("full", [])
    assert "could not join" in Path("out/report.html").read_text()
    again = Recording()
    loops.run(loops.settings(max_iterations=9, merge={"max_synthetic_share": 0.0}), reporter=again)
    assert any("nothing to do" in line for line in again.lines) and not Path("out/synthetic_iter1").exists()


def test_no_round_is_begun_whose_images_could_not_join(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    loops.write_photos(Path("photos"))
    chosen = {"merge": {"max_synthetic_share": 0.1}, "convergence_threshold": 0.0, "stop": {"drift_rounds": 9}}
    outcome = loops.run(loops.settings(max_iterations=4, **chosen))
    assert outcome.stop is not None and outcome.stop.rule == "full" and not outcome.stop.converged
    assert len(outcome.rounds) < 4 and outcome.rounds[-1].merged
    made = sorted(Path("out").glob("**/*.png"))
    again = Recording()
    more = loops.run(loops.settings(max_iterations=9, **chosen), reporter=again)
    assert more.stop == outcome.stop and sorted(Path("out").glob("**/*.png")) == made
    assert any(line.startswith("  To run anew") for line in again.lines), "no setting lets it go on"
