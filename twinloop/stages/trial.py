"""The checkpoints of one training, each measured on a small fixed panel: which one is taken, and when it is time to
stop.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from twinloop.domain.records import PanelScore
from twinloop.stages import decide
from twinloop.store.atomic import write_json

Measure = Callable[[Path, int], PanelScore]
"""A LoRA file and its step -> its score, with the step as version."""


class Trial:
    """Measures checkpoint after checkpoint.

    The panel has seeds of its own: the full panel, by which rounds are compared, then does not flatter a choice that
    was made on it.

    Args:
        steps: of the checkpoints, ascending. record: where the outcome is written.
        patience: stop after so many in a row that are no better than the best; 0 = never.
    """

    def __init__(self, steps: tuple[int, ...], measure: Measure, record: Path, patience: int = 0) -> None:
        self.steps, self.patience = steps, patience
        self._measure, self._record = measure, record
        self.scores: list[PanelScore] = []

    def enough(self, step: int, lora: Path) -> bool:
        """Measure the checkpoint of ``step``; whether the training may stop with it."""
        self.scores.append(self._measure(lora, step))
        behind = len(self.scores) - 1 - [score.version for score in self.scores].index(self.best)
        return bool(self.patience) and behind >= self.patience

    @property
    def best(self) -> int:
        """The step of the best checkpoint so far; the earlier one of two that are equal."""
        return decide.best(self.scores).version

    def settle(self) -> int:
        """Write down the outcome; the step of the best."""
        write_json(self._record, outcome(self.steps, self.scores))
        return self.best


def outcome(steps: Sequence[int], scores: Sequence[PanelScore]) -> dict[str, Any]:
    """The record of a trial: which checkpoint is taken, whether later ones were left out, and all that were measured.

    Args:
        steps: of all checkpoints that were to be measured. scores: of those that were, in their order; at least one.
    """
    return {
        "chosen": decide.best(scores).version,
        "stopped_early": len(scores) < len(steps),
        "checkpoints": [{"step": score.version, **_without_version(score)} for score in scores],
    }


def _without_version(score: PanelScore) -> dict[str, Any]:
    return {name: value for name, value in score.to_json().items() if name != "version"}
