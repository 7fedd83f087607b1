"""A command in another process, as one in a terminal: it holds a folder and notes how far it is."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

COMMAND = """
import sys
from pathlib import Path
from twinloop.ports import SilentReporter
from twinloop.store.lock import locked
from twinloop.store.progress import NotedProgress, progress_cleared
folder = Path(sys.argv[1])
with locked(folder), progress_cleared(folder):
    NotedProgress(folder, SilentReporter()).progress("Scanning", 3, 40)
    print("working", flush=True)
    sys.stdin.read()
"""


@contextmanager
def working_elsewhere(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """It has come to 3 of 40 when the block begins, and ends with it at the latest."""
    with subprocess.Popen(
        [sys.executable, "-c", COMMAND, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None and process.stdout.readline() == "working\n"
        try:
            yield process
        finally:
            if process.poll() is None:
                process.communicate(timeout=20)
