"""How busy the processors are, told by the system."""

from __future__ import annotations

import os

import pytest

from twinloop.system.load import is_busy


@pytest.mark.parametrize(("load", "busy"), [(0.0, False), (2.0, False), (2.3, True), (20.0, True)])
def test_more_work_than_processors(load: float, busy: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getloadavg", lambda: (load, 0.0, 0.0), raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    assert is_busy() is busy


def test_a_system_that_tells_no_load_counts_as_quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "getloadavg", raising=False)
    assert not is_busy()


def test_a_system_that_hides_its_load_counts_as_quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> tuple[float, float, float]:
        raise OSError("unobtainable")

    monkeypatch.setattr(os, "getloadavg", refuse, raising=False)
    assert not is_busy()
