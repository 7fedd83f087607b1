"""Tiny quantised models, opened, and what they answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")
pytest.importorskip("torchao", reason="the quant extra is not installed")
pytest.importorskip("bitsandbytes", reason="the quant extra is not installed")

from tests.contract.makers import SIZE  # noqa: E402
from twinloop.adapters.diffusion.base_choice import BaseChoice  # noqa: E402
from twinloop.adapters.diffusion.base_model import BaseModel, open_base  # noqa: E402
from twinloop.adapters.diffusion.pixels import latent_shape  # noqa: E402
from twinloop.adapters.diffusion.prompts import join  # noqa: E402
from twinloop.adapters.trainers.lora.adapted_model import adapted  # noqa: E402
from twinloop.adapters.trainers.lora.adapter_plan import AdapterPlan  # noqa: E402
from twinloop.families import FAMILIES  # noqa: E402

torch = pytest.importorskip("torch")


def opened(family: str, path: Path, how: str | None = None, precision: str = "float32") -> BaseModel:
    return open_base(BaseChoice(str(path), "cpu", precision, how), FAMILIES[family])


def answer(base: BaseModel) -> tuple[Any, Any]:
    """What the denoiser predicts with a LoRA on it, and the LoRA's gradients as one vector."""
    words = join([base.prompts.embed("photo of ohwx ana")], base.family.joining)
    latents = torch.randn(latent_shape(base, SIZE, SIZE), generator=torch.Generator().manual_seed(0))
    with adapted(base, AdapterPlan(base.family.targets, 4, 4.0), 0) as denoiser:
        for name, parameter in denoiser.parameters.items():
            if name.endswith("lora_B"):
                torch.nn.init.constant_(parameter, 0.01)
        made = denoiser(latents, torch.tensor([500.0]), words, torch.zeros(1, 6))
        torch.autograd.backward(made.square().mean())
        denoiser.fill_missing_gradients()
        return made.detach(), torch.cat(
            [parameter.grad.flatten() for _, parameter in sorted(denoiser.parameters.items())]
        )
