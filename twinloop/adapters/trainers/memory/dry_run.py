"""How much a training step computes and remembers, found by taking one without numbers.

The denoiser is built once more on PyTorch's ``meta`` device, where tensors have shapes and no content, and a forward
pass is taken with the LoRA in place. The activations that autograd saves for the backward pass are added up, storage by
storage; so are those that it would save with gradient checkpointing, by counting where diffusers would checkpoint a
block. That holds for every family, at any size, in seconds and without memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import Any

import torch
from peft.tuners.lora import LoraLayer
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from twinloop.adapters.diffusion.base_model import BaseModel
from twinloop.adapters.diffusion.block_swap import swappable
from twinloop.adapters.diffusion.compute import Compute
from twinloop.adapters.diffusion.prompts import Joined
from twinloop.adapters.diffusion.quantised.model import is_packed, quantisable
from twinloop.adapters.diffusion.quantised.sizes import real_bytes
from twinloop.adapters.trainers.lora.adapter_plan import ADAPTER, AdapterPlan
from twinloop.adapters.trainers.lora.assistant_lora import AssistantLora
from twinloop.adapters.trainers.memory.device_rules import AsOnDevice
from twinloop.adapters.trainers.memory.saved_activations import SavedActivations, id_of

META = torch.device("meta")


@dataclass(frozen=True)
class Footprint:
    """Of the adapted models (the denoiser, and text encoders that are trained) with one picture.

    Attributes:
        weights: bytes of the frozen weights. adapter: trainable parameters (a number, not bytes).
        activations: bytes saved for the backward pass. checkpointed: of them those that stay with gradient
            checkpointing, the inputs of the checkpointed blocks included. largest_block: activations of the largest
            checkpointed block. largest_tensor: of one activation. copies: of the activations the LoRA's matrices in
            the precision of the products, which are as many for every number of pictures.
        fullest: activations, and what a trained layer works in beside them, when both together are most. fullest_block:
            the same of one checkpointed block while it is computed again.
        forward: floating-point operations of the denoiser's forward pass. encoder_forward: of that of the text
            encoders.
        quantised: weights (a number) of the largest layer that is quantised. quantisable: of the largest that can be.
        blocks: bytes of the frozen weights of each block that can be swapped, the largest first.
    """

    weights: int
    adapter: int
    activations: int
    checkpointed: int
    largest_block: int
    largest_tensor: int
    forward: int
    encoder_forward: int = 0
    quantised: int = 0
    quantisable: int = 0
    copies: int = 0
    blocks: tuple[int, ...] = ()
    fullest: int = 0
    fullest_block: int = 0

    def together_with(self, other: Footprint) -> Footprint:
        """Of both models in one step: sums, and the larger of what is the largest."""
        return Footprint(
            self.weights + other.weights,
            self.adapter + other.adapter,
            self.activations + other.activations,
            self.checkpointed + other.checkpointed,
            max(self.largest_block, other.largest_block),
            max(self.largest_tensor, other.largest_tensor),
            self.forward + other.forward,
            self.encoder_forward + other.encoder_forward,
            max(self.quantised, other.quantised),
            max(self.quantisable, other.quantisable),
            self.copies + other.copies,
            self.blocks + other.blocks,
            max(self.fullest + other.activations, self.activations + other.fullest),
            max(self.fullest_block, other.fullest_block),
        )


def footprint(
    base: BaseModel, plan: AdapterPlan, latents: tuple[int, ...], words: Joined, assistant: AssistantLora | None = None
) -> Footprint:
    """Take a step of the denoiser without numbers. The base wears no LoRA.

    Args:
        latents: (1, c, h, w). words: of one text, as `join` gives them; gradients go on to them where the plan trains
            text encoders.
        assistant: a training adapter that it wears beside the plan's.

    Raises:
        InputError: the denoiser has none of the plan's target layers.
    """
    model = _on_meta(base, plan)
    with nullcontext() if assistant is None else assistant.worn(model):
        return _taken(base, model, latents, _shapes(words, plan.text_encoder))


def _taken(base: BaseModel, model: Any, latents: tuple[int, ...], words: Joined) -> Footprint:
    """Of a step of this model without numbers."""
    own = {id_of(tensor) for tensor in (*model.parameters(), *model.buffers())}
    saved = SavedActivations(own)
    model.enable_gradient_checkpointing(gradient_checkpointing_func=saved.checkpoint)
    inputs = (
        torch.empty(latents, device=META),
        torch.zeros(1, device=META),
        words,
        torch.zeros(1, 6, device=META),
    )
    quantisable = _quantisable_weights(model)
    quantised = quantisable if base.compute.quantization is not None or is_packed(base.denoiser) else {}
    operations = FlopCounterMode(display=False)
    with (
        saved.counting(),
        _noting_work(model, base.compute, saved),
        AsOnDevice(base.compute, quantised) as mode,
        operations,
    ):
        base.family.denoise(model, *inputs)
    adapter = sum(parameter.numel() for name, parameter in model.named_parameters() if ADAPTER in name.split("."))
    return Footprint(
        real_bytes(base.denoiser),
        adapter,
        saved.total(),
        saved.checkpointed(),
        saved.largest_block(),
        saved.largest_tensor,
        operations.get_total_flops() + mode.attention,
        quantised=max(quantised.values(), default=0),
        quantisable=max(quantisable.values(), default=0),
        copies=saved.total_of(mode.copies),
        blocks=tuple(map(real_bytes, swappable(base.denoiser))),
        fullest=saved.fullest,
        fullest_block=saved.fullest_block,
    )


@contextmanager
def _noting_work(model: Any, compute: Compute, saved: SavedActivations) -> Iterator[None]:
    """Inside, what each layer with a LoRA takes for a moment is noted, as PEFT computes it."""
    before = list[int]()

    def begin(layer: Any, given: tuple[Any, ...]) -> None:
        before.append(saved.alive.total)

    def end(layer: Any, given: tuple[Any, ...], made: Tensor) -> None:
        saved.works_in(_work(given[0], made, compute, before.pop()))

    layers = [layer for layer in model.modules() if isinstance(layer, LoraLayer)]
    hooks = [layer.register_forward_pre_hook(begin) for layer in layers]
    hooks += [layer.register_forward_hook(end) for layer in layers]
    try:
        with saved.alive:
            yield
    finally:
        for hook in hooks:
            hook.remove()


def _work(given: Tensor, made: Tensor, compute: Compute, there: int) -> int:
    """Bytes that a layer with a LoRA takes beside what is saved, for the pass forward or back, whichever takes more.

    Forward these are what the model's code holds (its input among that, which the LoRA may save), the input in the
    LoRA's float32, and three outputs: the layer's, the LoRA's, and that in scale. Back there are two gradients of the
    input and their sum, when what the LoRA had saved is gone.

    Args:
        there: bytes that are not saved, before it computes.
    """
    own, copy = given.dtype == torch.float32, compute.mixed or given.dtype
    kept = given.numel() * copy.itemsize
    forward = there - (kept if own and copy == given.dtype else 0) + (0 if own else 4 * given.numel()) + 3 * made.nbytes
    return max(forward, 3 * given.nbytes - kept)


def _quantisable_weights(model: Any) -> dict[int, int]:
    """Storage of each weight that is or could be quantised in the real model -> how many numbers it has."""
    layers = (layer for name, layer in quantisable(model, "int8") if ADAPTER not in name.split("."))
    return {id_of(layer.weight): layer.weight.numel() for layer in layers}


def _on_meta(base: BaseModel, plan: AdapterPlan) -> Any:
    with META:
        model: Any = type(base.denoiser).from_config(base.denoiser.config).to(base.compute.dtype)
        model.requires_grad_(False)
        plan.put_on(model)
    for name, parameter in model.named_parameters():
        if ADAPTER in name.split("."):
            parameter.data = parameter.data.float()
    return model


def encoders_footprint(base: BaseModel, plan: AdapterPlan, *, chunks: int) -> Footprint:
    """Of the text encoders that can wear a LoRA, with a text of so many chunks; with checkpointing all of them together
    are one block.
    """
    found = Footprint(0, 0, 0, 0, 0, 0, 0)
    for name in base.family.text_encoders().prefixes:
        encoder = getattr(base.pipeline, name, None)
        if encoder is not None:
            found = found.together_with(_encoder_footprint(encoder, replace(base.compute, mixed=None), plan, chunks))
    return replace(found, largest_block=found.activations)


def _encoder_footprint(encoder: Any, compute: Compute, plan: AdapterPlan, chunks: int) -> Footprint:
    with META:
        model = type(encoder)(encoder.config).to(compute.dtype).requires_grad_(False)
        plan.put_on_encoder(model)
        tokens = torch.zeros(chunks, encoder.config.max_position_embeddings, dtype=torch.long)
    parameters = [parameter for name, parameter in model.named_parameters() if f".{ADAPTER}." in name]
    for parameter in parameters:
        parameter.data = parameter.data.float()
    saved = SavedActivations({id_of(tensor) for tensor in (*model.parameters(), *model.buffers())})
    operations = FlopCounterMode(display=False)
    with saved.counting(), AsOnDevice(compute) as mode, operations:
        model(tokens, output_hidden_states=True)
    adapter = sum(parameter.numel() for parameter in parameters)
    flop = operations.get_total_flops() + mode.attention
    return Footprint(real_bytes(encoder), adapter, saved.total(), 0, 0, saved.largest_tensor, 0, encoder_forward=flop)


def _shapes(words: Joined, train_encoders: bool) -> Joined:
    """The same texts without numbers; masks stay as they are, because families look into them."""

    def on_meta(part: Tensor) -> Tensor:
        return torch.empty(part.shape, device=META, requires_grad=train_encoders) if part.is_floating_point() else part

    return {
        name: [on_meta(row) for row in part] if isinstance(part, list) else on_meta(part)
        for name, part in words.items()
    }
