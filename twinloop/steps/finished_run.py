"""A run that had come to its end, started again: what it said when it did things is not said once more."""

from __future__ import annotations

import contextlib
from dataclasses import replace

from twinloop.config import Settings
from twinloop.domain.records import Dataset
from twinloop.ports import Reporter
from twinloop.stages import decide
from twinloop.stages.decide import Stop
from twinloop.stages.history import Earlier
from twinloop.stages.rounds import RunResult, result_from_json
from twinloop.steps.stopping import stop_after
from twinloop.store.atomic import read_as, read_json, read_object
from twinloop.store.run.workspace import Workspace


def ended(settings: Settings, workspace: Workspace) -> RunResult | None:
    """What a run came to, by its own record; None = it has not ended, would go on by the rules of today's settings, or
    its record is unknown.
    """
    if not workspace.history.exists():
        return None
    with contextlib.suppress(IndexError, KeyError, TypeError, ValueError, AttributeError):
        result = result_from_json(read_json(workspace.history))
        if result.stop is None:
            return None
        stop = _stop_now(settings, workspace, result, result.stop)
        return None if stop is None else replace(result, stop=stop)
    return None


def _stop_now(settings: Settings, space: Workspace, result: RunResult, earlier: Stop) -> Stop | None:
    """As the run itself decides. The gaps after the last round may have been changed by hand since."""
    gaps = read_object(space.gaps(len(result.rounds) + 1)).get("recommendations")
    if not gaps and earlier.rule == decide.NO_GAPS.rule:
        return earlier
    facts = [entry.facts for entry in result.rounds]
    kept = max((entry.facts.iteration for entry in result.rounds if not entry.rolled_back), default=0)
    # where it is gone, the run makes it once more
    there = gaps != [] and space.dataset(kept).exists()
    dataset = read_as(space.dataset(kept), Dataset.from_json) if there else None
    return stop_after(settings, space, facts, gaps_left=gaps != [], dataset=dataset, earlier=earlier)


class FinishedRunReporter:
    """A `Reporter` that keeps lines and warnings of finished rounds to itself, where the run had ended; progress is
    shown.

    Args:
        earlier: what the run had come to.
    """

    def __init__(self, earlier: Earlier, reporter: Reporter) -> None:
        self._reporter = reporter
        self._silent, self._rounds = earlier.stop is not None, len(earlier.rounds)

    def nothing_new(self) -> bool:
        """Whether the run ends without a round that it had not had; what is said from now on is heard."""
        nothing, self._silent = self._silent, False
        return nothing

    def round_begins(self, iteration: int) -> None:
        """A round is next; the first one that there was not before ends the silence."""
        if self._silent and iteration > self._rounds:
            self._silent = False
            self._reporter.line(f"This run had ended after round {self._rounds}; going on with round {iteration}.")

    def line(self, text: str) -> None:
        if not self._silent:
            self._reporter.line(text)

    def warn(self, text: str) -> None:
        if not self._silent:
            self._reporter.warn(text)

    def progress(self, label: str, done: float, total: int) -> None:
        self._reporter.progress(label, done, total)
