"""What the header of a LoRA that was trained here tells other programs."""

from __future__ import annotations

from dataclasses import replace

import pytest

pytest.importorskip("torch")
pytest.importorskip("diffusers")

from tests.contract.makers import TRAINING
from twinloop.adapters.trainers.records.header import lora_header
from twinloop.families import FAMILIES


def test_pictures_of_a_pass_and_of_a_step() -> None:
    settings = replace(TRAINING, steps=30, batch_size=2, gradient_accumulation=3)
    texts = lora_header(settings, FAMILIES["sdxl"], "epsilon", 10, "2026-01-01T00:00:00Z", {})
    assert (texts["ss_batch_size_per_device"], texts["ss_total_batch_size"]) == ("2", "6")
    assert texts["ss_epoch"] == texts["ss_num_epochs"] == "18"  # 30 steps x 6 of 10 pictures
