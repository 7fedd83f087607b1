"""What of a dry run's tensors is there at a moment and counts nowhere else: autograd does not save it, but the code of
a model holds it, often until it has gone through a block.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor, UntypedStorage
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class AliveStorages(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Inside, the memory of every tensor that is made counts until it is given back, or forgotten.

    Args:
        counted: whether the storage of this id counts elsewhere.

    Attributes:
        total: bytes of now.
    """

    def __init__(self, counted: Callable[[int], bool]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._counted = counted
        self._alive: dict[int, tuple[weakref.ref[UntypedStorage], int]] = {}
        self.total = 0

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        made = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(made):
            if isinstance(tensor, Tensor):
                self._add(tensor.untyped_storage())
        return made

    def _add(self, storage: UntypedStorage) -> None:
        key = int(storage._cdata)
        if key not in self._alive and not self._counted(key):
            self._alive[key] = (weakref.ref(storage, lambda _: self.forget(key)), storage.nbytes())
            self.total += storage.nbytes()

    def forget(self, key: int) -> None:
        """It is given back, or counts elsewhere from now on."""
        _, size = self._alive.pop(key, (None, 0))
        self.total -= size
