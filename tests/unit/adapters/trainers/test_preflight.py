"""What of a training's settings cannot work here is said at once."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from typing import Any

import pytest

pytest.importorskip("torch")

from tests.contract.makers import TRAINING
from twinloop.adapters.diffusion.base_choice import BaseChoice
from twinloop.adapters.trainers.preflight import check_training
from twinloop.errors import InputError, MissingExtra

CPU = BaseChoice("base", "cpu")


@pytest.mark.parametrize(
    ("changes", "processes", "error", "words"),
    [
        ({"optimizer": "adamw8bit"}, 1, InputError, r"needs a CUDA GPU.*adafactor"),
        ({"batch_size": 3}, 2, InputError, r"2 processes cannot share the 3 pictures"),
        ({"wandb": "faces"}, 1, MissingExtra, r"pip install 'twinloop\[wandb\]'"),
    ],
)
def test_what_cannot_work(
    changes: dict[str, Any], processes: int, error: type[Exception], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(error, match=words):
        check_training(replace(TRAINING, **changes), CPU, processes)


def test_what_can() -> None:
    check_training(TRAINING, CPU, 2)
    check_training(replace(TRAINING, optimizer="adafactor", batch_size=1, gradient_accumulation=3), CPU, 3)
