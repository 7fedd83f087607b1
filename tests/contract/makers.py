"""The implementations of `Generator` and `Trainer` under contract, each with photos that it can read."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from tests.helpers.external_trainers import TRAINERS
from tests.helpers.fake_photos import fake_photo
from twinloop.adapters.diffusion.base_choice import BaseChoice
from twinloop.adapters.fakes import FakeGenerator, FakeTrainer
from twinloop.domain.records import TrainingSample
from twinloop.domain.shots import Shot
from twinloop.families import FAMILIES
from twinloop.ports import GenerationSettings, Generator, Trainer, TrainingSettings

NAMES = ("fake", "diffusers-tiny-vae", "diffusers-full-vae")
EXTERNAL = tuple(TRAINERS)
"""Trainers alone: other programs, here their stand-ins.

``DistributedTrainer`` is missing: it starts two processes that import torch for every training, and the contract trains
16 times, which takes minutes where everything else here takes seconds.
tests/unit/adapters/trainers/distributed/test_distributed_trainer.py holds it against one process, also where it was
interrupted.
"""
SIZE = 64


@dataclass(frozen=True)
class Makers:
    """Fresh generators and trainers of one kind."""

    generator: Callable[[], Generator]
    trainer: Callable[[], Trainer]
    samples: tuple[TrainingSample, ...]


def make(name: str, base: Path | None, photos: Path) -> Makers:
    """``base``: a model folder for the diffusers ones."""
    if name in EXTERNAL:
        return Makers(FakeGenerator, lambda: TRAINERS[name](photos / "program"), samples(photos / "photos"))
    if base is None:
        return Makers(FakeGenerator, FakeTrainer, samples(photos, fake=True))
    from twinloop.adapters.generators.diffusers_generator import DiffusersGenerator
    from twinloop.adapters.trainers.diffusers_lora import DiffusersLoraTrainer

    family = FAMILIES["sdxl"]
    return Makers(
        lambda: DiffusersGenerator(BaseChoice(str(base), "cpu"), family),
        lambda: DiffusersLoraTrainer(BaseChoice(str(base), "cpu"), family),
        samples(photos),
    )


def samples(folder: Path, *, fake: bool = False, count: int = 5) -> tuple[TrainingSample, ...]:
    """Photos of several shapes, weights and captions."""
    folder.mkdir(parents=True, exist_ok=True)
    made = []
    for number in range(count):
        path = folder / f"{number}.png"
        if fake:
            fake_photo(path, seed=number)
        else:
            pixels = np.random.default_rng(number).integers(0, 255, (72 + 30 * number, 96, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(path)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        made.append(
            TrainingSample(
                path, digest, f"photo of ohwx ana {'smiling' if number % 2 else 'profile'}", 1.0 + number % 2
            )
        )
    return tuple(made)


def shots(count: int = 4, first_seed: int = 100) -> list[Shot]:
    return [
        Shot(
            f"setting_indoor_{n:03d}", "setting", "indoor", n + 1, "photo of ohwx ana indoors", "blurry", first_seed + n
        )
        for n in range(count)
    ]


GENERATION = GenerationSettings(steps=2, guidance=4.0, width=SIZE, height=SIZE, batch_size=3)
TRAINING = TrainingSettings(
    preset="test",
    steps=6,
    rank=4,
    alpha=2.0,
    learning_rate=0.05,
    batch_size=2,
    resolution=SIZE,
    seed=7,
    warmup_steps=2,
    checkpoint_every=2,
)
