"""Counting the activations that autograd saves for the backward pass, with and without gradient checkpointing."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks


def id_of(tensor: Tensor) -> int:
    """Of the memory behind a tensor; views share it."""
    return int(tensor.untyped_storage()._cdata)


class SavedActivations:
    """What autograd saves for the backward pass, and inside of which checkpointed block it was first saved.

    Args:
        weights: ids of the model's own storages, which are no activations.
    """

    def __init__(self, weights: set[int]) -> None:
        self._weights = weights
        self._saved: dict[int, tuple[Any, int]] = {}
        self._block_inputs: dict[int, Any] = {}
        self._block = 0
        """The number of the block that runs now; 0 = outside of all."""
        self._blocks = 0
        self.largest_tensor = 0

    @contextmanager
    def counting(self) -> Iterator[None]:
        """Count what autograd saves inside."""
        with saved_tensors_hooks(self._pack, lambda tensor: tensor):
            yield

    def _pack(self, tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if id_of(tensor) not in self._weights:
            self._saved.setdefault(id_of(tensor), (storage, self._block))
            self.largest_tensor = max(self.largest_tensor, storage.nbytes())
        return tensor

    def checkpoint(self, run: Callable[..., Any], *inputs: Any, **named: Any) -> Any:
        """Stands where diffusers checkpoints a block: notes its inputs, which checkpointing saves instead of its
        activations, and runs it.
        """
        for tensor in inputs:
            if isinstance(tensor, Tensor) and id_of(tensor) not in self._weights:
                self._block_inputs[id_of(tensor)] = tensor.untyped_storage()
        self._blocks += 1
        self._block = self._blocks
        try:
            return run(*inputs, **named)
        finally:
            self._block = 0

    def total(self) -> int:
        """Bytes without checkpointing."""
        return sum(storage.nbytes() for storage, _ in self._saved.values())

    def total_of(self, ids: Collection[int]) -> int:
        """Bytes of these storages, as far as they are saved."""
        return sum(storage.nbytes() for key, (storage, _) in self._saved.items() if key in ids)

    def checkpointed(self) -> int:
        """Bytes with checkpointing, between the blocks."""
        outside = {key: storage for key, (storage, block) in self._saved.items() if block == 0}
        return sum(storage.nbytes() for storage in {**outside, **self._block_inputs}.values())

    def largest_block(self) -> int:
        """Bytes that the block with the most activations adds while it is computed again."""
        sizes: dict[int, int] = {}
        for key, (storage, block) in self._saved.items():
            if block and key not in self._block_inputs:
                sizes[block] = sizes.get(block, 0) + storage.nbytes()
        return max(sizes.values(), default=0)
