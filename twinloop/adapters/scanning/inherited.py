"""Handing one end of a pipe to a process that is started: a descriptor, on Windows a handle."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

__all__ = ["PipeEnd", "opened", "popen_options"]

if sys.platform == "win32":
    from multiprocessing.connection import PipeConnection as PipeEnd
else:
    from multiprocessing.connection import Connection as PipeEnd


def popen_options(end: PipeEnd) -> dict[str, Any]:
    """Arguments of `subprocess.Popen` that leave this end, and nothing else, to the process; ``end.fileno()`` is its
    name there, too.
    """
    if sys.platform == "win32":
        os.set_handle_inheritable(end.fileno(), True)
        return {"startupinfo": subprocess.STARTUPINFO(lpAttributeList={"handle_list": [end.fileno()]})}
    return {"pass_fds": [end.fileno()]}


def opened(name: int) -> PipeEnd:
    """The end that this process was started with."""
    return PipeEnd(name)
