"""A run that had come to its end, started again: what it said when it did things is not said once more."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import Any

from twinloop.config import Settings
from twinloop.ports import Reporter
from twinloop.stages import decide
from twinloop.stages.rounds import RunResult, result_from_json
from twinloop.steps.options import stop_rules
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
        if result.stop is not None and result.stop.rule == decide.NO_GAPS.rule and _gaps_now(result, workspace):
            return None
        if result.stop is not None and result.stop.rule not in (decide.NO_GAPS.rule, decide.FULL):
            rounds = [entry.facts for entry in result.rounds]
            result = replace(result, stop=decide.decide_again(result.stop, rounds, stop_rules(settings)))
        return None if result.stop is None else result
    return None


def _gaps_now(result: RunResult, workspace: Workspace) -> bool:
    """Whether a gap was added by hand to those of a run that had ended for want of any."""
    return bool(read_object(workspace.gaps(len(result.rounds) + 1)).get("recommendations"))


def _standing(history: Any) -> tuple[bool, int]:
    """Whether the run had ended, and how many rounds it had."""
    return history.get("stop") is not None, len(history.get("iterations", ()))


class FinishedRunReporter:
    """A `Reporter` that keeps lines and warnings of finished rounds to itself, where the run had ended; progress is
    shown.

    Args:
        workspace: as the run before left it.
    """

    def __init__(self, workspace: Workspace, reporter: Reporter) -> None:
        self._reporter = reporter
        self._silent, self._rounds = False, 0
        if workspace.history.exists():
            self._silent, self._rounds = read_as(workspace.history, _standing)

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
