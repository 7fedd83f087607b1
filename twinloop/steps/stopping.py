"""Whether a run ends after a round: asked while it goes on, and of one that had ended."""

from __future__ import annotations

from collections.abc import Sequence

from twinloop.config import Settings
from twinloop.domain.records import Dataset
from twinloop.stages import decide
from twinloop.stages.decide import RoundFacts, Stop
from twinloop.stages.merge import room
from twinloop.steps.gaps import what_was_measured
from twinloop.steps.stage_options import stop_rules
from twinloop.store.run.workspace import Workspace


def stop_after(
    settings: Settings,
    workspace: Workspace,
    rounds: Sequence[RoundFacts],
    *,
    gaps_left: bool,
    dataset: Dataset | None,
    earlier: Stop | None,
) -> Stop | None:
    """Stop, and why, or go on, after finished rounds.

    Args:
        gaps_left: whether the next round would have any.
        dataset: that the next round begins with; None = it is not there now, and whether it is full is as it was
            ``earlier``. Not asked for where no gaps are left.
        earlier: why the run had ended after so many rounds; None = it had not.
    """
    if not gaps_left:
        measured = what_was_measured(workspace, len(rounds) + 1)
        return decide.no_gaps(measured.lacking, measured.facets)
    if dataset is None:
        if earlier is not None and earlier.rule == decide.FULL:
            return earlier
        return _by_rules(rounds, stop_rules(settings), earlier)
    share = settings.merge.max_synthetic_share
    full = decide.Full(room(dataset, share), share)
    if not rounds:  # also where a gap was added to those of a run that had ended for want of any
        return full(rounds)
    return _by_rules(rounds, stop_rules(settings, full), earlier)


def _by_rules(rounds: Sequence[RoundFacts], rules: Sequence[decide.StopRule], earlier: Stop | None) -> Stop | None:
    return decide.decide(rounds, rules) if earlier is None else decide.decide_again(earlier, rounds, rules)
