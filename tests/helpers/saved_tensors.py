"""What autograd keeps for the way back, counted while numbers really go through a model."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from torch import nn


def bytes_kept(models: Iterable[nn.Module], forward: Callable[[], object]) -> int:
    """Bytes that autograd holds after ``forward``, the weights and buffers of ``models`` aside; storages that are
    shared count once.
    """
    import torch

    from twinloop.adapters.trainers.memory.saved_activations import id_of

    own = {id_of(tensor) for model in models for tensor in (*model.parameters(), *model.buffers())}
    kept: dict[int, Any] = {}

    def keep(tensor: Any) -> Any:
        if id_of(tensor) not in own:
            kept[id_of(tensor)] = tensor.untyped_storage()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        made = forward()
    total = sum(storage.nbytes() for storage in kept.values())
    del made  # until here it keeps what was counted
    return total
