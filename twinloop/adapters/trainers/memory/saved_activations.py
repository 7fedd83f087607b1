"""Counting the activations that autograd saves for the backward pass, with and without gradient checkpointing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from twinloop.adapters.trainers.memory.alive_storages import AliveStorages


def id_of(tensor: Tensor) -> int:
    """Of the memory behind a tensor; views share it."""
    return int(tensor.untyped_storage()._cdata)


class SavedActivations:
    """What autograd saves for the backward pass, and inside of which checkpointed block it was first saved.

    Args:
        weights: ids of the model's own storages, which are no activations.

    Attributes:
        alive: bytes that are neither weights nor saved; a mode, inside of which they count. largest_tensor: bytes.
        fullest: bytes that were saved, and worked in, when that was most. fullest_block: the same of one block, as it
            adds them while it is computed again.
    """

    def __init__(self, weights: set[int]) -> None:
        self._weights = weights
        self._saved: dict[int, tuple[Any, int]] = {}
        self._block_inputs: dict[int, Any] = {}
        self._block = 0
        """The number of the block that runs now; 0 = outside of all."""
        self._blocks = 0
        self._total = 0
        self._of_blocks = Counter[int]()
        """Bytes by block, of what is saved there and is no block's input."""
        self.alive = AliveStorages(self._counts)
        self.largest_tensor = 0
        self.fullest = 0
        self.fullest_block = 0

    @contextmanager
    def counting(self) -> Iterator[None]:
        """Count what autograd saves inside."""
        with saved_tensors_hooks(self._pack, lambda tensor: tensor):
            yield

    def _pack(self, tensor: Tensor) -> Tensor:
        storage, key = tensor.untyped_storage(), id_of(tensor)
        if key not in self._weights and key not in self._saved:
            self._saved[key] = (storage, self._block)
            self._total += storage.nbytes()
            if key not in self._block_inputs:
                self._of_blocks[self._block] += storage.nbytes()
            self.largest_tensor = max(self.largest_tensor, storage.nbytes())
            self.alive.forget(key)
        return tensor

    def checkpoint(self, run: Callable[..., Any], *inputs: Any, **named: Any) -> Any:
        """Stands where diffusers checkpoints a block: notes its inputs, which checkpointing saves instead of its
        activations, and runs it.
        """
        for tensor in inputs:
            if isinstance(tensor, Tensor) and id_of(tensor) not in self._weights | self._block_inputs.keys():
                self._add_input(id_of(tensor), tensor.untyped_storage())
        self._blocks += 1
        self._block = self._blocks
        try:
            return run(*inputs, **named)
        finally:
            self._block = 0

    def _add_input(self, key: int, storage: Any) -> None:
        self._block_inputs[key] = storage
        if key in self._saved:
            self._of_blocks[self._saved[key][1]] -= storage.nbytes()
        self.alive.forget(key)

    def _counts(self, key: int) -> bool:
        """Whether it is a weight, or saved."""
        return key in self._weights or key in self._saved or key in self._block_inputs

    def works_in(self, size: int) -> None:
        """Note so many bytes that a layer takes for a moment, beside what is saved up to here."""
        self.fullest = max(self.fullest, self._total + size)
        if self._block:
            self.fullest_block = max(self.fullest_block, self._of_blocks[self._block] + size)

    def total(self) -> int:
        """Bytes without checkpointing."""
        return self._total

    def total_of(self, ids: Collection[int]) -> int:
        """Bytes of these storages, as far as they are saved."""
        return sum(storage.nbytes() for key, (storage, _) in self._saved.items() if key in ids)

    def checkpointed(self) -> int:
        """Bytes with checkpointing, between the blocks."""
        outside = {key: storage for key, (storage, block) in self._saved.items() if block == 0}
        return sum(storage.nbytes() for storage in {**outside, **self._block_inputs}.values())

    def largest_block(self) -> int:
        """Bytes that the block with the most activations adds while it is computed again."""
        return max((size for block, size in self._of_blocks.items() if block), default=0)
