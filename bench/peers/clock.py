"""When things happened in a process that a bench started: seconds on the clock and of the processor, since the process
was asked for.

Only the standard library is imported here: the two sides have environments of their own.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from pathlib import Path
from typing import Any

BEGUN = "BENCH_BEGUN"
"""Variable that tells a process when it was asked for, in seconds of `time.time`."""

LAUNCHED = "BENCH_LAUNCHED"
"""Variable that tells a process that its parent is a launcher, whose work counts as well."""


class Clock:
    """Moments of this process."""

    def __init__(self) -> None:
        self._begun = float(os.environ.get(BEGUN, time.time()))
        self._launcher = os.getppid() if LAUNCHED in os.environ else None
        self.marks: dict[str, tuple[float, float]] = {}
        self.steps: list[tuple[float, float]] = []
        self.losses: list[float] = []
        self.gpu_peaks: list[float] = []
        self.peak = 0.0

    def now(self) -> tuple[float, float]:
        """Seconds on the clock since the process was asked for, and of the processor."""
        launching = _processor_time(self._launcher) if self._launcher else 0.0
        return time.time() - self._begun, time.process_time() + launching

    def mark(self, name: str) -> None:
        """Something was reached, for the first time."""
        self.marks.setdefault(name, self.now())

    def step(self, loss: float) -> None:
        """An optimizer step ended.

        The peak of memory is that of training: what comes after the last step does not count. On a GPU every step has
        one of its own: loading, and photos that are encoded beside the first steps, may take more than any step.
        """
        self.steps.append(self.now())
        self.losses.append(loss)
        self.peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        torch = sys.modules.get("torch")
        if torch is not None and torch.cuda.is_available():
            self.gpu_peaks.append(torch.cuda.max_memory_allocated() / 2**20)
            torch.cuda.reset_peak_memory_stats()

    def report(self, **more: Any) -> str:
        """One line of JSON, for the bench; memory in MiB."""
        return json.dumps(
            {
                "marks": self.marks,
                "steps": self.steps,
                "losses": self.losses,
                "peak": self.peak,
                "gpu_peaks": self.gpu_peaks,
                **more,
            }
        )


def _processor_time(process: int) -> float:
    """Seconds of the processor that another process has used. Linux only."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")  # utime and stime, see proc(5)
