"""A supervisor of worker processes with short patience."""

from __future__ import annotations

from tests.unit.adapters.scanning.jobs import HERE
from twinloop.adapters.scanning.supervisor import Limits, Supervisor


def supervisor(count: int = 1, timeout: float = 20.0, entry: str = "make", **arguments: object) -> Supervisor[str]:
    return Supervisor(f"{HERE}:{entry}", arguments, count, Limits(timeout, memory=256))
