"""Makers of the fakes, for tests of what uses them; every field can be another."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from twinloop.adapters.fakes import FakeGenerator, FakeTrainer
from twinloop.ports import GenerationSettings, TrainingSettings
from twinloop.stages.toolbox import Makers
from twinloop.stages.words import Voice

GENERATION = GenerationSettings(steps=2, guidance=1.0, width=64, height=64, batch_size=2)
TRAINING = TrainingSettings("nano", 10, 4, 4.0, 1e-3, 2, 64, 7)
USUAL = Makers(
    generator=FakeGenerator,
    trainer=FakeTrainer,
    generation=GENERATION,
    training=lambda images: TRAINING,
    usual_steps=0,
    voice=Voice("ohwx ana", "prose"),
    base_model="fake",
    small_face=0.0,
    forecast=lambda images, captions=(), sizes=(): None,
    family=None,
    notice="",
    drawing_notice="",
    check=lambda loras: None,
)


def fake_makers(**changes: Any) -> Makers:
    return replace(USUAL, **changes)
