"""How fast this machine computes, for the guess of how long a training takes.

On a GPU, and with a large model on a CPU, a step is mostly large matrix products, and one of them is timed. A small
model on a CPU spends its time between products, on calls of PyTorch: nothing but its own pass tells how long that is.

Where other programs are at work, a processor is now free and now taken for seconds: timings of a few milliseconds on
the same machine were fifty times apart. What is timed then takes as long as some of those turns, and their mean counts,
as it does in a training.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from twinloop.adapters.diffusion.base_model import BaseModel
from twinloop.adapters.diffusion.compute import Compute
from twinloop.adapters.diffusion.prompts import Joined, placed
from twinloop.adapters.trainers.lora.adapted_model import AdaptedModel, adapted
from twinloop.adapters.trainers.lora.adapter_plan import AdapterPlan
from twinloop.system.load import is_busy

BUSY_SHARE = 0.4
"""Of the speed of large products that a training reaches: an assumption for the guess of the time."""
SMALL_PASS = 3e10
"""Floating-point operations of a picture's pass forward and back that is worth taking to time it: a second or some on a
slow CPU."""
ENOUGH = 1e10
"""So many of them are timed at once at most, where one picture does not take more."""
SMALL_WEIGHTS = 1 << 28
"""Bytes of the model."""
QUIET, BUSY = 0.2, 0.8
"""For how many seconds a CPU is timed at least, alone and beside other programs."""
FEWEST, LONGEST = 3, 3.0
"""How often it is done at least, and seconds after which even that is given up."""
STARVED = 0.7
"""Seconds of processor time in a second, of all threads together, below which something else had the processors."""


@dataclass(frozen=True)
class Timing:
    """Mean seconds of what was timed, and whether other programs were at work then."""

    seconds: float
    shared: bool


def pictures_to_time(compute: Compute, weights: int, operations: float, micro_batch: int) -> int:
    """With how many pictures a pass of the model itself is worth its time; 0 = with none.

    Args:
        weights: bytes. operations: floating-point ones of one picture's pass forward and back.
        micro_batch: how many go through at once in the training.
    """
    if compute.device.type != "cpu" or weights > SMALL_WEIGHTS or operations > SMALL_PASS:
        return 0
    return max(1, min(micro_batch, int(ENOUGH / operations)))


def seconds_of_pass(
    base: BaseModel, adapter: AdapterPlan, checkpointing: bool, latents: tuple[int, ...], words: Joined
) -> Timing:
    """Of a pass forward and back with a LoRA in training. The base is as before afterwards, and so are PyTorch's random
    numbers.

    Args:
        latents: (n, c, h, w) of n pictures. words: of n texts, as `join` gives them.
    """
    inputs = (
        torch.zeros(latents),
        torch.full(latents[:1], 500.0),
        placed(words, base.compute.device, base.compute.dtype),
        torch.zeros(latents[0], 6),
    )
    with (
        torch.random.fork_rng(devices=[]),
        adapted(base, adapter, 0, checkpointing=checkpointing) as model,
        model.whole(),
    ):
        _there_and_back(model, inputs)  # the first makes what later ones find ready
        return _timed(lambda: _there_and_back(model, inputs))


def _there_and_back(model: AdaptedModel, inputs: tuple[Any, ...]) -> None:
    loss: Any = model(*inputs).square().mean()
    loss.backward()


def of_products(compute: Compute) -> tuple[float, bool]:
    """Floating-point operations per second of a large matrix product here, and whether other programs were at work; a
    few hundredths of a second on a GPU are enough to tell, which no other program is asked about.
    """
    side = 4096 if compute.device.type == "cuda" else 512
    matrix = torch.zeros(side, side, device=compute.device, dtype=compute.mixed or compute.dtype)
    matrix @ matrix
    finish(compute)
    if compute.device.type == "cpu":
        found = _timed(lambda: matrix @ matrix)
        return 2 * side**3 / found.seconds, found.shared
    begun, rounds = time.perf_counter(), 4
    for _ in range(rounds):
        matrix @ matrix
    finish(compute)
    return rounds * 2 * side**3 / max(1e-9, time.perf_counter() - begun), False


def _timed(work: Callable[[], object]) -> Timing:
    """Of work that is done again and again for a while, longer where other programs take turns with it."""
    begun, processor, times = time.perf_counter(), time.process_time(), 0
    while True:
        work()
        times += 1
        taken = time.perf_counter() - begun
        shared = is_busy() or time.process_time() - processor < STARVED * taken
        if taken >= LONGEST or (times >= FEWEST and taken >= (BUSY if shared else QUIET)):
            return Timing(taken / times, shared)


def finish(compute: Compute) -> None:
    """Wait until a GPU has done what it was given."""
    if compute.device.type == "cuda":
        torch.cuda.synchronize()
    elif compute.device.type == "mps":
        torch.mps.synchronize()
