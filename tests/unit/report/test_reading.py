"""Artefacts -> run record: whole, half-way, and damaged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.unit.report.conftest import edit, workspace_in
from tests.unit.things import score
from twinloop.errors import NothingToDo, StateError
from twinloop.report.model import RunRecord
from twinloop.report.reading import read_run
from twinloop.stages.pick import pick
from twinloop.store.atomic import write_json


def test_a_finished_run_is_read_whole(record: RunRecord) -> None:
    assert (record.person, record.trigger, record.base_model) == ("ana", "ohwx ana", "fake")
    assert len(record.rounds) == len(record.verdicts) == len(record.datasets) == 3
    assert len(record.surveys) == 4
    assert len(record.scores) == len(record.loras) == 4
    assert len(record.panel) == 4
    assert record.stop is not None
    assert record.stop.rule == "budget"
    assert record.gaps_left == len(record.surveys[-1].gaps)
    assert {Path(path).name for path, _ in record.left_out} >= {"broken.jpg", "wall.png"}
    assert record.identity is not None
    assert 0 < len(record.identity.held_out) < record.identity.photos


def test_counts_agree_between_artefacts(record: RunRecord) -> None:
    for entry, verdicts in zip(record.rounds, record.verdicts, strict=True):
        assert entry.tally.total == len(verdicts)
        assert entry.tally.approved == sum(verdict.outcome == "approved" for verdict in verdicts)


def test_what_is_special_about_a_version(home: Path, record: RunRecord) -> None:
    worse = next(entry.version for entry in record.rounds if entry.version != record.best)

    def rolled_back(data: Any) -> None:
        for entry in data["iterations"]:
            entry["rolled_back"] = entry["lora_version"] in (worse, record.best)

    edit(home / "out/iteration_history.json", rolled_back)
    remarks = {version: read_run(workspace_in(home)).remark(version) for version in range(1, 5)}
    assert remarks == {**dict.fromkeys(range(1, 5), ""), worse: "rolled back", record.best: "best"}
    assert record.round_of(1) is None


def test_every_missing_artefact_leaves_the_rest(home: Path) -> None:
    for name in (
        "iteration_history.json",
        "identity_reference.json",
        "panel.json",
        "panel_v2.json",
        "verdicts_iter1.json",
        "dataset_iter0.json",
    ):
        (home / "out" / name).unlink()
        run = read_run(workspace_in(home))
        assert run.surveys
    assert run.person == "ana"
    assert (run.rounds, run.stop, run.photos, run.identity, run.panel, run.verdicts) == ((), None, None, None, (), ())
    assert (len(run.scores), run.best) == (1, 1)


def test_lora_records_elsewhere_are_taken_from_the_history(home: Path, record: RunRecord) -> None:
    (home / "loras").rename(home / "moved")
    assert read_run(workspace_in(home)).loras == record.loras


def test_a_folder_without_a_run(tmp_path: Path) -> None:
    with pytest.raises(NothingToDo, match=r"run\.json"):
        read_run(workspace_in(tmp_path))


@pytest.mark.parametrize(
    "name",
    [
        "iteration_history.json",
        "gaps_iter2.json",
        "verdicts_iter1.json",
        "panel_v1.json",
        "dataset_iter0.json",
        "identity_reference.json",
    ],
)
def test_damage_names_the_file(name: str, home: Path) -> None:
    path = home / "out" / name
    whole = path.read_bytes()
    for damaged in (
        whole[: len(whole) // 2],
        b"[]",
        b'{"iterations": [{}], "verdicts": [{}], "facets": [], "members": 3, "metrics": [], "measured": true}',
    ):
        path.write_bytes(damaged)
        with pytest.raises(StateError, match=name.replace(".", r"\.")):
            read_run(workspace_in(home))


def test_a_run_record_of_another_program_names_the_file(home: Path) -> None:
    (home / "out" / "run.json").write_text("[]")
    with pytest.raises(StateError, match=r"run\.json does not hold"):
        read_run(workspace_in(home))


def test_no_identity_says_why(home: Path) -> None:
    edit(
        home / "out/identity_reference.json",
        lambda data: (data.clear(), data.update(measured=False, why="validation.identity is false")),
    )
    identity = read_run(workspace_in(home)).identity
    assert identity is not None
    assert identity.why == "validation.identity is false"


def test_a_version_that_is_newer_than_the_record_can_be_the_best(home: Path, record: RunRecord) -> None:
    """Interrupted just after v2 was measured: the record still says that v1 is the best."""
    better = [value + 0.5 for value in record.scores[0].samples["overall"]]
    write_json(home / "out/panel_v2.json", score(2, overall=better).to_json())
    (home / "out/panel_v3.json").unlink()
    edit(
        home / "out/iteration_history.json",
        lambda data: data.update(stop=None, best_version=1, iterations=[], best_against_v1={}),
    )
    assert read_run(workspace_in(home)).best == 2


def test_changes_that_are_recorded_of_another_version_are_not_told_of_the_best(home: Path) -> None:
    def interrupted(data: Any) -> None:
        best = data["best_version"]
        data.update(stop=None, iterations=[])
        data["best_version"] = next(version for version in (2, 3, 4) if version != best)

    assert read_run(workspace_in(home)).against_v1 != {}
    edit(home / "out/iteration_history.json", interrupted)
    assert read_run(workspace_in(home)).against_v1 == {}


def test_while_a_run_goes_on_a_rolled_back_version_is_not_the_best(home: Path, record: RunRecord) -> None:
    assert record.best is not None and record.best > 1

    def dropped(data: Any) -> None:
        data.update(stop=None)
        for entry in data["iterations"]:
            entry["rolled_back"] = entry["lora_version"] == record.best

    edit(home / "out/iteration_history.json", dropped)
    run = read_run(workspace_in(home))
    assert run.best != record.best and run.rolled_back(record.best)
    assert run.remark(record.best) == "rolled back"


def test_what_a_person_picked_is_read(home: Path, record: RunRecord) -> None:
    assert record.picked is None and record.chosen == record.best
    pick(workspace_in(home), 1)
    run = read_run(workspace_in(home))
    assert (run.picked, run.chosen, run.best) == (1, 1, record.best)
    (home / "loras/final.json").write_text("{}")
    with pytest.raises(StateError, match=r"final\.json"):
        read_run(workspace_in(home))
