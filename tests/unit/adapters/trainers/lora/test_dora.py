"""DoRA: begins as no change, is trained, loads in the plain diffusers pipeline, and its kohya copy holds the same
layers.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")

from safetensors.torch import load_file  # noqa: E402

from tests.contract.makers import GENERATION, TRAINING, samples, shots  # noqa: E402
from tests.helpers.lora_files import write_lora  # noqa: E402
from twinloop.adapters.diffusion.base_choice import BaseChoice  # noqa: E402
from twinloop.adapters.diffusion.base_model import open_base  # noqa: E402
from twinloop.adapters.generators.diffusers_generator import DiffusersGenerator  # noqa: E402
from twinloop.adapters.trainers.diffusers_lora import DiffusersLoraTrainer  # noqa: E402
from twinloop.adapters.trainers.lora.adapted_model import MAGNITUDE, adapted  # noqa: E402
from twinloop.adapters.trainers.lora.adapter_plan import AdapterPlan  # noqa: E402
from twinloop.families import FAMILIES  # noqa: E402

SDXL = FAMILIES["sdxl"]


@pytest.fixture(scope="module")
def trained(full_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("dora")
    said: list[str] = []
    trainer = DiffusersLoraTrainer(BaseChoice(str(full_base), "cpu", "float32"), SDXL, said.append)
    settings = replace(TRAINING, adapter="dora", learning_rate=0.05)
    trainer.train(samples(home / "photos"), settings, home / "lora.safetensors", home / "work", {}, lambda *_: None)
    assert sum("A1111 draws this DoRA wrongly" in text for text in said) == 1
    return home / "lora.safetensors"


def test_it_begins_as_no_change(full_base: Path) -> None:
    base = open_base(BaseChoice(str(full_base), "cpu", "float32"), SDXL)
    inputs = torch.randn(1, 4, 16, 16), torch.tensor([500.0]), base.prompts.embed("photo"), torch.zeros(1, 6)
    with torch.no_grad():
        with adapted(base, AdapterPlan(SDXL.targets, 4, 2.0), 0) as plain:
            before = plain(*inputs)
        with adapted(base, AdapterPlan(SDXL.targets, 4, 2.0, dora=True), 0) as denoiser:
            after = denoiser(*inputs)
            lengths = [name for name in denoiser.parameters if name.endswith(MAGNITUDE)]
            assert len(lengths) == len(denoiser.parameters) / 3
    assert torch.allclose(before, after, atol=1e-5)


def test_the_plain_pipeline_draws_the_same_as_ours(full_base: Path, trained: Path) -> None:
    """Ours are made with the LoRA that was trained; the plain one knows nothing but the file."""
    from diffusers import StableDiffusionXLPipeline

    tensors = load_file(trained)
    assert any(name.endswith(MAGNITUDE) for name in tensors)
    ours = DiffusersGenerator(BaseChoice(str(full_base), "cpu", "float32"), SDXL)
    ours.load_lora(trained)
    with_lora = [image for _, image in ours.generate(shots(1), GENERATION)]
    ours.load_lora(None)
    bare = [image for _, image in ours.generate(shots(1), GENERATION)]
    assert not np.array_equal(with_lora[0], bare[0])
    plain: Any = StableDiffusionXLPipeline.from_pretrained(str(full_base))
    plain.load_lora_weights(str(trained.parent), weight_name=trained.name, adapter_name="mine")
    worn = {name for name, _ in plain.unet.named_parameters() if MAGNITUDE in name}
    assert len(worn) == sum(name.endswith(MAGNITUDE) for name in tensors)
    kept = {name: parameter.detach() for name, parameter in plain.unet.named_parameters() if MAGNITUDE in name}
    for name, value in kept.items():
        assert torch.allclose(value.flatten(), tensors[f"unet.{name.replace('.mine.weight', '')}"].flatten())


def test_what_is_written_is_what_was_trained(full_base: Path, tmp_path: Path) -> None:
    """Directions, scale and lengths: the plain denoiser with the file answers as the one in training did."""
    from diffusers import StableDiffusionXLPipeline

    base = open_base(BaseChoice(str(full_base), "cpu", "float32"), SDXL)
    words = base.prompts.embed("photo")
    inputs = torch.randn(1, 4, 16, 16), torch.tensor([500.0]), words, torch.zeros(1, 6)
    with adapted(base, AdapterPlan(SDXL.targets, 4, 2.0, dora=True), 0) as denoiser, torch.no_grad():
        for name, parameter in denoiser.parameters.items():
            parameter.mul_(1.2) if name.endswith(MAGNITUDE) else parameter.add_(0.05)
        wanted = denoiser(*inputs)
        write_lora(tmp_path / "lora.safetensors", denoiser.weights(torch.float32), SDXL, {})
    plain: Any = StableDiffusionXLPipeline.from_pretrained(str(full_base))
    plain.load_lora_weights(str(tmp_path), weight_name="lora.safetensors")
    with torch.no_grad():
        found = SDXL.denoise(plain.unet, *inputs)
        bare = SDXL.denoise(base.denoiser, *inputs)
    assert torch.allclose(found, wanted, atol=1e-4) and not torch.allclose(found, bare, atol=1e-2)


def test_the_copy_holds_lengths_in_kohyas_form(trained: Path) -> None:
    ours, copy = load_file(trained), load_file(trained.with_name("lora_kohya.safetensors"))
    lengths = [tensor for name, tensor in copy.items() if name.endswith(".dora_scale")]
    assert len(lengths) == sum(name.endswith(MAGNITUDE) for name in ours) > 0
    for name, tensor in copy.items():
        if name.endswith(".dora_scale"):
            up = copy[name.replace(".dora_scale", ".lora_up.weight")]
            assert tensor.shape == (up.shape[0], *[1] * (up.ndim - 1)) and tensor.dtype == torch.float32
