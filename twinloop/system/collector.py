"""When Python's garbage collector need not look."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def importing() -> Iterator[None]:
    """For imports of libraries as large as PyTorch: the collector rests inside, and never looks at what they made.

    They make half a million objects, and nearly none of them is garbage. The collector would go through them again
    and again meanwhile, a quarter of the time that the imports take (docs/performance.md), and once more with every
    full collection later. What is garbage at the end stays, so this is for imports, not for work.
    """
    if not gc.isenabled():  # inside another of these, which does it all, or the user wants it so
        yield
        return
    known = len(sys.modules)
    gc.disable()
    try:
        yield
        if len(sys.modules) > known:
            gc.freeze()
    finally:
        gc.enable()
