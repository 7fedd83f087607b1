"""How much of the processors other programs take."""

from __future__ import annotations

import os


def is_busy() -> bool:
    """Whether more work waits for the processors than they do at once; False where the system does not tell."""
    try:
        waiting = os.getloadavg()[0]
    except (AttributeError, OSError):  # Windows has no load average, and a sandbox may hide it
        return False
    return waiting > 1.1 * (os.cpu_count() or 1)  # one program that computes comes to one for each processor
