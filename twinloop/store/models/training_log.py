"""What a training wrote of its steps (``metrics.jsonl``), read again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from twinloop.domain.validation_loss import ValidationLoss, validation_of
from twinloop.store.atomic import storage_errors


@dataclass(frozen=True)
class LoggedStep:
    """One line. ``loss``: None = it was not finite; ``validation``: None = there was none after this step."""

    step: int
    loss: float | None
    validation: ValidationLoss | None


def logged_steps(path: Path) -> tuple[LoggedStep, ...]:
    """All whole lines, in their order; none where there is no such file.

    Raises:
        StorageError: it cannot be read.
    """
    if not path.exists():
        return ()
    with storage_errors(path):
        lines = path.read_bytes().splitlines()
    return tuple(step for line in lines for step in _parsed(line))


def _parsed(line: bytes) -> Iterator[LoggedStep]:
    """The step of a line; nothing where the line was cut off."""
    try:
        data = json.loads(line)
        step, loss = int(data["step"]), data["loss"]
        yield LoggedStep(step, None if loss is None else float(loss), validation_of(step, data))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return
