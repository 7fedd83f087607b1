"""Where and how precisely a model computes."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import importlib.util
import os
import re
import shutil
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from twinloop.domain.choices import PRECISIONS
from twinloop.domain.extras import QUANTIZATION_MODULES
from twinloop.domain.quantised import QUANTIZATIONS, Quantization
from twinloop.errors import InputError, MissingDevice, MissingExtra

HALF_LOSS_SCALE = 2.0**16
"""To begin with; a training halves it where gradients overflow."""


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

    @property
    def in_float16(self) -> bool:
        """Whether float16 is the half precision here, whose numbers end at 65,504."""
        return self.dtype == torch.float16

    def autocast(self) -> AbstractContextManager[Any]:
        """Mixed precision for a forward pass with float32 LoRA weights."""
        if self.mixed is None:
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, self.mixed)


AMPLE_GPU = 32 << 30
"""Bytes from which a GPU keeps all activations; a smaller one recomputes them in the backward pass, a third slower."""


def is_small(compute: Compute) -> bool:
    """Whether this is a GPU of less than `AMPLE_GPU`."""
    return compute.device.type == "cuda" and torch.cuda.mem_get_info()[1] < AMPLE_GPU


def choose_compute(
    device: str, precision: str = "auto", quantization: str | None = None, overflows_in_float16: bool = False
) -> Compute:
    """``auto``, ``cpu``, ``cuda`` or ``mps``, one of `PRECISIONS` and one of `QUANTIZATIONS` -> device and precisions.

    On a CPU "auto" keeps float32 weights, and matrix products are bfloat16 where the processor has instructions for it
    (twice as fast on Zen 4 and Sapphire Rapids); "bfloat16" keeps the weights in bfloat16 too, half the memory. On a
    GPU weights are bfloat16, or float16 where the card only emulates that, or float32 for a model that overflows there.

    Args:
        overflows_in_float16: as in `Family`.

    Raises:
        MissingDevice: the device is not there, or it cannot compute in that precision or with such weights.
        InputError: a value is not known, or this PyTorch has no kernels for the device.
        MissingExtra: the library that quantises is not installed.
    """
    usual = _usual(device)
    if precision == "auto" and overflows_in_float16 and usual.in_float16:
        precision = "float32"
    found = usual if precision == "auto" else _precise(usual, precision)
    return (
        found if quantization is None else dataclasses.replace(found, quantization=_quantization(found, quantization))
    )


def _quantization(compute: Compute, wanted: str) -> Quantization:
    how = next((known for known in QUANTIZATIONS if known == wanted), None)
    if how is None:
        raise InputError(f"quantization: unknown value '{wanted}'. Known: {', '.join(QUANTIZATIONS)}; null = none.")
    if compute.device.type == "mps":
        raise MissingDevice(
            f'quantization: "{how}" weights need a CUDA GPU or a CPU, but this run computes on an Apple GPU. Leave it'
            ' out, or use "device": "cpu".'
        )
    library = QUANTIZATION_MODULES[how]
    if importlib.util.find_spec(library) is None:
        raise MissingExtra(f'"quantization": "{how}"', "quant", f"no module '{library}'")
    return how


def _precise(usual: Compute, precision: str) -> Compute:
    if precision not in PRECISIONS:
        raise InputError(f"precision: unknown value '{precision}'. Known: {', '.join(PRECISIONS)}.")
    if precision == "float32":
        return Compute(usual.device, torch.float32, None, exact=True)
    dtype = torch.bfloat16 if precision == "bfloat16" else torch.float16
    if usual.device.type == "cpu" and not (precision == "bfloat16" and _cpu_computes_bfloat16()):
        where = "a GPU" if precision == "float16" else "a GPU, or a CPU with vector instructions that this one lacks"
        raise MissingDevice(
            f'precision: "{precision}" weights need {where}; "auto" keeps float32 weights on a CPU and uses bfloat16'
            ' products where it has them. Use "precision": "auto".'
        )
    return Compute(usual.device, dtype, dtype, HALF_LOSS_SCALE if dtype == torch.float16 else 1.0)


def _usual(device: str) -> Compute:
    wanted = _best_device() if device == "auto" else device
    if wanted == "cuda":
        if not torch.cuda.is_available():
            raise MissingDevice(
                'device: "cuda" was asked for, but PyTorch sees no CUDA GPU here. Use "device": "auto" or "cpu".'
            )
        # what `repeatable` needs; read at the first product
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        _check_kernels()
        if _gpu_computes_bfloat16():
            return Compute(torch.device("cuda"), torch.bfloat16, torch.bfloat16)
        return Compute(torch.device("cuda"), torch.float16, torch.float16, HALF_LOSS_SCALE)
    if wanted == "mps":
        if not torch.backends.mps.is_available():
            raise MissingDevice(
                'device: "mps" was asked for, but PyTorch sees no Apple GPU here. Use "device": "auto" or "cpu".'
            )
        return Compute(torch.device("mps"), torch.float16, torch.float16, HALF_LOSS_SCALE)
    return Compute(torch.device("cpu"), torch.float32, torch.bfloat16 if _cpu_has_bfloat16() else None)


_AMD_WITHOUT_BFLOAT16 = re.compile(r"gfx([78]|90[0-79c]|10)")
"""Names of AMD's architectures whose matrix products in bfloat16 are emulated, at about the speed of float32: those up
to Vega (gfx90a and gfx908, the MI200 and MI100, are not of them), and RDNA 1 and 2, the RX 5000 and 6000 series."""


def _gpu_computes_bfloat16() -> bool:
    """Whether products in bfloat16 are native to the GPU: on NVIDIA's from the RTX 30 series and the A100 on. PyTorch
    says so of all of AMD's.
    """
    if not torch.cuda.is_bf16_supported(including_emulation=False):
        return False
    architecture = str(getattr(torch.cuda.get_device_properties(0), "gcnArchName", "")) if torch.version.hip else ""
    return _AMD_WITHOUT_BFLOAT16.search(architecture) is None


def _best_device() -> str:
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


PYTORCH_BUILDS = "https://pytorch.org/get-started/previous-versions/"
"""The page with the lines that install each version for each CUDA."""


_NO_KERNEL = ("no kernel image", "invalid device function")
"""How CUDA and ROCm say that PyTorch was not built for the card."""


@functools.cache
def _check_kernels() -> None:
    """Whether this PyTorch can compute on the card that it sees, by one tiny product; asked once per process.

    Raises:
        InputError: the card is older than all that PyTorch was built for, or newer.
    """
    try:
        (torch.ones(1, device="cuda") * 2).cpu()
    except RuntimeError as error:  # anything else, memory for example, is told by who needs it
        if any(sign in str(error) for sign in _NO_KERNEL):
            age, cuda = ("newer", "13.0") if _is_newer_than_build() else ("older", "12.6")
            card, other = torch.cuda.get_device_name(0), f", or install a build for {age} cards: {_other_build(cuda)}"
            raise InputError(
                f"The GPU ({card}) is {'not one that' if torch.version.hip else f'{age} than'} this PyTorch"
                f' ({torch.__version__}) supports. Set "device": "cpu"{"" if torch.version.hip else other}'
            ) from error


def _is_newer_than_build() -> bool:
    """Whether the NVIDIA card's generation came after all that this PyTorch was built for, as the RTX 50 series did
    after its builds for CUDA 12.6.
    """
    built = [int(found[1]) for name in torch.cuda.get_arch_list() if (found := re.match(r"sm_(\d+)\d", name))]
    return torch.version.hip is None and torch.cuda.get_device_capability()[0] > max(built, default=99)


def _other_build(cuda: str) -> str:
    """Where the same version is told for another CUDA."""
    version = torch.__version__.split("+")[0]
    return f"{PYTORCH_BUILDS} has the pip line of PyTorch {version} for CUDA {cuda}."


def unused_gpu(device: str) -> str:
    """Why the NVIDIA GPU here is not used where ``device`` would choose it, and what to do; "" where it is, where there
    is none, or where the user hid it.
    """
    if device not in ("auto", "cuda") or _hidden():
        return ""
    if torch.cuda.is_available():
        try:
            _check_kernels()
        except InputError as error:
            return str(error)
        return ""
    if device != "auto" or not has_nvidia_driver():
        return ""
    found = "There is an NVIDIA driver here, but PyTorch sees no GPU, and models compute on the CPU:"
    if torch.version.cuda is None:
        return f"{found} this is PyTorch's CPU build. For the GPU: {_other_build('13.0')}"
    return (
        f"{found} the driver may be too old for PyTorch's CUDA {torch.version.cuda}. Update the driver, or install"
        f" a build for older ones: {_other_build('12.6')}"
    )


def _hidden() -> bool:
    """Whether the user keeps CUDA programs from seeing any GPU."""
    return os.environ.get("CUDA_VISIBLE_DEVICES", "0").strip() in ("", "-1")


def has_nvidia_driver() -> bool:
    """Whether a driver is installed, seen by PyTorch or not."""
    return shutil.which("nvidia-smi") is not None or Path("/proc/driver/nvidia").is_dir()


def device_name(device: str = "auto") -> str:
    """Where models run: the GPU's name and memory, ``mps``, or ``cpu``."""
    best = _best_device() if device == "auto" else device
    if best != "cuda":
        return best
    memory = torch.cuda.get_device_properties(0).total_memory / 2**30
    return f"cuda ({torch.cuda.get_device_name(0)}, {memory:.0f} GiB)"


def _cpu_has_bfloat16() -> bool:
    """Whether bfloat16 products are native; where they are emulated they are slower than float32."""
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def _cpu_computes_bfloat16() -> bool:
    """Whether PyTorch's library of CPU kernels takes bfloat16; elsewhere products of such weights are tens of times
    slower.
    """
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
