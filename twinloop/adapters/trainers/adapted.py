"""A base model with a LoRA in training on its denoiser."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from peft import LoraConfig
from torch import Tensor, nn

from twinloop.adapters.diffusion.base_model import BaseModel
from twinloop.adapters.diffusion.lora_export import LoraWeights
from twinloop.domain.shots import derive_seed
from twinloop.errors import InputError

ADAPTER = "in_training"
"""Not "training": PEFT refuses names that modules already use."""

AMPLE_GPU = 32 << 30
"""Bytes from which a GPU keeps all activations; a smaller one computes them again on the way back, a third slower."""


@contextmanager
def adapted(base: BaseModel, targets: Sequence[str], rank: int, alpha: float, seed: int) -> Iterator[AdaptedDenoiser]:
    """The base model with a fresh LoRA; afterwards the base is as it was.

    Raises:
        InputError: the denoiser has none of the target layers.
    """
    base.lora.use(None)
    unet = base.pipeline.unet
    tight = base.compute.device.type == "cuda" and torch.cuda.mem_get_info()[1] < AMPLE_GPU
    config = LoraConfig(r=rank, lora_alpha=alpha, target_modules=list(targets), init_lora_weights=False)
    try:
        unet.add_adapter(config, adapter_name=ADAPTER)
    except ValueError as error:
        raise InputError(
            f"This base model has no layers named {', '.join(targets)}: {error}. Choose the preset that fits base_model."
        ) from error
    try:
        if tight:
            unet.enable_gradient_checkpointing()
        yield AdaptedDenoiser(base, rank, alpha, seed)
    finally:
        if tight:
            unet.disable_gradient_checkpointing()
        unet.unload_lora()
        unet.requires_grad_(False)


class AdaptedDenoiser:
    """The denoiser and the parameters of its LoRA, by layer, in float32.

    The down matrices start from (seed, layer), the up matrices at zero, so that the LoRA starts as no change.
    """

    def __init__(self, base: BaseModel, rank: int, alpha: float, seed: int) -> None:
        self._base = base
        self._rank, self._alpha = rank, alpha
        self.parameters: dict[str, nn.Parameter] = {}
        for name, parameter in base.pipeline.unet.named_parameters():
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
            bound = 1 / math.sqrt(parameter.shape[1])
            generator = torch.Generator("cpu").manual_seed(derive_seed(seed, "lora", name))
            parameter.copy_(torch.rand(parameter.shape, generator=generator).mul_(2 * bound).sub_(bound))

    def __call__(self, noisy: Tensor, times: Tensor, words: Tensor, pooled: Tensor, time_ids: Tensor) -> Tensor:
        """(n, c, h, w) noisy latents, (n,) time steps, (n, tokens, width) words, (n, width) pooled, (n, 6) sizes -> (n, c, h, w) float32."""
        with self._base.compute.autocast():
            made = self._base.pipeline.unet(
                noisy, times, words, added_cond_kwargs={"text_embeds": pooled, "time_ids": time_ids}, return_dict=False
            )[0]
        return torch.as_tensor(made).float()

    def weights(self, dtype: torch.dtype) -> LoraWeights:
        """The LoRA as it is now, by layer of the bare denoiser."""
        layers = {}
        for name, down in self.parameters.items():
            if name.endswith(".lora_A"):
                layer = name.removesuffix(".lora_A")
                up = self.parameters[f"{layer}.lora_B"]
                layers[layer] = (down.detach().to("cpu", dtype), up.detach().to("cpu", dtype))
        return LoraWeights(layers, self._rank, self._alpha)
