"""From a step's footprint to peak memory, and to the way of taking the step that fits.

    peak = weights + other parts + LoRA x (4 parameter + 4 gradient + state + 4 average) + activations + work + context
    activations = n x kept, with checkpointing n x (kept outside + largest part)
    work = 2 x n x largest tensor + unpacking x largest quantised layer

and not less than weights, other parts and text encoders together: these come over to a GPU while they read captions.

n is how many pictures go through at once, state the optimizer's bytes per parameter. docs/training.md has the formula with figures.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from twinloop.adapters.trainers.dry_run import Footprint
from twinloop.domain.forecast import BUDGETS, GIB, MemoryPlan
from twinloop.domain.quantised import Quantization
from twinloop.ports import TrainingSettings

STATE_BYTES = {"adamw": 8.0, "adamw8bit": 2.1, "prodigy": 16.0, "adafactor": 0.1}
"""Per parameter of the LoRA: two moments in float32; in 8 bits; Prodigy adds its sums and the start; rows and columns only."""
CONTEXT = GIB // 2
"""What CUDA, its libraries and gaps in the allocator take."""
UNPACKING: Mapping[Quantization | None, int] = {"nf4": 2, "int8": 10, "fp8": 10, None: 10}
"""Bytes per weight of a quantised layer on the way back, as measured: once in 16 bits; 8-bit ones twice in float32 before that. None = another kind."""
STEP = 2.1
STEP_CHECKPOINTED = 2.85
"""Forward passes that a step costs: gradients pass through the frozen layers once, and are taken for the LoRA alone."""


@dataclass(frozen=True)
class WeightSizes:
    """Bytes with other weights: of the trained parts, of what stays beside them, and of what comes over for a while."""

    weights: int
    others: int
    visiting: int


@dataclass(frozen=True)
class Demand:
    """What a training asks of memory.

    Attributes:
        one: of one picture. others: bytes of the parts that stay on the device beside the denoiser. gpu: whether it is one.
        quantization: of the denoiser. visiting: bytes of the text encoders that come over to a GPU for new captions.
        lighter: what it would be with weights quantised in this way; the most exact first.
    """

    one: Footprint
    settings: TrainingSettings
    others: int
    gpu: bool
    visiting: int = 0
    quantization: Quantization | None = None
    lighter: Mapping[Quantization, WeightSizes] = field(default_factory=dict)

    def peak(self, portion: int, checkpointing: bool) -> int:
        """Bytes at the fullest moment of a step."""
        one, settings = self.one, self.settings
        per_parameter = 8 + STATE_BYTES[settings.optimizer] + (4 if settings.ema_decay else 0)
        still = one.weights + self.others + (CONTEXT if self.gpu else 0)
        activations = one.kept_outside + one.largest_part if checkpointing else one.kept
        step = (
            int(one.adapter * per_parameter)
            + portion * (activations + 2 * one.largest)
            + UNPACKING[self.quantization] * one.packed
        )
        return still + max(step, self.visiting)

    def plans(self) -> Iterator[MemoryPlan]:
        """Ways to take the same step, the fastest first: as asked, with checkpointing, then in ever smaller portions."""
        asked = self.settings.gradient_checkpointing
        portion = self.settings.batch_size
        choices = (False, True) if asked is None else (asked,)
        while portion:
            for checkpointing in choices:
                yield MemoryPlan(portion, checkpointing, self.peak(portion, checkpointing))
            portion //= 2
            choices = choices[-1:]

    def fitting(self, room: int) -> MemoryPlan | None:
        """The first plan that needs at most so many bytes."""
        return next((plan for plan in self.plans() if plan.peak <= room), None)

    def quantised(self) -> Iterator[tuple[Quantization, Demand]]:
        """The same training on quantised weights, the most exact first."""
        for how, less in self.lighter.items():
            one = replace(self.one, weights=less.weights, packed=self.one.widest)
            yield how, replace(self, one=one, others=less.others, visiting=less.visiting, quantization=how, lighter={})

    def fitting_quantised(self, room: int) -> MemoryPlan | None:
        """The first plan on quantised weights that needs at most so many bytes."""
        found = ((how, demand.fitting(room)) for how, demand in self.quantised())
        return next((replace(plan, quantization=how) for how, plan in found if plan is not None), None)

    def budgets(self) -> dict[int, MemoryPlan | None]:
        """For the usual cards; on quantised weights where the configured ones do not fit."""
        return {budget: self.fitting(budget * GIB) or self.fitting_quantised(budget * GIB) for budget in BUDGETS}

    def operations(self, checkpointing: bool) -> float:
        """Floating-point operations of one step."""
        passes = STEP_CHECKPOINTED if checkpointing else STEP
        passes += passes + 1 if self.settings.output_preservation else 0
        return self.settings.effective_batch * passes * self.one.forward
