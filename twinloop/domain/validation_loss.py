"""The loss on photos that are never trained on, measured on the way of a training; when it speaks of overfitting."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from twinloop.domain.json_fields import entry, entry_or, list_of, number, whole

RISES = 3
"""So many validations in a row, each with a higher loss than the one before, are a sign of overfitting."""


@dataclass(frozen=True)
class TimeLoss:
    """The mean loss of all validation photos with the noise of one time, 0..1000."""

    time: int
    loss: float


@dataclass(frozen=True)
class ValidationLoss:
    """One validation, after ``step``; at least one time."""

    step: int
    by_time: tuple[TimeLoss, ...]

    @property
    def loss(self) -> float:
        """The mean over all times."""
        return round(sum(one.loss for one in self.by_time) / len(self.by_time), 6)


def validation_json(measured: ValidationLoss | None) -> dict[str, Any]:
    """The fields of a record; null and none where nothing was measured."""
    if measured is None:
        return {"validation_loss": None, "validation_losses": []}
    return {
        "validation_loss": measured.loss,
        "validation_losses": [{"time": one.time, "loss": one.loss} for one in measured.by_time],
    }


def validation_of(step: int, data: Mapping[str, Any]) -> ValidationLoss | None:
    """What `validation_json` made; None where nothing was measured, or the record knows nothing of it."""
    found = entry_or(data, "validation_losses", list_of(_time_loss), ())
    return ValidationLoss(step, found) if found else None


def _time_loss(data: Any) -> TimeLoss:
    return TimeLoss(entry(data, "time", whole), entry(data, "loss", number))


def begins_to_overfit(losses: Sequence[float]) -> bool:
    """Whether the last of these losses is the first that ends `RISES` rises in a row."""
    rises = [0]
    for before, now in pairwise(losses):
        rises.append(rises[-1] + 1 if now > before else 0)
    return rises[-1] == RISES and max(rises[:-1]) < RISES
