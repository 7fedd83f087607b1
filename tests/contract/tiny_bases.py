"""Tiny bases of the families under contract: opened, worn, trained on, and killed in a training, with no network at
hand.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from twinloop.adapters.diffusion.base_choice import BaseChoice
from twinloop.adapters.diffusion.base_model import BaseModel, open_base
from twinloop.adapters.generators.diffusers_generator import DiffusersGenerator
from twinloop.adapters.trainers.diffusers_lora import DiffusersLoraTrainer
from twinloop.domain.records import TrainingSample
from twinloop.families import FAMILIES, Family
from twinloop.ports import TrainingSettings
from twinloop.store.models.lora_file import kohya_path

LORA = Path("lora.safetensors")
OF_A_KIND = ("anima", "chroma", "flux", "flux2", "krea2", "qwen-image", "sd15", "sd35", "sdxl", "zimage")
"""One family for each class of denoiser: what a LoRA's layers see depends on that alone."""
CLIP_ALONE = sorted(name for name, family in FAMILIES.items() if family.clip_alone)
"""Families whose words come from CLIP alone."""


@dataclass(frozen=True)
class TinyBase:
    """A tiny base model of a family, and photos to train on."""

    family: Family
    base: Path
    photos: tuple[TrainingSample, ...]

    def open(self) -> BaseModel:
        return open_base(BaseChoice(str(self.base), "cpu", "float32"), self.family)

    def generator(self) -> DiffusersGenerator:
        return DiffusersGenerator(BaseChoice(str(self.base), "cpu", "float32"), self.family)

    def train(self, home: Path, settings: TrainingSettings, kill_after: int = 0) -> None:
        """Write ``home/lora.safetensors``, from the newest checkpoint in ``home/work`` on."""

        def progress(step: int, steps: int, loss: float) -> None:
            if step == kill_after:
                os.kill(os.getpid(), signal.SIGKILL)

        trainer = DiffusersLoraTrainer(BaseChoice(str(self.base), "cpu", "float32"), self.family)
        trainer.train(self.photos, settings, home / LORA, home / "work", {}, progress)

    def killed_then_again(self, home: Path, settings: TrainingSettings, kill_after: int) -> tuple[bytes, bytes]:
        """The LoRA and its copy, of a training that was killed (SIGKILL) after a step and called again."""
        if not hasattr(os, "fork"):
            pytest.skip("needs fork")
        if torch.get_num_threads() != 1 and os.environ.get("OMP_NUM_THREADS") != "1":
            pytest.skip("forking a process with a thread pool hangs; run with OMP_NUM_THREADS=1 as make test does")
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*fork.*")
            child = multiprocessing.get_context("fork").Process(target=self.train, args=(home, settings, kill_after))
            child.start()
        child.join(timeout=120)
        assert child.exitcode == -signal.SIGKILL
        assert not (home / LORA).exists()
        self.train(home, settings)
        return both_files(home / LORA)


def both_files(lora: Path) -> tuple[bytes, bytes]:
    """A LoRA and its copy for other programs."""
    return lora.read_bytes(), kohya_path(lora).read_bytes()


@contextmanager
def offline(photo_side: int) -> Iterator[pytest.MonkeyPatch]:
    """No network, no times in files, and small photos for pipelines that bring every photo to a megapixel, which takes
    seconds even in a tiny model.
    """

    def refuse(*arguments: Any, **_: Any) -> None:
        raise AssertionError(f"something asked the network: {arguments[1:]}")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", refuse)
        patch.setattr(socket, "getaddrinfo", refuse)
        patch.setenv("SOURCE_DATE_EPOCH", "1700000000")
        qwen = "diffusers.pipelines.qwenimage.pipeline_qwenimage_edit_plus"
        patch.setattr(f"{qwen}.VAE_IMAGE_SIZE", photo_side * photo_side)
        yield patch
