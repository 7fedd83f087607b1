"""From a step's footprint to peak memory, to the way of taking the step that fits, and to the operations that it costs.

    peak = weights + resident parts + LoRA x (4 parameter + state + 4 average) + context + the larger of
        (passing + dequantising x largest quantised layer) and LoRA x (4 gradient + update)
    passing = the larger of what the forward pass leaves for the backward pass, and the gradients, 4 x LoRA, that are
        there when the backward pass ends: while these grow, activations are given back. Where a step adds up the
        gradients of several passes, both at once.
    left for the backward pass = copies + n x (activations + work); with checkpointing the larger of copies + n x (those
        between the blocks + work), and n x (those between the blocks + those of the fullest block + work)
    work = 2 x largest tensor, or what a trained layer takes for a moment beside the activations that are there then
        (`dry_run`), whichever makes more of both
    weights, where blocks are swapped = those that stay on the device + the largest of the swapped blocks

and not less than the frozen text encoders and the context: these are on a GPU while they embed captions, and nothing
else is.

copies are the LoRA's matrices in the precision of the products, which autocast makes once for all pictures of a pass;
n is how many pictures go through at once (the micro-batch), state and update the optimizer's bytes per parameter.
docs/training.md has the formula with figures.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from twinloop.adapters.diffusion.block_swap import UNSWAPPABLE
from twinloop.adapters.trainers.memory.dry_run import Footprint
from twinloop.domain.forecast import BUDGETS, GIB, MemoryPlan
from twinloop.domain.quantised import Quantization
from twinloop.ports import TrainingSettings

STATE_BYTES = {
    "adamw": 8.0,
    "adamw8bit": 2.1,
    "prodigy": 14.0,
    "adafactor": 0.1,
    "lion": 4.0,
    "came": 4.5,
    "adamw_schedulefree": 8.0,
}
"""Per parameter of the LoRA: two moments in float32; in 8 bits; Prodigy adds its sums and the start, which it keeps of
those matrices only that do not start at zero; rows and columns only; one moment; one, and rows and columns twice (at
rank 16); one, and the weights a second time."""
UPDATE_BYTES = {"lion": 4.0, "came": 8.0, "adamw_schedulefree": 8.0}
"""Per parameter: what an optimizer holds besides while it updates all parameters at once, when no activations are left;
those that are not here update one after the other."""
FIRST_MOMENT = 4.0
"""Bytes that Adafactor keeps with `beta1`."""
CONTEXT = GIB // 2
"""What CUDA, its libraries and gaps in the allocator take."""
ROOM_OF_A_CARD = 0.92
"""Of the memory that a card is sold with: the driver, a desktop and gaps in the allocator have the rest."""
DEQUANTISING: Mapping[Quantization | None, int] = {"nf4": 2, "int8": 10, "fp8": 10, None: 10}
"""Bytes per weight of a quantised layer in the backward pass, as measured: once in 16 bits; 8-bit ones twice in float32
before that. None = another kind."""
PASSES = 2.1
PASSES_CHECKPOINTED = 2.85
"""Forward passes that a step's forward and backward pass cost: gradients pass through the frozen layers once, and are
taken for the LoRA alone."""


def state_bytes(settings: TrainingSettings) -> float:
    """What the optimizer remembers per parameter, with its arguments: Prodigy's sums and start may be thinned,
    Adafactor may have a first moment.
    """
    arguments, usual = dict(settings.optimizer_args), STATE_BYTES[settings.optimizer]
    if settings.optimizer == "prodigy":
        moments = STATE_BYTES["adamw"]
        return moments + (usual - moments) / float(arguments.get("slice_p", 1))  # type: ignore[arg-type]
    return usual + (FIRST_MOMENT if "beta1" in arguments else 0.0)


@dataclass(frozen=True)
class WeightSizes:
    """Bytes of a model's weights in one precision.

    Attributes:
        adapted: of the models that the LoRA adapts. resident: of the other parts that stay on the device.
        frozen_encoders: of the text encoders that are not trained, which are moved to a GPU while they embed captions;
            0 elsewhere.
        blocks: as in `Footprint`.
    """

    adapted: int
    resident: int
    frozen_encoders: int
    blocks: tuple[int, ...] = ()


@dataclass(frozen=True)
class Demand:
    """What a training asks of memory and of the processor.

    Attributes:
        footprint: of the adapted models with one picture. resident, frozen_encoders: as in `WeightSizes`.
        gpu: whether the device is one. quantization: of the denoiser's weights.
        quantised_sizes: the same weights in the quantizations that may be proposed, the most exact first.
        prior: a batch of prior images is learned beside the subject's.
        swaps: the denoiser's blocks can be swapped here.
    """

    footprint: Footprint
    settings: TrainingSettings
    resident: int
    gpu: bool
    frozen_encoders: int = 0
    quantization: Quantization | None = None
    quantised_sizes: Mapping[Quantization, WeightSizes] = field(default_factory=dict)
    prior: bool = False
    swaps: bool = False

    @property
    def floor(self) -> int:
        """Bytes that are needed whatever the pictures and the LoRA are."""
        return (CONTEXT if self.gpu else 0) + max(
            self._weights(self._most_swapped) + self.resident, self.frozen_encoders
        )

    @property
    def _most_swapped(self) -> int:
        """How many blocks may be swapped."""
        asked, blocks = self.settings.blocks_to_swap, len(self.footprint.blocks) if self.swaps else 0
        return blocks if asked is None else min(asked, blocks)

    def _weights(self, swapped: int) -> int:
        """Bytes of the adapted models' weights on the device, with so many blocks in main memory."""
        waiting = self.footprint.blocks[:swapped]
        return self.footprint.weights - sum(waiting) + max(waiting, default=0)

    def peak(self, micro_batch: int, checkpointing: bool, swapped: int = 0) -> int:
        """Bytes at the fullest moment of a step; ``swapped``: so many blocks are."""
        one, settings = self.footprint, self.settings
        per_parameter = 4 + state_bytes(settings) + (4 if settings.ema_decay else 0)
        context = CONTEXT if self.gpu else 0
        held = self._weights(swapped) + self.resident + int(one.adapter * per_parameter)
        passes = self._passing(micro_batch, checkpointing) + DEQUANTISING[self.quantization] * one.quantised
        update = int(one.adapter * (4 + UPDATE_BYTES.get(settings.optimizer, 0)))
        return context + max(held + max(passes, update), self.frozen_encoders)

    def _passing(self, micro_batch: int, checkpointing: bool) -> int:
        """Bytes of activations and gradients, and of what is worked in, at the fullest moment of a step."""
        one, gradients = self.footprint, 4 * self.footprint.adapter
        work = 2 * one.largest_tensor
        if checkpointing:
            block = max(one.largest_block + work, one.fullest_block)
            forward = one.copies + micro_batch * (one.checkpointed + work)
            left = max(forward, micro_batch * (one.checkpointed + block))
            at_end = gradients + micro_batch * block
        else:
            left = one.copies + micro_batch * (max(one.activations + work, one.fullest) - one.copies)
            at_end = gradients + micro_batch * work
        return max(left + gradients, at_end) if self._adds_up(micro_batch) else max(left, at_end)

    def _adds_up(self, micro_batch: int) -> bool:
        """Whether a step adds up the gradients of several passes."""
        alone = micro_batch >= self.settings.effective_batch and not self.settings.output_preservation
        return self.prior or not alone

    def plans(self) -> Iterator[MemoryPlan]:
        """Ways to take the same step, the fastest first: as asked, with checkpointing, then in ever smaller
        micro-batches, then with ever more blocks swapped where nobody says how many.
        """
        asked, swapped = self.settings.gradient_checkpointing, self.settings.blocks_to_swap or 0
        micro_batch = self.settings.batch_size
        choices = (True,) if swapped else (False, True) if asked is None else (asked,)
        while micro_batch:
            for checkpointing in choices:
                yield self._plan(micro_batch, checkpointing, swapped)
            micro_batch //= 2
            choices = choices[-1:]
        if self.settings.blocks_to_swap is None and choices[-1]:
            for count in range(1, self._most_swapped + 1):
                yield self._plan(1, True, count)

    def _plan(self, micro_batch: int, checkpointing: bool, swapped: int) -> MemoryPlan:
        peak = self.peak(micro_batch, checkpointing, swapped)
        return MemoryPlan(micro_batch, checkpointing, peak, blocks_to_swap=swapped)

    def fitting(self, available: int) -> MemoryPlan | None:
        """The first plan that needs at most so many bytes."""
        return next((plan for plan in self.plans() if plan.peak <= available), None)

    def quantised(self) -> Iterator[tuple[Quantization, Demand]]:
        """The same training on quantised weights, the most exact first."""
        for quantization, sizes in self.quantised_sizes.items():
            footprint = replace(
                self.footprint, weights=sizes.adapted, quantised=self.footprint.quantisable, blocks=sizes.blocks
            )
            swaps = self.swaps and quantization not in UNSWAPPABLE
            yield (
                quantization,
                replace(
                    self,
                    footprint=footprint,
                    settings=self.settings if swaps else replace(self.settings, blocks_to_swap=0),
                    resident=sizes.resident,
                    frozen_encoders=sizes.frozen_encoders,
                    quantization=quantization,
                    quantised_sizes={},
                    swaps=swaps,
                ),
            )

    def fitting_quantised(self, available: int) -> MemoryPlan | None:
        """The first plan on quantised weights that needs at most so many bytes."""
        found = ((quantization, demand.fitting(available)) for quantization, demand in self.quantised())
        return next((replace(plan, quantization=how) for how, plan in found if plan is not None), None)

    def budgets(self) -> dict[int, MemoryPlan | None]:
        """For the usual cards; on quantised weights where the configured ones do not fit."""
        rooms = {budget: int(budget * GIB * ROOM_OF_A_CARD) for budget in BUDGETS}
        return {budget: self.fitting(room) or self.fitting_quantised(room) for budget, room in rooms.items()}

    def operations(self, checkpointing: bool, *, prior: bool = False, encoders_learn: bool = True) -> float:
        """Floating-point operations of one step.

        Args:
            prior: a batch of prior images is learned beside the subject's (prior preservation).
            encoders_learn: gradients reach the text encoders that are trained; without, they embed the captions all the
                same.
        """
        passes = PASSES_CHECKPOINTED if checkpointing else PASSES
        preserved = bool(self.settings.output_preservation)
        losses = 1 + preserved + prior  # the subject's; the answer to the class word; the prior images'
        # the base's own answer to the class word is a forward pass alone, of captions that are embedded once
        denoiser = (losses * passes + preserved) * self.footprint.forward
        encoders = losses * (passes if encoders_learn else 1) * self.footprint.encoder_forward
        return self.settings.effective_batch * (denoiser + encoders)

    def training_operations(self, checkpointing: bool, *, prior: bool, validation_passes: int) -> float:
        """Floating-point operations of all steps: the text encoders learn in the first of them
        (``text_encoder_share``).

        Args:
            validation_passes: passes forward of single pictures that the validations take beside.
        """
        learning = self.settings.text_encoder_steps
        return (
            learning * self.operations(checkpointing, prior=prior)
            + (self.settings.steps - learning) * self.operations(checkpointing, prior=prior, encoders_learn=False)
            + validation_passes * (self.footprint.forward + self.footprint.encoder_forward)
        )
