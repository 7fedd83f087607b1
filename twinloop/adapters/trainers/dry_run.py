"""How much a training step computes and remembers, found by taking one without numbers.

The denoiser is built once more on PyTorch's ``meta`` device, where tensors have shapes and no content, and a forward pass is taken
with the LoRA in place. What autograd keeps for the way back is added up, storage by storage; so is what it would keep with gradient
checkpointing, by listening where diffusers would checkpoint. That holds for every family, at any size, in seconds and without memory.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import torch
import torch.nn.functional as F
from peft import LoraConfig, inject_adapter_in_model
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks
from torch.overrides import TorchFunctionMode
from torch.utils.flop_counter import FlopCounterMode

from twinloop.adapters.diffusion.base_model import BaseModel
from twinloop.adapters.diffusion.compute import Compute
from twinloop.adapters.diffusion.prompts import Joined
from twinloop.adapters.diffusion.quantised.model import is_packed, quantisable
from twinloop.adapters.diffusion.quantised.sizes import real_bytes
from twinloop.adapters.trainers.adapted import ADAPTER, adapted_layers
from twinloop.adapters.trainers.lokr import add_for_training
from twinloop.adapters.trainers.text_encoders import target_layers

META = torch.device("meta")
_PRODUCTS = (
    F.linear,
    F.conv2d,
    F.conv3d,
    torch.conv2d,
    torch.matmul,
    torch.bmm,
    torch.baddbmm,
    torch.einsum,
    Tensor.matmul,
    Tensor.__matmul__,
)
_EXACT_ON_GPU = (F.layer_norm, F.group_norm, F.softmax, torch.softmax, Tensor.softmax)
"""What CUDA's autocast computes in float32; a CPU's leaves these as they come."""


@dataclass(frozen=True)
class Footprint:
    """Of one picture, in bytes and floating-point operations.

    Attributes:
        weights: the frozen denoiser. adapter: parameters of the LoRA (a number, not bytes).
        kept: activations until the way back. kept_outside: those that stay with checkpointing, entrances of the checkpointed parts
            included. largest_part: activations of the largest checkpointed part. largest: one tensor.
        forward: operations of one forward pass. widest: weights (a number) of the largest layer that can be quantised; packed: of the
            largest that is.
    """

    weights: int
    adapter: int
    kept: int
    kept_outside: int
    largest_part: int
    largest: int
    forward: int
    packed: int = 0
    widest: int = 0

    def beside(self, other: Footprint) -> Footprint:
        """Both models in one step."""
        return Footprint(
            self.weights + other.weights, self.adapter + other.adapter, self.kept + other.kept, self.kept_outside + other.kept_outside,
            max(self.largest_part, other.largest_part), max(self.largest, other.largest), self.forward + other.forward,
            max(self.packed, other.packed), max(self.widest, other.widest),
        )  # fmt: skip


def footprint(
    base: BaseModel, targets: Sequence[str], rank: int, latents: tuple[int, ...], words: Joined, dora: bool = False, *, train_encoders: bool = False,
    lokr: int = 0,
) -> Footprint:  # fmt: skip
    """Take a step without numbers. The base wears no LoRA.

    Args:
        latents: (1, c, h, w). words: of one text, as `join` gives them. train_encoders: gradients go on to the text encoders.
        lokr: the factor of a LoKr, as `adapted` takes it.
    """
    model = _on_meta(base, targets, rank, dora, lokr)
    own = {id_of(tensor) for tensor in (*model.parameters(), *model.buffers())}
    book = _Book(own)
    model.enable_gradient_checkpointing(gradient_checkpointing_func=book.part)
    inputs = (
        torch.empty(latents, device=META),
        torch.zeros(1, device=META),
        _shapes(words, train_encoders),
        torch.zeros(1, 6, device=META),
    )
    large = _quantisable_weights(model)
    packed = large if base.compute.quantization is not None or is_packed(base.denoiser) else {}
    operations = FlopCounterMode(display=False)
    with saved_tensors_hooks(book.keep, lambda tensor: tensor), _AsOnDevice(base.compute, packed) as mode, operations:
        base.family.denoise(model, *inputs)
    adapter = sum(parameter.numel() for name, parameter in model.named_parameters() if ADAPTER in name.split("."))
    return Footprint(
        real_bytes(base.denoiser), adapter, book.total(), book.outside(), book.largest_part(), book.largest,
        operations.get_total_flops() + mode.attention, max(packed.values(), default=0), max(large.values(), default=0),
    )  # fmt: skip


def _quantisable_weights(model: Any) -> dict[int, int]:
    """Memory of the weights that are or could be quantised in the real model -> how many numbers they are."""
    layers = (layer for name, layer in quantisable(model, "int8") if ADAPTER not in name.split("."))
    return {id_of(layer.weight): layer.weight.numel() for layer in layers}


def _on_meta(base: BaseModel, targets: Sequence[str], rank: int, dora: bool, lokr: int) -> Any:
    with META:
        model: Any = type(base.denoiser).from_config(base.denoiser.config).to(base.compute.dtype)
        model.requires_grad_(False)
        layers = adapted_layers(model, targets)
        if lokr:
            add_for_training(model, layers, rank, rank, lokr, ADAPTER)
        else:
            config = LoraConfig(r=rank, lora_alpha=rank, target_modules=layers, init_lora_weights=False, use_dora=dora)
            model.add_adapter(config, adapter_name=ADAPTER)
    for name, parameter in model.named_parameters():
        if ADAPTER in name.split("."):
            parameter.data = parameter.data.float()
    return model


def encoders_footprint(base: BaseModel, rank: int, dora: bool = False) -> Footprint:
    """Of the text encoders that can wear a LoRA; with checkpointing all of them together are one part."""
    found = Footprint(0, 0, 0, 0, 0, 0, 0)
    for name in base.family.text_encoders().prefixes:
        encoder = getattr(base.pipeline, name, None)
        if encoder is not None:
            found = found.beside(_encoder_footprint(encoder, replace(base.compute, mixed=None), rank, dora))
    return replace(found, largest_part=found.kept)


def _encoder_footprint(encoder: Any, compute: Compute, rank: int, dora: bool) -> Footprint:
    with META:
        model = type(encoder)(encoder.config).to(compute.dtype).requires_grad_(False)
        config = LoraConfig(
            r=rank, lora_alpha=rank, target_modules=target_layers(model), init_lora_weights=False, use_dora=dora
        )
        inject_adapter_in_model(config, model, ADAPTER)
        tokens = torch.zeros(1, encoder.config.max_position_embeddings, dtype=torch.long)
    parameters = [parameter for name, parameter in model.named_parameters() if f".{ADAPTER}." in name]
    for parameter in parameters:
        parameter.data = parameter.data.float()
    book = _Book({id_of(tensor) for tensor in (*model.parameters(), *model.buffers())})
    operations = FlopCounterMode(display=False)
    with saved_tensors_hooks(book.keep, lambda tensor: tensor), _AsOnDevice(compute) as mode, operations:
        model(tokens, output_hidden_states=True)
    adapter = sum(parameter.numel() for parameter in parameters)
    return Footprint(
        real_bytes(encoder), adapter, book.total(), 0, 0, book.largest, operations.get_total_flops() + mode.attention
    )


def _shapes(words: Joined, train_encoders: bool) -> Joined:
    """The same texts without numbers; masks stay as they are, because families look into them."""

    def bare(part: Tensor) -> Tensor:
        return torch.empty(part.shape, device=META, requires_grad=train_encoders) if part.is_floating_point() else part

    return {name: [bare(row) for row in part] if isinstance(part, list) else bare(part) for name, part in words.items()}


def id_of(tensor: Tensor) -> int:
    """Of the memory behind a tensor; views share it."""
    return int(tensor.untyped_storage()._cdata)


class _Book:
    """Which memory autograd keeps, and inside of which part it was first kept."""

    def __init__(self, own: set[int]) -> None:
        self._own = own
        self._kept: dict[int, tuple[Any, int]] = {}
        self._entrances: dict[int, Any] = {}
        self._part = 0
        self._parts = 0
        self.largest = 0

    def keep(self, tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if id_of(tensor) not in self._own:
            self._kept.setdefault(id_of(tensor), (storage, self._part))
            self.largest = max(self.largest, storage.nbytes())
        return tensor

    def part(self, run: Callable[..., Any], *inputs: Any, **named: Any) -> Any:
        """Stands where diffusers checkpoints a part: notes what would be kept instead of its activations, and runs it."""
        for tensor in inputs:
            if isinstance(tensor, Tensor) and id_of(tensor) not in self._own:
                self._entrances[id_of(tensor)] = tensor.untyped_storage()
        self._parts += 1
        self._part = self._parts
        try:
            return run(*inputs, **named)
        finally:
            self._part = 0

    def total(self) -> int:
        return sum(storage.nbytes() for storage, _ in self._kept.values())

    def outside(self) -> int:
        apart = {key: storage for key, (storage, part) in self._kept.items() if part == 0}
        return sum(storage.nbytes() for storage in {**apart, **self._entrances}.values())

    def largest_part(self) -> int:
        sizes: dict[int, int] = {}
        for key, (storage, part) in self._kept.items():
            if part and key not in self._entrances:
                sizes[part] = sizes.get(part, 0) + storage.nbytes()
        return max(sizes.values(), default=0)


class _AsOnDevice(TorchFunctionMode):
    """Precisions as autocast chooses them on the device, and attention that keeps what fused kernels keep.

    Attributes:
        attention: operations of all attention so far.
    """

    def __init__(self, compute: Compute, packed: Mapping[int, int] = MappingProxyType({})) -> None:
        super().__init__()
        self._packed = packed
        self._mixed = compute.mixed
        self._gpu = compute.device.type == "cuda"
        self.attention = 0

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        named = dict(kwargs or {})
        if func is F.scaled_dot_product_attention:
            return self._attend(*self._cast(args, self._mixed), **self._cast_named(named, self._mixed))
        if self._packed and func is F.linear and id_of(args[1]) in self._packed:
            multiply: Any = _FrozenProduct.apply
            return multiply(*self._cast((*args, *named.values()), self._mixed))
        if self._mixed is not None and func in _PRODUCTS:
            return func(*self._cast(args, self._mixed), **self._cast_named(named, self._mixed))
        if self._mixed is not None and self._gpu and func in _EXACT_ON_GPU:
            return func(*self._cast(args, torch.float32), **self._cast_named(named, torch.float32))
        return func(*args, **named)

    def _attend(self, query: Tensor, key: Tensor, value: Tensor, *_: Any, **__: Any) -> Tensor:
        queries = query.numel() // query.shape[-1]
        self.attention += 2 * queries * key.shape[-2] * (query.shape[-1] + value.shape[-1])
        attend: Any = _FusedAttention.apply
        made: Tensor = attend(query, key, value)
        return made

    def _cast(self, values: Sequence[Any], dtype: torch.dtype | None) -> tuple[Any, ...]:
        return tuple(self._one(value, dtype) for value in values)

    def _cast_named(self, values: Mapping[str, Any], dtype: torch.dtype | None) -> dict[str, Any]:
        return {name: self._one(value, dtype) for name, value in values.items()}

    def _one(self, value: Any, dtype: torch.dtype | None) -> Any:
        plain = dtype is None or not isinstance(value, Tensor) or not value.is_floating_point()
        return value if plain else value.to(dtype)


class _FrozenProduct(torch.autograd.Function):
    """Keeps nothing, as products with quantised weights do."""

    @staticmethod
    def forward(context: Any, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        return F.linear(x, weight, bias)


class _FusedAttention(torch.autograd.Function):
    """Keeps query, key, value, result and one number per query, as fused attention does."""

    @staticmethod
    def forward(context: Any, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        made = query.new_empty(*query.shape[:-1], value.shape[-1])
        context.save_for_backward(query, key, value, made, query.new_empty(query.shape[:-1], dtype=torch.float32))
        return made
