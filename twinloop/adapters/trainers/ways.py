"""How each step of a training is taken, and what is changed about it when it fails."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from twinloop.adapters.diffusion.memory import ran_out_of_memory
from twinloop.adapters.trainers.activations import Activations
from twinloop.adapters.trainers.compiled import CompiledBlocks
from twinloop.adapters.trainers.kernels import Kernels
from twinloop.adapters.trainers.portions import Portions


@dataclass(frozen=True, eq=False)
class Ways:
    """The ways that a training began with. What one step could not do so, the later ones do not either, and a resumed training knows from which on.

    Attributes:
        portions: how many pictures go through at once. activations: kept or computed again. blocks: whether the denoiser's are compiled.
        kernels: whether all of them sum in a fixed order.
    """

    portions: Portions
    activations: Activations
    blocks: CompiledBlocks
    kernels: Kernels

    @contextmanager
    def ready(self, step: int) -> Iterator[None]:
        """Kernels and blocks as a step takes them, inside."""
        with self.kernels.ready(step), self.blocks.ready(step):
            yield

    def remedy(self, step: int, error: BaseException, pictures: int) -> str:
        """Change how ``step`` and those after it are taken, where that may help; what the user should know of it, "" where nothing does.

        Args:
            pictures: of a step.
        """
        return (
            self.kernels.give_up(step, error)
            or self.blocks.give_up(step, error)
            or (self._save_memory(step, pictures) if ran_out_of_memory(error) else "")
        )

    def _save_memory(self, step: int, pictures: int) -> str:
        """First by computing activations again, which changes no sum; then by smaller portions, whose sums are rounded otherwise."""
        if told := self.activations.step_back(step):
            return told
        size = self.portions.halve(step)
        return (
            f"Memory ran out at step {step}: the {pictures} pictures of a step now go through {size} at a time."
            if size
            else ""
        )
