"""A base model with a LoRA in training on its denoiser."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from peft import LoraConfig
from torch import Tensor, nn

from twinloop.adapters.diffusion.base_model import BaseModel
from twinloop.adapters.diffusion.compute import Compute
from twinloop.adapters.diffusion.lora_export import LoraWeights
from twinloop.adapters.diffusion.prompts import Joined
from twinloop.domain.shots import derive_seed
from twinloop.errors import InputError

ADAPTER = "in_training"
"""Not "training": PEFT refuses names that modules already use."""

MAGNITUDE = "lora_magnitude_vector"
"""What PEFT calls the lengths that a DoRA learns beside the directions."""

AMPLE_GPU = 32 << 30
"""Bytes from which a GPU keeps all activations; a smaller one computes them again on the way back, a third slower."""


def is_small(compute: Compute) -> bool:
    """Whether this is a GPU of less than `AMPLE_GPU`."""
    return compute.device.type == "cuda" and torch.cuda.mem_get_info()[1] < AMPLE_GPU


@contextmanager
def adapted(
    base: BaseModel, targets: Sequence[str], rank: int, alpha: float, seed: int, *, checkpointing: bool | None = None, dora: bool = False
) -> Iterator[AdaptedDenoiser]:
    """The base model with a fresh LoRA; afterwards the base is as it was.

    Args:
        checkpointing: compute activations again on the way back; None = on a GPU of less than `AMPLE_GPU`.

    Raises:
        InputError: the denoiser has none of the target layers.
    """
    base.lora.use(None)
    model = base.denoiser
    tight = is_small(base.compute) if checkpointing is None else checkpointing
    layers = adapted_layers(model, targets)
    if not layers:
        raise InputError(f"This base model has no layers named {', '.join(targets)}. Choose the preset that fits base_model.")
    model.add_adapter(
        LoraConfig(r=rank, lora_alpha=alpha, target_modules=layers, init_lora_weights=False, use_dora=dora), adapter_name=ADAPTER
    )
    try:
        if tight:
            model.enable_gradient_checkpointing()
        yield AdaptedDenoiser(base, rank, alpha, seed)
    finally:
        if tight:
            model.disable_gradient_checkpointing()
        model.unload_lora()
        model.requires_grad_(False)


def adapted_layers(model: nn.Module, targets: Sequence[str]) -> list[str]:
    """Full names of the layers inside of blocks whose names end like one of the targets; a layer outside of all blocks is none of them."""
    ends = tuple(f".{target}" for target in targets)
    return [
        name for name, layer in model.named_modules() if name.endswith(ends) and isinstance(layer, nn.Linear | nn.Conv2d)
    ]


class AdaptedDenoiser:
    """The denoiser and the parameters of its LoRA, by layer, in float32.

    The down matrices start from (seed, layer), the up matrices at zero, the magnitudes of a DoRA at the norms of the base's own rows,
    so that the LoRA starts as no change.
    """

    def __init__(self, base: BaseModel, rank: int, alpha: float, seed: int) -> None:
        self._base = base
        self._rank, self._alpha = rank, alpha
        self.parameters: dict[str, nn.Parameter] = {}
        for name, parameter in base.denoiser.named_parameters():
            if f".{ADAPTER}." not in name:
                parameter.requires_grad_(False)
                continue
            parameter.data = parameter.data.float()
            parameter.requires_grad_(True)
            self.parameters[name.replace(f".{ADAPTER}.weight", "")] = parameter
        self._start(seed)

    @torch.no_grad()
    def _start(self, seed: int) -> None:
        for name, parameter in self.parameters.items():
            if name.endswith("lora_B"):
                parameter.zero_()
                continue
            if name.endswith(MAGNITUDE):
                parameter.copy_(_norms(self._base.denoiser.get_submodule(name.removesuffix(f".{MAGNITUDE}"))).view_as(parameter))
                continue
            bound = 1 / math.sqrt(parameter.shape[1])
            generator = torch.Generator("cpu").manual_seed(derive_seed(seed, "lora", name))
            parameter.copy_(torch.rand(parameter.shape, generator=generator).mul_(2 * bound).sub_(bound))

    def __call__(self, noisy: Tensor, times: Tensor, words: Joined, sizes: Tensor) -> Tensor:
        """(n, c, h, w) noisy latents, (n,) times, embedded texts, (n, 6) sizes -> (n, c, h, w) float32 prediction."""
        with self._base.compute.autocast():
            made: Any = self._base.family.denoise(self._base.denoiser, noisy, times, words, sizes)
        return torch.as_tensor(torch.stack(made) if isinstance(made, list) else made).float()

    @contextmanager
    def bare(self) -> Iterator[None]:
        """The base as it is without the LoRA, inside."""
        self._base.denoiser.disable_adapters()
        try:
            yield
        finally:
            self._base.denoiser.enable_adapters()

    def complete_gradients(self) -> None:
        """Zero for parameters that the loss does not reach: the text half of the last block of some transformers leads nowhere."""
        for parameter in self.parameters.values():
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)

    def weights(self, dtype: torch.dtype) -> LoraWeights:
        """The LoRA as it is now, by layer of the bare denoiser."""
        layers, magnitudes = dict[str, tuple[Tensor, Tensor]](), dict[str, Tensor]()
        for name, parameter in self.parameters.items():
            if name.endswith(".lora_A"):
                layer = name.removesuffix(".lora_A")
                up = self.parameters[f"{layer}.lora_B"]
                layers[layer] = (parameter.detach().to("cpu", dtype), up.detach().to("cpu", dtype))
            elif name.endswith(f".{MAGNITUDE}"):
                # in full precision: a magnitude scales the whole layer, not a small change of it
                magnitudes[name.removesuffix(f".{MAGNITUDE}")] = parameter.detach().float().cpu().flatten()
        return LoraWeights(layers, self._rank, self._alpha, magnitudes)


def _norms(layer: Any) -> Tensor:
    """(out,) Euclidean norm of each output's weights, of the bare layer."""
    weight: Tensor = layer.get_base_layer().weight
    return torch.as_tensor(torch.linalg.vector_norm(weight.detach().float().flatten(1), dim=1))
