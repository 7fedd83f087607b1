"""Where and how precisely a model computes, and what running out of memory looks like to a user."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import importlib.util
import os
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from twinloop.domain.quantised import QUANTIZATIONS, Quantization
from twinloop.errors import InputError, MissingExtra, OutOfMemory

HALF_LOSS_SCALE = 2.0**16
"""To begin with; a training halves it where gradients overflow."""
_DETERMINISM: Any = torch.utils.deterministic  # its switch is unknown to the type stubs


@dataclass(frozen=True)
class Compute:
    """A device and its precisions.

    Attributes:
        dtype: of the weights. mixed: what matrix products are computed in while training (None = as the weights are).
        loss_scale: factor on the loss, at first, that keeps small gradients above float16's smallest number.
        exact: nothing is computed otherwise than plain diffusers computes it, because the user asked for float32.
        quantization: of the weights of denoiser and large text encoders; None = as they are.
    """

    device: torch.device
    dtype: torch.dtype
    mixed: torch.dtype | None
    loss_scale: float = 1.0
    exact: bool = False
    quantization: Quantization | None = None

    @property
    def name(self) -> str:
        """Short, for fingerprints: ``cpu-float32-bfloat16``, ``cuda-bfloat16-bfloat16-nf4``."""
        mixed = "exact" if self.exact else self.mixed
        packed = () if self.quantization is None else (self.quantization,)
        return "-".join(str(part).removeprefix("torch.") for part in (self.device.type, self.dtype, mixed, *packed))

    def autocast(self) -> AbstractContextManager[Any]:
        """Mixed precision for a forward pass with float32 LoRA weights."""
        if self.mixed is None:
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, self.mixed)


PRECISIONS = ("auto", "float32", "bfloat16", "float16")


def choose_compute(device: str, precision: str = "auto", quantization: str | None = None) -> Compute:
    """``auto``, ``cpu``, ``cuda`` or ``mps``, one of `PRECISIONS` and one of `QUANTIZATIONS` -> device and precisions.

    On a CPU the weights are float32, and matrix products are bfloat16 where the processor has instructions for it (twice as fast
    on Zen 4 and Sapphire Rapids). On a GPU weights are bfloat16, or float16 where the card cannot do that.

    Raises:
        InputError: the device is not there, or it cannot compute in that precision or with such weights.
        MissingExtra: the library that quantises is not installed.
    """
    usual = _usual(device)
    found = usual if precision == "auto" else _precise(usual, precision)
    return (
        found if quantization is None else dataclasses.replace(found, quantization=_quantization(found, quantization))
    )


_LIBRARIES: dict[Quantization, str] = {"nf4": "bitsandbytes", "int8": "torchao", "fp8": "torchao"}


def _quantization(compute: Compute, wanted: str) -> Quantization:
    how = next((known for known in QUANTIZATIONS if known == wanted), None)
    if how is None:
        raise InputError(f"quantization: unknown value '{wanted}'. Known: {', '.join(QUANTIZATIONS)}; null = none.")
    if compute.device.type == "mps":
        raise InputError(
            f'quantization: "{how}" weights need a CUDA GPU or a CPU, but this run computes on an Apple GPU. Leave it out, or use "device": "cpu".'
        )
    library = _LIBRARIES[how]
    if importlib.util.find_spec(library) is None:
        raise MissingExtra(f'"quantization": "{how}"', "quant", f"no module '{library}'")
    return how


def _precise(usual: Compute, precision: str) -> Compute:
    if precision not in PRECISIONS:
        raise InputError(f"precision: unknown value '{precision}'. Known: {', '.join(PRECISIONS)}.")
    if precision == "float32":
        return Compute(usual.device, torch.float32, None, exact=True)
    dtype = torch.bfloat16 if precision == "bfloat16" else torch.float16
    if usual.device.type == "cpu":
        raise InputError(
            f'precision: "{precision}" weights need a GPU; a CPU keeps float32 weights and uses bfloat16 products where it has them. Use "precision": "auto".'
        )
    return Compute(usual.device, dtype, dtype, HALF_LOSS_SCALE if dtype == torch.float16 else 1.0)


def _usual(device: str) -> Compute:
    wanted = _best_device() if device == "auto" else device
    if wanted == "cuda":
        if not torch.cuda.is_available():
            raise InputError(
                'device: "cuda" was asked for, but PyTorch sees no CUDA GPU here. Use "device": "auto" or "cpu".'
            )
        os.environ.setdefault(
            "CUBLAS_WORKSPACE_CONFIG", ":4096:8"
        )  # what `repeatable` needs; read at the first product
        if torch.cuda.is_bf16_supported(including_emulation=False):
            return Compute(torch.device("cuda"), torch.bfloat16, torch.bfloat16)
        return Compute(torch.device("cuda"), torch.float16, torch.float16, HALF_LOSS_SCALE)
    if wanted == "mps":
        if not torch.backends.mps.is_available():
            raise InputError(
                'device: "mps" was asked for, but PyTorch sees no Apple GPU here. Use "device": "auto" or "cpu".'
            )
        return Compute(torch.device("mps"), torch.float16, torch.float16, HALF_LOSS_SCALE)
    return Compute(torch.device("cpu"), torch.float32, torch.bfloat16 if _cpu_has_bfloat16() else None)


def _best_device() -> str:
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def _cpu_has_bfloat16() -> bool:
    """Whether bfloat16 products are native; where they are emulated they are slower than float32."""
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


OFFLOADS = ("none", "model", "sequential")


def check_offload(how: str, compute: Compute) -> None:
    """Whether this machine can keep parts of a model in main memory while others compute.

    Raises:
        InputError: unknown, or there is no GPU.
    """
    if how not in OFFLOADS:
        raise InputError(f"generation.offload: unknown value '{how}'. Known: {', '.join(OFFLOADS)}.")
    if how != "none" and compute.device.type != "cuda":
        raise InputError(
            f'generation.offload: "{how}" moves parts between main memory and a CUDA GPU, but this run computes on {compute.device.type}. '
            'Set it to "none", or run on a machine with such a GPU.'
        )
    if how == "sequential" and compute.quantization is not None:
        raise InputError(
            f'generation.offload: "sequential" takes layers apart, which quantised ones ("quantization": "{compute.quantization}") do not survive. '
            'Set it to "model", or leave quantization out.'
        )


def compute_mixed(module: torch.nn.Module, compute: Compute) -> None:
    """Make a float32 module on the CPU compute in mixed precision and answer in float32, so that guidance and scheduler lose nothing."""
    if compute.device.type != "cpu" or compute.mixed is None:
        return
    inner = module.forward

    @functools.wraps(inner)
    def forward(*args: Any, **kwargs: Any) -> Any:
        with compute.autocast():
            made = inner(*args, **kwargs)
        return tuple(_as_float(part) for part in made) if isinstance(made, tuple) else made

    module.forward = forward


def _as_float(part: Any) -> Any:
    return [row.float() for row in part] if isinstance(part, list) else part.float()


def thread_count() -> int:
    """``OMP_NUM_THREADS`` if set, else the cores this process may use (affinity and container quota)."""
    asked = os.environ.get("OMP_NUM_THREADS", "")
    if asked.isdigit() and int(asked) > 0:
        return int(asked)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(cores, _quota() or cores))


def _quota() -> int | None:
    """Whole cores of the container's CPU quota (cgroup v2), None when there is none."""
    with contextlib.suppress(OSError, ValueError):
        with open("/sys/fs/cgroup/cpu.max") as file:
            limit, period = file.read().split()
        if limit != "max":
            return max(1, int(limit) // int(period))
    return None


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Compute with so many threads inside; sums depend on it, so one training keeps one count."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def repeatable(compute: Compute) -> Iterator[None]:
    """Ask a GPU for kernels that sum in a fixed order; a CPU does so anyway. Where there is no such kernel the usual one is taken."""
    if compute.device.type != "cuda":
        yield
        return
    before, filled = torch.are_deterministic_algorithms_enabled(), _DETERMINISM.fill_uninitialized_memory
    torch.use_deterministic_algorithms(True, warn_only=True)
    _DETERMINISM.fill_uninitialized_memory = False  # finds bugs of kernels, costs a write of every new tensor
    try:
        with warnings.catch_warnings():
            # once for every kernel that has no such form, in the middle of a progress line
            warnings.filterwarnings("ignore", message=".*does not have a deterministic implementation")
            warnings.filterwarnings("ignore", message=".*defaults to a non-deterministic algorithm")
            yield
    finally:
        torch.use_deterministic_algorithms(before)
        _DETERMINISM.fill_uninitialized_memory = filled


@contextmanager
def memory_errors(what: str, advice: str) -> Iterator[None]:
    """Turn PyTorch's out-of-memory errors of any device into one clear error.

    Raises:
        OutOfMemory: naming ``what`` did not fit, and ``advice``.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if ran_out_of_memory(error):
            raise OutOfMemory(f"{what} does not fit into memory. {advice}") from error
        raise


_NO_MEMORY = ("out of memory", "can't allocate memory", "status_alloc_failed")
"""What PyTorch's allocators say, and cuBLAS and cuDNN, which take memory of their own."""


def ran_out_of_memory(error: BaseException) -> bool:
    """Whether this is how PyTorch says, on any device, that memory ran out."""
    text = str(error).lower()
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or (
        isinstance(error, RuntimeError) and any(sign in text for sign in _NO_MEMORY)
    )


def spills(compute: Compute) -> bool:
    """Whether this process holds more memory of the GPU than the GPU has."""
    return compute.device.type == "cuda" and torch.cuda.memory_reserved() > torch.cuda.mem_get_info()[1]


def release_memory() -> None:
    """Give back what a GPU's allocator holds and nothing uses."""
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    elif torch.backends.mps.is_available():
        torch.mps.empty_cache()
