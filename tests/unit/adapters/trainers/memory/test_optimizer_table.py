"""docs/training.md names the state of each optimizer as the forecast counts it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

pytest.importorskip("torch")

from twinloop.adapters.trainers.memory.demand import STATE_BYTES

TEXT = (Path(__file__).resolve().parents[5] / "docs" / "training.md").read_text(encoding="utf-8")


def test_the_optimizers_state_is_that_of_the_forecast() -> None:
    section = TEXT.split("\n## Optimizers\n")[1].split("\n## ")[0]
    table = dict(re.findall(r"^\| `(\w+)` \| ([\d.]+)(?: at rank 16)? \|", section, re.MULTILINE))
    assert {name: float(size) for name, size in table.items()} == STATE_BYTES
