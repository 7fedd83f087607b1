"""One end of a pipe is handed over by what each system has for it; that it arrives, `test_supervisor.py` shows."""

from __future__ import annotations

import os
import subprocess
import sys
from multiprocessing import Pipe
from types import SimpleNamespace

import pytest

from twinloop.adapters.scanning.inherited import popen_options


def test_windows_inherits_just_this_handle(monkeypatch: pytest.MonkeyPatch) -> None:
    inheritable: list[tuple[int, bool]] = []
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(subprocess, "STARTUPINFO", SimpleNamespace, raising=False)
    monkeypatch.setattr(os, "set_handle_inheritable", lambda *told: inheritable.append(told), raising=False)
    ours, theirs = Pipe()
    with ours, theirs:
        handle = theirs.fileno()
        assert popen_options(theirs)["startupinfo"].lpAttributeList == {"handle_list": [handle]}
    assert inheritable == [(handle, True)]
