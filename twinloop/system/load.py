"""How much of the processors other programs take."""

from __future__ import annotations

import os


def is_busy() -> bool:
    """Whether more work waits for the processors than they do at once; False where the system does not tell."""
    # Windows has no load average. One program that computes comes to one for each processor.
    return hasattr(os, "getloadavg") and os.getloadavg()[0] > 1.1 * (os.cpu_count() or 1)
