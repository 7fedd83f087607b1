"""Blocks of a denoiser whose frozen weights wait in main memory, each on the GPU only while it is used: some of them in
a training, all of them where images are drawn with ``"offload": "blocks"``.

A block's computation finds copies of its weights on the GPU in the places of those in main memory, which come back when
it is done. Entries of the module's tables are replaced, never the numbers of a tensor: autograd holds on to the very
copies that a product was computed with until the backward pass has used them. With gradient checkpointing the pass
forward keeps none of them, and the backward pass brings each block once more, when it computes it again: at any moment
the GPU holds one such block.

The copies are made on the stream that computes. So they are there before the block begins and their memory is free for
the next one's, without any event to wait for; and nothing is computed while they are made.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from twinloop.adapters.diffusion.memory import main_memory_left, release_pinned_memory
from twinloop.adapters.diffusion.quantised.sizes import bytes_if, real_bytes
from twinloop.adapters.diffusion.regions import blocks_of
from twinloop.domain.quantised import Quantization

UNSWAPPABLE = ("nf4",)
"""Quantised weights that cannot be swapped in a training: bitsandbytes keeps them for the backward pass itself, past
gradient checkpointing, and the GPU would hold all of them."""


def swappable(denoiser: nn.Module) -> list[nn.Module]:
    """The blocks that can wait in main memory, the largest first, so that as few as possible have to: those that
    gradient checkpointing computes again.
    """
    return sorted(blocks_of(denoiser), key=real_bytes, reverse=True)


def block_bytes_if(denoiser: nn.Module, how: Quantization, dtype: torch.dtype) -> tuple[int, ...]:
    """Bytes that these blocks' weights would take if they were quantised so, the largest first; ``dtype`` as in
    `bytes_if`.
    """
    found = []
    for block in blocks_of(denoiser):
        alone = nn.Module()
        alone.blocks = nn.ModuleList([block])  # layers are quantised inside of such lists
        found.append(bytes_if(alone, how, dtype))
    return tuple(sorted(found, reverse=True))


def place(denoiser: nn.Module, device: torch.device, waiting: Sequence[nn.Module]) -> None:
    """Put a denoiser on the device, without those of its blocks that wait in main memory."""
    for block in waiting:
        block.to("cpu")
    with staying(waiting):
        denoiser.to(device)


@contextmanager
def staying(blocks: Sequence[nn.Module]) -> Iterator[None]:
    """Inside, these blocks stay where they are, whoever moves the model around them, as the hooks of a pipeline do."""
    for block in blocks:
        # not the model's `to`: accelerate takes that off with its hooks
        block._apply = functools.partial(_unmoved, block)  # type: ignore[method-assign]
    try:
        yield
    finally:
        for block in blocks:
            del block._apply  # of the instance; that of its class is back


def _unmoved(block: nn.Module, *_: Any) -> nn.Module:
    return block


@contextmanager
def swapping(blocks: Sequence[nn.Module], device: torch.device) -> Iterator[None]:
    """Inside, these blocks compute on the device with weights that lie in main memory; what of them lies on the device,
    as a LoRA in training does, stays there.
    """
    for block in blocks:
        block.forward = _with_weights(block, block.forward, device)
    try:
        yield
    finally:
        for block in blocks:
            del block.forward  # of the instance; that of its class is back


def _with_weights(block: nn.Module, plain: Callable[..., Any], device: torch.device) -> Callable[..., Any]:
    # not hooks: gradient checkpointing leaves a block by an exception as soon as it has what it needs
    @functools.wraps(plain)
    def forward(*args: Any, **named: Any) -> Any:
        with _brought(block, device):
            return plain(*args, **named)

    return forward


@contextmanager
def _brought(block: nn.Module, device: torch.device) -> Iterator[None]:
    """The block's weights on the device, inside."""
    own: list[tuple[dict[str, Tensor | None], str, Tensor]] = []
    try:
        for module in block.modules():
            tables: tuple[Any, ...] = (module._parameters, module._buffers)
            for table in tables:
                for name, tensor in table.items():
                    if tensor is not None and tensor.device.type != device.type:
                        own.append((table, name, tensor))
                        table[name] = _copied(tensor, device)
        yield
    finally:
        for table, name, tensor in own:
            table[name] = tensor


def _copied(tensor: Tensor, device: torch.device) -> Tensor:
    if getattr(tensor, "quant_state", None) is not None:
        return _copied_four_bits(tensor, device)
    made = tensor.detach().to(device, non_blocking=True)  # from pinned memory without waiting; nobody changes it there
    return nn.Parameter(made, requires_grad=False) if isinstance(tensor, nn.Parameter) else made


def _copied_four_bits(weight: Any, device: torch.device) -> Tensor:
    """A copy of bitsandbytes' weight, whose own ``to`` would take the original's scales along."""
    twin = copy.copy(weight)
    twin.quant_state = copy.copy(weight.quant_state)
    twin.quant_state.state2 = copy.copy(weight.quant_state.state2)
    made: Tensor = twin.to(device)
    return made


def pin(blocks: Sequence[nn.Module]) -> None:
    """Fix the blocks' weights in main memory, where a GPU reads them without the processor's help; only where there is
    room for it, and as many as the system allows.
    """
    left = main_memory_left()
    # PyTorch gives out pinned memory in powers of two: up to twice as much
    if left is None or 2 * sum(map(real_bytes, blocks)) > left:
        return
    for block in blocks:
        for parameter in block.parameters():
            if parameter.device.type == "cpu" and getattr(parameter, "quant_state", None) is None:
                try:
                    _lay(parameter, _pinned)
                except RuntimeError:
                    return


def unpin(blocks: Sequence[nn.Module]) -> None:
    """Let the system have the blocks' main memory where it likes again, as before `pin`: pinned memory that a weight
    leaves for a GPU stays with PyTorch, and coming back it takes other memory.
    """
    for block in blocks:
        for parameter in block.parameters():
            if parameter.device.type == "cpu" and getattr(parameter, "quant_state", None) is None:
                _lay(parameter, _unpinned)
        release_pinned_memory()  # so that no more than one block is there twice


def _lay(weight: Any, lay: Callable[[Tensor], Tensor]) -> None:
    """Have a weight lie elsewhere in main memory; torchao's consists of several tensors."""
    if not hasattr(weight, "__tensor_flatten__"):
        weight.data = lay(weight.data)
        return
    for name in weight.__tensor_flatten__()[0]:
        setattr(weight, name, lay(getattr(weight, name)))


def _pinned(tensor: Tensor) -> Tensor:
    return tensor if tensor.is_pinned() else tensor.pin_memory()


def _unpinned(tensor: Tensor) -> Tensor:
    return tensor.clone() if tensor.is_pinned() else tensor
