"""Regional compilation: the blocks that a denoiser repeats are compiled, once for all of them, and the rest stays as it
is.

Compiling the whole denoiser would take some ten times as long and gain no more. What was compiled is kept by PyTorch
under the code of the block's class: other blocks of the same shape, LoRAs that come and go (`loras.slot`) and later
trainings find it again.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from subprocess import SubprocessError
from typing import Any

import torch
from torch import nn

from twinloop.adapters.diffusion.compute import Compute
from twinloop.adapters.diffusion.memory import ran_out_of_memory
from twinloop.adapters.diffusion.messages import first_line
from twinloop.domain.choices import Compile
from twinloop.domain.quantised import Quantization

BACKEND = "inductor"
MOST_SHAPES = 64
"""Variants of one block that are compiled before PyTorch computes further ones without: dimensions, LoRA or none, one
picture or several."""
REGIONAL: Compile = "regional"
GENERATED = 600
"""Images x steps from which compiling pays when generating. An estimate: about 20 s for the blocks, against a fifth of
0.15 s each time."""
TRAINED = 1500
"""Pictures x steps from which compiling pays when training; the way back is compiled as well."""
_OLDEST_CARD = (7, 0)
"""Compute capability for which Triton makes kernels."""


def pays(asked: str | None, compute: Compute, work: int, least: int) -> bool:
    """Whether to compile.

    Args:
        asked: `REGIONAL` or ``off``; None = on a CUDA GPU, where ``work`` (images x steps) is at least ``least``.
    """
    if asked is not None:
        return asked == REGIONAL
    return work >= least and compute.device.type == "cuda" and _has_triton()


def _has_triton() -> bool:
    return importlib.util.find_spec("triton") is not None and torch.cuda.get_device_capability() >= _OLDEST_CARD


def blocks_of(denoiser: nn.Module) -> list[nn.Module]:
    """The repeated blocks: those that diffusers names for regional compilation, else those that it never splits between
    devices.
    """
    names = getattr(denoiser, "_repeated_blocks", None) or getattr(denoiser, "_no_split_modules", None) or ()
    return [module for module in denoiser.modules() if type(module).__name__ in names]


_SPLITTING = ("FluxSingleTransformerBlock",)
"""Blocks that give back two parts of one tensor."""


def cannot_train_compiled(denoiser: nn.Module, quantization: Quantization | None) -> bool:
    """Whether the way back through the blocks cannot be compiled with such weights; the way there alone can.

    PyTorch's compiler refuses blocks that give back two parts of one tensor where weights are a kind of tensor of their
    own, as torchao's are.
    """
    own_kind = quantization in ("int8", "fp8")
    return own_kind and any(type(block).__name__ in _SPLITTING for block in blocks_of(denoiser))


class Regions:
    """The repeated blocks of one denoiser, compiled on demand.

    A compiler that fails costs a warning, never the work: the blocks are computed as they are from then on.

    Attributes:
        backend: of `torch.compile`: a name, or a function as it takes them.
        failure: what the compiler said where images were made, "" while it works.
        training_failure: what it said in a training; the way back fails where the way there alone works.
    """

    def __init__(self, denoiser: nn.Module, backend: str = BACKEND) -> None:
        self._denoiser = denoiser
        self.backend: str | Callable[..., Any] = backend
        self.failure = ""
        self.training_failure = ""

    @cached_property
    def _blocks(self) -> list[tuple[nn.Module, Callable[..., Any]]]:
        """Each block and its computation, compiled when it is first called."""
        return [(block, self._compile(block.forward)) for block in blocks_of(self._denoiser)]

    @contextmanager
    def compiled(self, wanted: bool, notice: Callable[[str], None], *, retry: bool = True) -> Iterator[None]:
        """Inside, the blocks are compiled when they are first called.

        Args:
            notice: told when the compiler fails.
            retry: compute a block without, where its compiler fails. False = raise; for a training, whose way back
                belongs to the way there.
        """
        failure = self.failure if retry else self.training_failure
        blocks = self._blocks if wanted and not failure else []
        if not blocks:
            yield
            return
        import torch._dynamo  # a second, which only those who compile wait for

        with torch._dynamo.config.patch(recompile_limit=MOST_SHAPES), warnings.catch_warnings():
            # advice that would make "precision": "float32" something else
            warnings.filterwarnings("ignore", message="TensorFloat32 tensor cores")
            for block, compiled in blocks:
                block.forward = self._guarded(block.forward, compiled, notice) if retry else compiled
            try:
                yield
            finally:
                for block, _ in blocks:
                    del block.forward  # of the instance; that of its class is back

    def give_up(self, error: BaseException, *, training: bool = False) -> str:
        """Compile no more in this process, for a training or for images; what the user should know of it."""
        said = first_line(error)
        if training:
            self.training_failure = said
        else:
            self.failure = said
        return (
            f'The model cannot be compiled here ({said}). It is computed without, which is slower. "compile":'
            ' "off" does not try.'
        )

    def _guarded(
        self, plain: Callable[..., Any], compiled: Callable[..., Any], notice: Callable[[str], None]
    ) -> Callable[..., Any]:
        @functools.wraps(plain)
        def forward(*args: Any, **named: Any) -> Any:
            if self.failure:
                return plain(*args, **named)
            try:
                return compiled(*args, **named)
            except failures() as error:
                if ran_out_of_memory(error):
                    raise
                notice(self.give_up(error))
            return plain(*args, **named)

        return forward

    def _compile(self, plain: Callable[..., Any]) -> Callable[..., Any]:
        # sizes as symbols from the start: aspect ratios, prompts and batches of other lengths would each be compiled
        # anew
        made: Callable[..., Any] = torch.compile(plain, backend=self.backend, dynamic=True, options=self._options())
        return made

    def _options(self) -> dict[str, Any] | None:
        """No choice among kernels by the clock: another run would choose, and round, otherwise."""
        if self.backend != BACKEND:
            return None
        from torch._inductor import config

        return {"deterministic": True} if hasattr(config, "deterministic") else None


def failures() -> tuple[type[BaseException], ...]:
    """What a compiler's failure looks like: mostly a `RuntimeError`; where a kernel is first started, one of Triton's
    or of the C compiler's.

    Memory that runs out looks no different at first (`ran_out_of_memory`).
    """
    if importlib.util.find_spec("triton") is None:
        return RuntimeError, SubprocessError, MemoryError
    return RuntimeError, SubprocessError, MemoryError, importlib.import_module("triton.errors").TritonError
