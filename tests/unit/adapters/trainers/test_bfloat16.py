""" "precision": "bfloat16" on a CPU: frozen weights of half the size, a LoRA in float32, the same promises as ever."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")

from tests.contract.makers import GENERATION, TRAINING, samples, shots  # noqa: E402
from tests.helpers.tiny_families import build_tiny  # noqa: E402
from twinloop.adapters.diffusion.base_choice import BaseChoice  # noqa: E402
from twinloop.adapters.diffusion.base_model import BaseModel, open_base  # noqa: E402
from twinloop.adapters.diffusion.compute import _cpu_computes_bfloat16  # noqa: E402
from twinloop.adapters.diffusion.quantised.sizes import real_bytes  # noqa: E402
from twinloop.adapters.generators.diffusers_generator import DiffusersGenerator  # noqa: E402
from twinloop.adapters.trainers.diffusers_lora import DiffusersLoraTrainer  # noqa: E402
from twinloop.adapters.trainers.lora.adapted_model import adapted  # noqa: E402
from twinloop.adapters.trainers.lora.adapter_plan import AdapterPlan  # noqa: E402
from twinloop.domain.faces import ImageArray  # noqa: E402
from twinloop.families import FAMILIES  # noqa: E402
from twinloop.store.models.lora_file import kohya_path  # noqa: E402

pytestmark = pytest.mark.skipif(not _cpu_computes_bfloat16(), reason="this CPU has no bfloat16 kernels")
NAMES = ("sdxl", "flux", "sd35")


class Interrupted(Exception):
    """Stands for whatever ends a training."""


def opened(folder: Path, name: str, precision: str) -> BaseModel:
    return open_base(BaseChoice(str(folder), "cpu", precision), FAMILIES[name])


def train(folder: Path, name: str, home: Path, photos: Path, stop_after: int = 0) -> tuple[bytes, bytes]:
    def progress(step: int, steps: int, loss: float) -> None:
        if step == stop_after:
            raise Interrupted

    family, output = FAMILIES[name], home / "lora.safetensors"
    settings = replace(TRAINING, text_encoder=True, ema_decay=0.5, tensorboard=False)
    trainer = DiffusersLoraTrainer(BaseChoice(str(folder), "cpu", "bfloat16"), family)
    trainer.train(samples(photos, count=3), settings, output, home / "work", {}, progress)
    return output.read_bytes(), kohya_path(output).read_bytes()


@pytest.mark.parametrize("name", NAMES)
def test_weights_take_half_and_the_lora_stays_float32(name: str, tmp_path: Path) -> None:
    folder = build_tiny(name, tmp_path / "base")
    sizes = {precision: real_bytes(opened(folder, name, precision).denoiser) for precision in ("float32", "bfloat16")}
    assert sizes["bfloat16"] == pytest.approx(sizes["float32"] / 2, rel=0.02)
    base = opened(folder, name, "bfloat16")
    weights: Mapping[str, Any] = dict(base.denoiser.named_parameters())
    assert {weight.dtype for weight in weights.values()} == {torch.bfloat16}
    with adapted(base, AdapterPlan(base.family.targets, 4, 4.0, text_encoder=True), 0) as denoiser:
        assert {parameter.dtype for parameter in denoiser.parameters.values()} == {torch.float32}


@pytest.mark.parametrize("name", NAMES)
def test_an_interrupted_training_ends_in_the_same_bytes(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    folder, photos = build_tiny(name, tmp_path / "base"), tmp_path / "photos"
    whole = train(folder, name, tmp_path / "whole", photos)
    with pytest.raises(Interrupted):
        train(folder, name, tmp_path / "again", photos, stop_after=3)
    assert train(folder, name, tmp_path / "again", photos) == whole


@pytest.mark.parametrize("name", NAMES)
def test_pictures_are_near_those_of_float32(name: str, tmp_path: Path) -> None:
    folder = build_tiny(name, tmp_path / "base")

    def picture(precision: str) -> ImageArray:
        generator = DiffusersGenerator(BaseChoice(str(folder), "cpu", precision), FAMILIES[name])
        return next(image for _, image in generator.generate(shots(1), GENERATION))

    exact, half = picture("float32").astype(float), picture("bfloat16").astype(float)
    assert not np.array_equal(exact, half)
    assert np.abs(exact - half).mean() < 8.0 < exact.std()
