"""Tests compute on the CPU, whatever this machine has; those of `tests/gpu` are asked for."""

from __future__ import annotations

import os
import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import pytest

import tests.gpu.__main__ as gpu_tests

ASKED = os.environ.get("TWINLOOP_TEST_GPU") == "1"


@pytest.mark.skipif(ASKED, reason="the GPU was asked for")
def test_no_gpu_is_there_unless_it_is_asked_for() -> None:
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "-1"


def test_the_tests_of_the_gpu_see_it(monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[dict[str, Any]] = []

    def run(command: list[str], **named: Any) -> SimpleNamespace:
        called.append({"command": command, **named})
        return SimpleNamespace(returncode=0)

    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setattr(sys, "argv", ["tests.gpu"])
    assert gpu_tests.main() == 0
    assert "pytest" in called[-1]["command"] and called[-1]["env"]["TWINLOOP_TEST_GPU"] == "1"
