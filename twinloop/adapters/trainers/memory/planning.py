"""Before a training: what it will need here, and how each step is taken so that it fits."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from twinloop.adapters.diffusion.base_model import BaseModel
from twinloop.adapters.diffusion.block_swap import UNSWAPPABLE, block_bytes_if
from twinloop.adapters.diffusion.compute import Compute, is_small
from twinloop.adapters.diffusion.memory import main_memory_left, ran_out_of_memory
from twinloop.adapters.diffusion.pixels import latent_shape
from twinloop.adapters.diffusion.prompts import join, said_again
from twinloop.adapters.diffusion.quantised.model import is_packed, large_parts
from twinloop.adapters.diffusion.quantised.sizes import bytes_if, real_bytes
from twinloop.adapters.trainers.lora.adapter_plan import AdapterPlan
from twinloop.adapters.trainers.lora.assistant_lora import assistant_of
from twinloop.adapters.trainers.memory.demand import (
    CONTEXT,
    PASSES,
    PASSES_CHECKPOINTED,
    Demand,
    WeightSizes,
    state_bytes,
)
from twinloop.adapters.trainers.memory.dry_run import encoders_footprint, footprint
from twinloop.adapters.trainers.memory.speed import BUSY_SHARE, Timing, of_products, pictures_to_time, seconds_of_pass
from twinloop.domain.forecast import GIB, Forecast, MemoryPlan
from twinloop.domain.quantised import Quantization
from twinloop.domain.wording import agree, plural
from twinloop.errors import OutOfMemory, StateError
from twinloop.families.base import reads_prompts
from twinloop.families.clip import CHUNKS
from twinloop.ports import TrainingSettings, TrainingSize
from twinloop.store.atomic import read_json, write_json
from twinloop.store.models.step_saves import StepSaves

PLAN = "plan.json"
OTHERS_AT_WORK, NO_STEP_TIMED = "other programs are at work", "no step was timed"
"""Why a time on a CPU is not sure."""
MARGIN = 0.95
"""Share of the memory that a plan may fill: the prediction is good to about a twentieth."""


def demand_of(base: BaseModel, settings: TrainingSettings, *, chunks: int, prior: bool) -> tuple[Demand, int]:
    """What a step asks of memory, and the bytes of one cached picture with its caption.

    Args:
        chunks: how many (`families.clip`) a step's captions are long. prior: a batch of prior images is learned beside
            the subject's.

    Raises:
        RuntimeError, NotImplementedError: a denoiser that looks into its numbers; nothing can be told about it.
        ModelFileError, StateError: as `assistant_of`.
    """
    base.lora.use(None)
    family, words = base.family, said_again(base.prompts.embed("a photo"), chunks)
    latents = _latents(base, settings)
    plan = AdapterPlan.of(settings, family)
    assistant = assistant_of(settings, base)
    one = footprint(base, plan, latents, join([words], family.joining), assistant)
    adapted = [family.denoiser]
    if plan.text_encoder:
        one = one.together_with(encoders_footprint(base, plan, chunks=min(chunks, CHUNKS)))
        adapted += family.text_encoders().prefixes
    gpu = base.compute.device.type == "cuda"
    beside = 0 if assistant is None else assistant.nbytes(base.denoiser)
    now = _weight_sizes(base, gpu, adapted, None, beside)
    quantised = {how: _weight_sizes(base, gpu, adapted, how, beside) for how in _smaller_quantizations(base)}
    quantization = _quantization(base)
    sizes = 1 + sum((smaller / settings.resolution) ** 2 for smaller in settings.smaller_resolutions)
    pictures = int(4 * math.prod(latents) * sizes) * (2 if settings.flip else 1)
    cached = pictures + sum(part.nbytes for part in words.values())
    swaps = can_swap(base) and _has_room_for(base.denoiser)
    return Demand(one, settings, now.resident, gpu, now.frozen_encoders, quantization, quantised, prior, swaps), cached


def _latents(base: BaseModel, settings: TrainingSettings) -> tuple[int, ...]:
    """(1, c, h, w) of a picture of the resolution, which is the largest of a training."""
    side = max(1, settings.resolution // base.bucket_step) * base.bucket_step
    return latent_shape(base, side, side)


def _quantization(base: BaseModel) -> Quantization | None:
    """Of the denoiser; a file that came packed keeps its own weights."""
    return None if is_packed(base.denoiser) else base.compute.quantization


def can_swap(base: BaseModel) -> bool:
    """Whether the denoiser's blocks can be swapped."""
    return base.compute.device.type == "cuda" and _quantization(base) not in UNSWAPPABLE


def _has_room_for(denoiser: Any) -> bool:
    """Whether main memory holds the denoiser, or could."""
    left = main_memory_left()
    there = next(denoiser.parameters()).device.type == "cpu"
    return there or left is None or left >= real_bytes(denoiser)


def _weight_sizes(
    base: BaseModel, gpu: bool, adapted: Sequence[str], quantization: Quantization | None, beside: int
) -> WeightSizes:
    """Bytes with weights quantised so (None = as they are).

    Args:
        adapted: names of the components that the LoRA adapts. Text encoders that are none of them stay in main memory,
            and are moved to a GPU only while they embed captions.
        beside: bytes of what else stays on the device, in one precision.
    """
    large = large_parts(base.pipeline, base.family)

    def size(part: Any) -> int:
        if quantization is not None and any(part is one for one in large):
            return bytes_if(part, quantization, base.compute.dtype)
        return real_bytes(part)

    models = {name: part for name, part in base.pipeline.components.items() if isinstance(part, torch.nn.Module)}
    frozen = {name: part for name, part in models.items() if name not in adapted}
    encoders = sum(size(part) for name, part in frozen.items() if reads_prompts(name))
    resident = beside + (size(frozen["vae"]) if gpu else sum(map(size, frozen.values())))
    blocks = () if quantization is None else block_bytes_if(base.denoiser, quantization, base.compute.dtype)
    weights = sum(size(models[name]) for name in adapted if name in models)
    return WeightSizes(weights, resident, encoders if gpu else 0, blocks)


def _smaller_quantizations(base: BaseModel) -> list[Quantization]:
    """What could be proposed instead of the configured weights, the most exact first; fp8 takes as much as int8 and is
    coarser.
    """
    proposed: list[Quantization] = [] if is_packed(base.denoiser) else ["int8", "nf4"]
    return {None: proposed, "nf4": []}.get(base.compute.quantization, proposed[1:])


def available_memory(compute: Compute, settings: TrainingSettings) -> int | None:
    """Bytes that the training may use: as asked, else what the GPU has free and what this process holds of it, CUDA's
    own part included, as in what is predicted; None = no limit is known.
    """
    if settings.memory:
        return settings.memory * GIB
    if compute.device.type != "cuda":
        return None
    return int(torch.cuda.mem_get_info()[0] + torch.cuda.memory_reserved()) + CONTEXT


def memory_plan(
    base: BaseModel,
    settings: TrainingSettings,
    work: Path,
    notice: Callable[[str], None],
    *,
    chunks: int,
    prior: bool,
) -> MemoryPlan:
    """How the steps are taken; decided at the first start and kept, so that a resumed training adds up the same sums.

    Gradient checkpointing and swapped blocks, which change no sum, are what the settings ask for now. ``chunks``,
    ``prior``: as in `demand_of`.

    Raises:
        OutOfMemory: not even one picture fits; says what to lower. StateError: what was kept is damaged.
    """
    path = work / PLAN
    if path.exists():
        return _as_asked(_kept(path), settings)
    available = available_memory(base.compute, settings)
    plan = _as_asked(MemoryPlan(settings.batch_size, is_small(base.compute), 0), settings)
    if available is not None:
        plan = _fitting(base, settings, available, notice, chunks, prior) or plan
    write_json(path, asdict(plan))
    return plan


def _as_asked(plan: MemoryPlan, settings: TrainingSettings) -> MemoryPlan:
    """The plan with what the settings fix of it: swapped blocks need checkpointing, and go where that is forbidden."""
    asked = settings.gradient_checkpointing
    swapped = plan.blocks_to_swap if settings.blocks_to_swap is None else settings.blocks_to_swap
    checkpointing = (plan.checkpointing or swapped > 0) if asked is None else asked
    return replace(plan, checkpointing=checkpointing, blocks_to_swap=swapped if checkpointing else 0)


def _kept(path: Path) -> MemoryPlan:
    try:
        return MemoryPlan(**read_json(path))
    except TypeError as error:
        raise StateError(f"{path} is damaged ({error}). Delete its folder to train anew.") from error


def _fitting(
    base: BaseModel, settings: TrainingSettings, available: int, notice: Callable[[str], None], chunks: int, prior: bool
) -> MemoryPlan | None:
    try:
        demand, _ = demand_of(base, settings, chunks=chunks, prior=prior)
    except (RuntimeError, NotImplementedError) as error:
        if ran_out_of_memory(error):
            raise OutOfMemory(encoders_too_large(available)) from error
        notice(
            f"The memory of this base model cannot be predicted ({str(error).splitlines()[0]}); the settings are taken"
            " as they are."
        )
        return None
    usable = int(available * MARGIN)
    plan = demand.fitting(usable)
    if plan is None:
        raise OutOfMemory(_too_little(demand, settings, available, usable))
    if plan.micro_batch < settings.batch_size:
        notice(
            f"To fit into {available / GIB:.1f} GiB the {settings.effective_batch} pictures of a step go through"
            f" {plan.micro_batch} at a time."
        )
    if plan.blocks_to_swap and settings.blocks_to_swap is None:
        notice(_swapped(demand, plan.blocks_to_swap, available))
    return plan


def encoders_too_large(available: int | None) -> str:
    """That memory ran out before a training was planned: text encoders, which read a caption for it, are whole on the
    device.
    """
    there = "" if available is None else f" ({available / GIB:.1f} GiB are there)"
    return (
        f'The text encoders of the base model do not fit into the memory of the device{there}. Set "quantization" to'
        " int8, or to nf4 for less, or close programs that hold that memory."
    )


def _swapped(demand: Demand, count: int, available: int) -> str:
    """That so many blocks are swapped, and what would do without."""
    whole = replace(demand, settings=replace(demand.settings, blocks_to_swap=0))
    quantised = whole.fitting_quantised(int(available * MARGIN))
    instead = (
        ""
        if quantised is None
        else f' "quantization": "{quantised.quantization}" would fit without, on coarser weights.'
    )
    return (
        f"To fit into {available / GIB:.1f} GiB, {count} of the model's {plural(len(demand.footprint.blocks), 'block')}"
        f" {agree(count, 'waits', 'wait')} in main memory and {agree(count, 'is', 'are')} on the GPU only while"
        f" {agree(count, 'it computes', 'they compute')} (training.blocks_to_swap), which is slower.{instead}"
    )


def _too_little(demand: Demand, settings: TrainingSettings, available: int, usable: int) -> str:
    """That not even one picture fits, and what helps."""
    least = min(demand.plans(), key=lambda one: one.peak)
    quantised = demand.fitting_quantised(usable)
    free = replace(settings, blocks_to_swap=None, gradient_checkpointing=None)
    swapped = None if free == settings else replace(demand, settings=free).fitting(usable)
    smaller = "Lower training.resolution, then training.rank; training.optimizer adafactor needs least."
    if demand.floor > usable:
        smaller = "Neither training.resolution nor training.rank changes that: the weights alone do not fit."
    if swapped is not None:
        smaller = (
            "It would fit with training.blocks_to_swap and training.gradient_checkpointing left out"
            f" ({plural(swapped.blocks_to_swap, 'block')} swapped)."
        )
    elif quantised is not None:
        smaller = (
            f'It would fit with "quantization": "{quantised.quantization}" ({quantised.peak / GIB:.1f} GiB). {smaller}'
        )
    return (
        f"Training at {settings.resolution} px with rank {settings.rank} needs {least.peak / GIB:.1f} GiB at least. Of"
        f" the {available / GIB:.1f} that are there, {usable / GIB:.1f} may be filled. {smaller} Programs that hold the"
        " GPU's memory can be closed. See which budget suffices: twinloop doctor --config FILE"
    )


def forecast(base: BaseModel, settings: TrainingSettings, size: TrainingSize, *, chunks: int) -> Forecast:
    """What the whole training will need. A batch of prior images is learned beside the subject's in every step.

    Args:
        chunks: as in `demand_of`; of the captions, which are not looked at here.

    Raises:
        as `demand_of`.
    """
    demand, cached = demand_of(base, settings, chunks=chunks, prior=size.prior > 0)
    available = available_memory(base.compute, settings)
    plans = list(demand.plans())
    plan = (demand.fitting(int(available * MARGIN)) if available is not None else plans[0]) or min(
        plans, key=lambda one: one.peak
    )
    per_parameter = 4 + state_bytes(settings) + (4 if settings.ema_decay else 0)
    checkpoints = 3 * demand.footprint.adapter * per_parameter  # two, and one being written
    saves = StepSaves.of(settings, Path()).count
    # the LoRA and its copy for other programs, 16 bits each, and the same of earlier steps
    files = 4 * demand.footprint.adapter * (1 + saves)
    disk = int(checkpoints + files + (size.images + size.prior) * cached)
    passes = settings.validations(size.held_out).passes(settings.steps, settings.validation_times)
    operations = demand.training_operations(plan.checkpointing, prior=size.prior > 0, validation_passes=passes)
    speed, rough = _speed(base, demand, plan, chunks)
    return Forecast(plan, available, disk, operations / speed, demand.budgets(), rough=rough)


def _speed(base: BaseModel, demand: Demand, plan: MemoryPlan, chunks: int) -> tuple[float, str]:
    """Floating-point operations per second that a training reaches here, and why that is a rough guess; "" = it is as
    sure as usual.
    """
    passes = PASSES_CHECKPOINTED if plan.checkpointing else PASSES
    operations = passes * demand.footprint.forward
    pictures = pictures_to_time(base.compute, demand.footprint.weights, operations, plan.micro_batch)
    try:
        taken = _pass_of(base, demand, plan, chunks, pictures) if pictures else None
    except (RuntimeError, NotImplementedError):  # memory is told all the same, and the training will say why it fails
        taken = None
    if taken is not None:
        return pictures * operations / taken.seconds, OTHERS_AT_WORK if taken.shared else ""
    speed, shared = of_products(base.compute)
    untimed = NO_STEP_TIMED if base.compute.device.type == "cpu" else ""
    return BUSY_SHARE * speed, OTHERS_AT_WORK if shared else untimed


def _pass_of(base: BaseModel, demand: Demand, plan: MemoryPlan, chunks: int, pictures: int) -> Timing:
    """Of so many pictures at once, as the training takes them."""
    _, *shape = _latents(base, demand.settings)
    words = join([said_again(base.prompts.embed("a photo"), chunks)] * pictures, base.family.joining)
    adapter = AdapterPlan.of(demand.settings, base.family)
    return seconds_of_pass(base, adapter, plan.checkpointing, (pictures, *shape), words)
