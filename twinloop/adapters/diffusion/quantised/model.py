"""Quantising the parts of a loaded model."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel

from twinloop.adapters.diffusion.prompts import encoders_of
from twinloop.domain.quantised import Quantization
from twinloop.families.base import Family


def large_parts(pipeline: Any, family: Family) -> list[nn.Module]:
    """The parts of a pipeline that are worth quantising: the denoiser, and text encoders that are language models;
    CLIPs are small, and so is what stands between a text encoder and the denoiser.
    """
    return [
        getattr(pipeline, family.denoiser),
        *(
            part
            for part in encoders_of(pipeline)
            if isinstance(part, PreTrainedModel) and not type(part).__name__.startswith("CLIP")
        ),
    ]


def quantise(model: nn.Module, how: Quantization, device: torch.device) -> None:
    """Give the linear layers inside of blocks quantised weights; what lies outside is small and decides much.

    Args:
        device: where each layer goes to be quantised, before it comes back: a processor takes many times as long as a
            GPU.
    """
    for name, layer in list(quantisable(model, how)):
        model.set_submodule(name, _quantised(layer.to(device), how).to("cpu"))
    gc.collect()  # what was left on a GPU lies in circles of references


_NO_BLOCKS = ("distilled_guidance_layer.layers",)
"""Lists of layers that lie outside of all blocks: the network that tells those of Chroma the time, 3 % of its weights.
Whoever makes smaller files of that model leaves it as it is."""


def quantisable(model: nn.Module, how: Quantization) -> Iterator[tuple[str, nn.Linear]]:
    """The linear layers inside of lists of blocks, by their full names."""
    left = _read_as_numbers(model) if how == "nf4" else ()
    lists = [name for name, part in model.named_modules() if isinstance(part, nn.ModuleList)]
    blocks = [f"{name}." for name in lists if not name.endswith(_NO_BLOCKS)]
    for name, layer in model.named_modules():
        inside = any(name.startswith(block) for block in blocks)
        if inside and isinstance(layer, nn.Linear) and name.rpartition(".")[2] not in left:
            yield name, layer


def _read_as_numbers(model: nn.Module) -> tuple[str, ...]:
    """Layers that their model asks for the precision of their weight (``wo`` of T5), where packed 4-bit weights would
    say uint8.
    """
    return tuple(getattr(model, "_keep_in_fp32_modules", None) or ())


def take_over(model: nn.Module) -> None:
    """Give a denoiser that diffusers read from a ``.gguf`` file layers that can be trained on without unpacking all of
    it.
    """
    from twinloop.adapters.diffusion.quantised import gguf

    gguf.take_over(model)


def is_packed(model: nn.Module) -> bool:
    """Whether the weights came packed out of a file."""
    return any(
        hasattr(parameter, "quant_type") and hasattr(parameter, "quant_shape") for parameter in model.parameters()
    )


def stays_in_place(model: nn.Module) -> bool:
    """Whether a LoRA may be put on a model without memory at first (PEFT's ``low_cpu_mem_usage``).

    Around a DoRA, PEFT sets 4-bit weights in main memory anew, and they would lose their numbers with the LoRA's.
    """
    return not any(
        hasattr(parameter, "quant_state") and parameter.device.type == "cpu" for parameter in model.parameters()
    )


def _quantised(layer: nn.Linear, how: Quantization) -> nn.Linear:
    if how == "nf4":
        from twinloop.adapters.diffusion.quantised.four_bits import FourBits

        made: nn.Linear = FourBits(layer)
        return made
    from twinloop.adapters.diffusion.quantised.eight_bits import EightBits

    return EightBits(layer, how)
