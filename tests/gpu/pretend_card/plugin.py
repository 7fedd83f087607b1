"""Importing this gives PyTorch the pretend card; it has to come before anything imports PyTorch.

What Python asks the CUDA driver for is answered here; the device itself is in card.cpp.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from tests.gpu.pretend_card.build import built

if "torch" in sys.modules:
    raise ImportError("the pretend card has to be there before PyTorch: pytest -p tests.gpu.pretend_card.plugin")
_card = ctypes.CDLL(str(built()), mode=ctypes.RTLD_GLOBAL)
_card.card_held.restype = _card.card_most_held.restype = ctypes.c_int64
_card.card_limit.argtypes = [ctypes.c_int64]

import torch  # noqa: E402

CONTEXT = 1 << 29
"""Bytes that a driver takes before anything is computed."""
CAPABILITY = (8, 9)
whole = int(float(os.environ.get("TWINLOOP_CARD_GIB", "24")) * 2**30)


def resize(gib: float) -> None:
    """Another amount of memory from now on."""
    global whole
    whole = int(gib * 2**30)
    _card.card_limit(whole - CONTEXT)


class _Nothing:
    """Streams, events and device guards: there is one device, and it is never busy."""

    def __init__(self, *_: Any, **__: Any) -> None: ...

    def __enter__(self) -> _Nothing:
        return self

    def __exit__(self, *_: Any) -> None: ...

    def __getattr__(self, name: str) -> Any:
        return lambda *_, **__: None

    def query(self) -> bool:
        return True


def _says(answer: Callable[[], Any] = lambda: None) -> Callable[..., Any]:
    """A function of its own for every name: PyTorch's compiler knows functions by their identity."""
    return lambda *_, **__: answer()


def _answer(**answers: Any) -> None:
    for name, answer in answers.items():
        setattr(torch.cuda, name, answer)


resize(whole / 2**30)
_answer(
    is_available=_says(lambda: True),
    is_initialized=_says(lambda: True),
    device_count=_says(lambda: 1),
    current_device=_says(lambda: 0),
    get_device_name=_says(lambda: "pretend card"),
    get_device_capability=_says(lambda: CAPABILITY),
    get_device_properties=_says(
        lambda: SimpleNamespace(
            name="pretend card", total_memory=whole, major=CAPABILITY[0], minor=CAPABILITY[1], multi_processor_count=1
        )
    ),
    is_bf16_supported=_says(lambda: True),
    mem_get_info=_says(lambda: (whole - CONTEXT - _card.card_held(), whole)),
    memory_allocated=_says(_card.card_held),
    memory_reserved=_says(_card.card_held),
    max_memory_allocated=_says(_card.card_most_held),
    max_memory_reserved=_says(_card.card_most_held),
    reset_peak_memory_stats=_says(_card.card_forget_most),
    default_generators=(torch.Generator("cuda"),),
    Stream=_Nothing,
    Event=_Nothing,
    device=_Nothing,
    stream=_says(_Nothing),
    current_stream=_says(_Nothing),
    default_stream=_says(_Nothing),
    set_device=_says(),
    synchronize=_says(),
    empty_cache=_says(),
    ipc_collect=_says(),
    _lazy_init=_says(),
    _initialized=True,
    _is_in_bad_fork=_says(lambda: False),
)
torch.accelerator.empty_host_cache = _says()  # its memory is all the host's, and none of it is pinned
for _name in ("_cuda_getDevice", "_cuda_exchangeDevice", "_cuda_maybeExchangeDevice", "_cuda_getCurrentRawStream"):
    setattr(torch._C, _name, _says(lambda: 0))
