"""What is said of a round: the threshold as it was set."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.functional import loops
from tests.unit.things import Recording
from twinloop.config import Settings
from twinloop.domain.statistics import Estimate
from twinloop.domain.wording import percent
from twinloop.stages.decide import RoundFacts
from twinloop.stages.rounds import Round
from twinloop.steps import Run
from twinloop.steps.ending import say_round
from twinloop.store.journal import Journal
from twinloop.store.run.catalog import Catalog
from twinloop.store.run.workspace import workspace_of
from twinloop.wiring import build_toolbox


def said(gain: float, **changes: object) -> str:
    """The line about a round whose LoRA is better by a share."""
    chosen: Settings = loops.settings(**changes)
    reporter = Recording()
    space = workspace_of(chosen)
    run = Run(chosen, build_toolbox(chosen, reporter), space, Journal(space.journal), Catalog(None))
    facts = RoundFacts(1, 1, 1, 1, Estimate(gain, gain - 0.01, gain + 0.01, 24))
    say_round(run, Round(facts, (), None, 1, None, None, 1, False))  # type: ignore[arg-type]
    return reporter.lines[-1]


@pytest.mark.parametrize(
    ("threshold", "gain", "words"),
    [
        (0.05, 0.042, "4.2% (below 5% threshold;"),
        (0.025, 0.022, "2.2% (below 2.5% threshold;"),
        (0.005, 0.02, "2.0% (threshold 0.5%;"),
        (0.05, 0.052, "5.2% (threshold 5%;"),
    ],
)
def test_the_threshold_is_shown_as_it_was_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, threshold: float, gain: float, words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert f"✓ Improvement: {words}" in said(gain, convergence_threshold=threshold)


def test_a_share_has_the_digits_that_it_has() -> None:
    assert [percent(share) for share in (0.05, 0.07, 0.29, 0.0, 0.125)] == ["5%", "7%", "29%", "0%", "12.5%"]
