"""What a plan may propose: blocks that are swapped, and coarser weights."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")

from twinloop.adapters.diffusion.quantised.sizes import real_bytes  # noqa: E402
from twinloop.adapters.trainers.memory import planning  # noqa: E402
from twinloop.adapters.trainers.memory.planning import can_swap  # noqa: E402


def base_on(device: str, quantization: str | None = None, packed: bool = False) -> Any:
    """A base model with these weights. ``packed``: as a .gguf file gives them."""
    denoiser = torch.nn.Linear(4, 4)
    if packed:
        denoiser.weight.quant_type, denoiser.weight.quant_shape = "Q4_0", (4, 4)
    return SimpleNamespace(
        denoiser=denoiser, compute=SimpleNamespace(device=torch.device(device), quantization=quantization)
    )


@pytest.mark.parametrize(
    ("device", "quantization", "packed", "swaps"),
    [
        ("cuda", None, False, True),
        ("cuda", "int8", False, True),
        ("cuda", "nf4", False, False),
        ("cuda", "nf4", True, True),  # a packed file keeps its own weights
        ("cpu", None, False, False),
    ],
)
def test_blocks_are_swapped_on_a_gpu_unless_its_library_holds_them(
    device: str, quantization: str | None, packed: bool, swaps: bool
) -> None:
    assert can_swap(base_on(device, quantization, packed)) is swaps


@pytest.mark.parametrize(("beside", "room"), [(None, True), (0, True), (-1, False)])
def test_swapped_blocks_need_room_in_main_memory(
    beside: int | None, room: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``beside``: bytes that are left beside the model's; None = nobody knows."""
    on_gpu = torch.nn.Linear(4, 4, device="meta")
    left = None if beside is None else real_bytes(on_gpu) + beside
    monkeypatch.setattr(planning, "main_memory_left", lambda: left)
    assert planning._has_room_for(on_gpu) is room
    assert planning._has_room_for(torch.nn.Linear(4, 4)), "it lies there already"


@pytest.mark.parametrize(
    ("quantization", "packed", "proposed"),
    [
        (None, False, ["int8", "nf4"]),
        ("int8", False, ["nf4"]),
        ("fp8", False, ["nf4"]),
        ("nf4", False, []),
        (None, True, []),
        ("int8", True, []),
    ],
)
def test_coarser_weights_are_proposed_where_there_are_any(
    quantization: str | None, packed: bool, proposed: list[str]
) -> None:
    assert planning._smaller_quantizations(base_on("cuda", quantization, packed)) == proposed
