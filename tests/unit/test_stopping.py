"""Whether a run ends after a round: the same answer while it goes on and once it had ended."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.functional import loops
from tests.unit.things import dataset
from twinloop.domain.records import Dataset
from twinloop.stages import decide
from twinloop.stages.decide import RoundFacts, Stop
from twinloop.steps.stopping import stop_after
from twinloop.store.atomic import write_json
from twinloop.store.run.workspace import Workspace

FULL = Stop(decide.FULL, "as it was said then", False)
BUDGET = Stop("budget", "as it was said then", False)
CROWDED = dataset(4, made=[0, 0, 0, 0])


def after(
    space: Path, *, gaps_left: bool = True, found: Dataset | None = None, earlier: Stop | None = None, **changes: Any
) -> Stop | None:
    """After one round in which half of its images were approved."""
    done = RoundFacts(1, gaps=3, approved=5, total=10, improvement=None)
    return stop_after(
        loops.settings(**changes),
        Workspace(space, space),
        [done],
        gaps_left=gaps_left,
        dataset=found,
        earlier=earlier,
    )


def test_without_gaps_no_rule_is_asked(tmp_path: Path) -> None:
    write_json(tmp_path / "gaps_iter2.json", {"facets": {}})
    assert after(tmp_path, gaps_left=False, earlier=BUDGET, max_iterations=1) == decide.NO_GAPS


@pytest.mark.parametrize("earlier", [None, FULL])
def test_a_full_dataset_ends_the_run_and_is_told_as_it_was_then(earlier: Stop | None, tmp_path: Path) -> None:
    stop = after(tmp_path, found=CROWDED, earlier=earlier, max_iterations=9)
    assert stop is not None and stop.rule == decide.FULL
    assert (stop == FULL) == (earlier is FULL)


def test_whether_a_dataset_that_is_gone_was_full_is_known_from_then(tmp_path: Path) -> None:
    assert after(tmp_path, earlier=FULL, max_iterations=9) == FULL
    assert after(tmp_path, earlier=BUDGET, max_iterations=1) == BUDGET
    assert after(tmp_path, earlier=BUDGET, max_iterations=9) is None
