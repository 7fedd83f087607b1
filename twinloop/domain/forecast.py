"""What a training will need, before it starts: memory, disk, time, and which memory budget suffices with which
settings.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

from twinloop.domain.quantised import Quantization
from twinloop.domain.wording import agree, plural

GIB = 1 << 30
BUDGETS = (8, 12, 16, 24)
"""GiB of the usual graphics cards."""
A_FEW = 10
"""Seconds below which a forecast names no number."""


@dataclass(frozen=True)
class MemoryPlan:
    """How a step is worked through, and the most memory it takes.

    Attributes:
        micro_batch: pictures at once. checkpointing: activations are computed again on the way back. peak: bytes.
        quantization: of the base model's weights, where it is another than the configured one.
        blocks_to_swap: so many of the model's blocks wait in main memory while others compute.
    """

    micro_batch: int
    checkpointing: bool
    peak: int
    quantization: Quantization | None = None
    blocks_to_swap: int = 0

    def __str__(self) -> str:
        how = "with" if self.checkpointing else "without"
        weights = "" if self.quantization is None else f', with "quantization": "{self.quantization}"'
        swapped = f", {plural(self.blocks_to_swap, 'block')} swapped, which is slower" if self.blocks_to_swap else ""
        way = f"{plural(self.micro_batch, 'picture')} at a time, {how} gradient checkpointing{swapped}{weights}"
        return f"{self.peak / GIB:.1f} GiB, {way}"


@dataclass(frozen=True)
class Forecast:
    """One training.

    Attributes:
        plan: what is taken on this machine. memory: bytes it may use here, None = not limited by a GPU.
        disk: bytes for checkpoints, caches and LoRA files. seconds: of all steps, a rough guess; None = no guess.
        budgets: GiB -> the plan that fits, None = none does.
        rough: why the time is less sure than usual; "" = it is not.
        own_sizes: the time counts pictures that are smaller than the resolution at their own sizes; memory has to hold
            the largest.
    """

    plan: MemoryPlan
    memory: int | None
    disk: int
    seconds: float | None
    budgets: dict[int, MemoryPlan | None]
    own_sizes: bool = False
    rough: str = ""

    def of_smaller(self, share: float) -> Forecast:
        """Of pictures with this share of the pixels that the resolution allows: a step's work grows with them."""
        if share >= 1 or self.seconds is None:
            return self
        return replace(self, seconds=self.seconds * share, own_sizes=True)

    @property
    def line(self) -> str:
        """For the start of a run."""
        time = "" if self.seconds is None else f", {_duration(self.seconds, self.rough)}"
        time += " with the photos at their own sizes" if self.own_sizes else ""
        room = "" if self.memory is None else f" of {self.memory / GIB:.1f}"
        swapped = self.plan.blocks_to_swap
        slower = "" if not swapped else (
            f" {plural(swapped, 'block')} of the model {agree(swapped, 'waits', 'wait')} in main memory and"
            f" {agree(swapped, 'is', 'are')} brought over in every step (training.blocks_to_swap). That is slower; how"
            " much was not measured, and the time does not count it."
        )  # fmt: skip
        return (
            f"Training needs {self.plan.peak / GIB:.1f}{room} GiB of memory, {self.disk / GIB:.2f} GiB of"
            f" disk{time}.{slower}"
        )

    @property
    def details(self) -> list[str]:
        """One line per budget."""
        return [
            f"a card of {budget} GiB: "
            + ("too little; lower training.resolution or training.rank" if plan is None else f"needs {plan}")
            for budget, plan in sorted(self.budgets.items())
        ]

    def to_json(self) -> dict[str, Any]:
        return {
            "line": self.line,
            "memory_bytes": self.plan.peak,
            "memory_there_bytes": self.memory,
            "disk_bytes": self.disk,
            "seconds": None if self.seconds is None else round(self.seconds),
            "plan": asdict(self.plan),
            "budgets_gib": {
                str(budget): None if plan is None else asdict(plan) for budget, plan in sorted(self.budgets.items())
            },
        }


def _duration(seconds: float, rough: str) -> str:
    if seconds < A_FEW:
        return "a few seconds"
    text = f"{seconds / 60:.0f} minutes" if seconds < 5400 else f"{seconds / 3600:.1f} hours"
    text = f"{seconds:.0f} s" if seconds < 90 else text
    return f"{text} as a rough guess ({rough})" if rough else f"about {text}"
