"""How each step of a training is taken, and what is changed about that when one fails."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from twinloop.adapters.diffusion.base_model import BaseModel
from twinloop.adapters.diffusion.memory import ran_out_of_memory
from twinloop.adapters.diffusion.quantised.model import is_packed
from twinloop.adapters.diffusion.regions import REGIONAL, TRAINED, cannot_train_compiled, pays
from twinloop.adapters.trainers.execution.fallbacks import (
    CHECKPOINTING_FILE,
    COMPILED_FILE,
    KERNELS_FILE,
    CompiledBlocks,
    DeterministicKernels,
    GradientCheckpointing,
)
from twinloop.adapters.trainers.execution.micro_batches import MICRO_BATCHES_FILE, MicroBatches
from twinloop.adapters.trainers.lora.dropout import Dropout
from twinloop.domain.forecast import MemoryPlan
from twinloop.ports import TrainingSettings


@dataclass(frozen=True, eq=False)
class StepExecution:
    """How a training began to take its steps.

    What one step could not do so, the later ones do not either, and a resumed training knows from which on.

    Attributes:
        micro_batches: how many pictures go through at once. checkpointing: activations are kept or computed again.
        blocks: whether the denoiser's are compiled. kernels: whether all of them sum in a fixed order.
    """

    micro_batches: MicroBatches
    checkpointing: GradientCheckpointing
    blocks: CompiledBlocks
    kernels: DeterministicKernels

    @classmethod
    def open(
        cls,
        base: BaseModel,
        settings: TrainingSettings,
        plan: MemoryPlan,
        work: Path,
        rank: int,
        notice: Callable[[str], None],
    ) -> StepExecution:
        """As the settings and the plan ask for it, or as the work folder says that the training went on.

        Args:
            rank: of this process; each keeps files of its own. notice: told what the settings ask for and is not done.

        Raises:
            StateError: a file of the work folder is damaged.
        """

        def path(name: str) -> Path:
            return work / name.format(rank)

        return cls(
            MicroBatches(path(MICRO_BATCHES_FILE), plan.micro_batch),
            _checkpointing(settings, plan, path(CHECKPOINTING_FILE)),
            _blocks(base, settings, plan, path(COMPILED_FILE), notice),
            DeterministicKernels(base.compute, path(KERNELS_FILE)),
        )

    @contextmanager
    def ready(self, step: int) -> Iterator[None]:
        """Kernels and blocks as a step takes them, inside."""
        with self.kernels.ready(step), self.blocks.ready(step):
            yield

    def remedy(self, step: int, error: BaseException, pictures: int) -> str:
        """Change how ``step`` and those after it are taken, where that may help; what the user should know of it, ""
        where nothing does.

        Args:
            pictures: of a step.
        """
        return (
            self.kernels.give_up(step, error)
            or self.blocks.give_up(step, error)
            or (self._save_memory(step, pictures) if ran_out_of_memory(error) else "")
        )

    def _save_memory(self, step: int, pictures: int) -> str:
        """First by computing activations again, which changes no sum; then by smaller micro-batches, whose sums are
        rounded otherwise.
        """
        if told := self.checkpointing.step_back(step):
            return told
        size = self.micro_batches.halve(step)
        return (
            f"Memory ran out at step {step}: the {pictures} pictures of a step now go through {size} at a time."
            if size
            else ""
        )


def _checkpointing(settings: TrainingSettings, plan: MemoryPlan, path: Path) -> GradientCheckpointing:
    # without it the backward pass holds on to every swapped block's copy, whatever an earlier start kept
    asked = True if plan.blocks_to_swap > 0 else settings.gradient_checkpointing
    return GradientCheckpointing(path, asked, plan.checkpointing)


def _blocks(
    base: BaseModel, settings: TrainingSettings, plan: MemoryPlan, path: Path, notice: Callable[[str], None]
) -> CompiledBlocks:
    swapped = plan.blocks_to_swap > 0
    blocks = CompiledBlocks(base.regions, path, not swapped and _compiles(base, settings, notice), notice)
    if swapped:
        if settings.compile == REGIONAL or blocks.at(1):
            notice("The blocks are not compiled while some of them are swapped (training.blocks_to_swap).")
        blocks.stop()
    return blocks


def _compiles(base: BaseModel, settings: TrainingSettings, notice: Callable[[str], None]) -> bool:
    """Whether the denoiser's blocks are compiled in this training."""
    # where nobody asked: PEFT's DoRA and LoKr layers fall into pieces that are compiled one by one, which gains nothing
    pictures = settings.steps * settings.effective_batch if settings.adapter == "lora" else 0
    if not pays(settings.compile, base.compute, pictures, TRAINED):
        return False
    # a file that came packed keeps its own weights, whatever was asked for
    quantization = None if is_packed(base.denoiser) else base.compute.quantization
    if cannot_train_compiled(base.denoiser, quantization):
        if settings.compile is not None:
            notice(f"The blocks are not compiled: this model cannot be trained so on {quantization} weights.")
        return False
    if Dropout.of(settings):  # what is left out changes from step to step; a compiler may keep the first
        notice("The blocks are not compiled in a training with dropout.")
        return False
    return True
