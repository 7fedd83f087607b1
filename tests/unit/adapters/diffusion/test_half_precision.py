"""What half precision must not cost: a GPU's 16 bits, tried on the CPU."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")

from twinloop.adapters.diffusion import base_model, pixels  # noqa: E402
from twinloop.adapters.diffusion.base_choice import BaseChoice  # noqa: E402
from twinloop.adapters.diffusion.base_model import BaseModel, open_base  # noqa: E402
from twinloop.adapters.diffusion.memory import ran_out_of_memory  # noqa: E402
from twinloop.adapters.diffusion.pixels import encode, ready_vae  # noqa: E402
from twinloop.families import FAMILIES  # noqa: E402


@pytest.fixture
def base(full_base: Path) -> Iterator[BaseModel]:
    opened = open_base(BaseChoice(str(full_base), "cpu", "float32"), FAMILIES["sdxl"])
    compute, tiling = opened.compute, opened.pipeline.vae.use_tiling
    yield opened
    opened.compute = compute
    opened.pipeline.vae.to(torch.float32)
    (opened.pipeline.vae.enable_tiling if tiling else opened.pipeline.vae.disable_tiling)()


def test_pictures_are_scaled_before_they_lose_their_bits(base: BaseModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every grey comes out within half a step of 16-bit numbers of its own size; scaled in 16 bits, those near the
    middle would be a quarter of a grey off.
    """
    vae, seen = base.pipeline.vae.to(torch.bfloat16), list[Any]()
    inner = vae.encode

    def watched(given: Any) -> Any:
        seen.append(given)
        return inner(given)

    monkeypatch.setattr(vae, "encode", watched)
    greys = np.repeat(np.arange(256, dtype=np.uint8).reshape(16, 16, 1), 3, axis=2)
    image = np.kron(greys, np.ones((4, 4, 1), np.uint8))
    pixels.encode_raw(base, image)
    (given,) = seen
    wanted = torch.from_numpy(image).double() / 127.5 - 1
    error = (given[0].permute(1, 2, 0).double() - wanted).abs()
    assert given.dtype == torch.bfloat16 and bool((error <= wanted.abs() * 2**-8).all())


@pytest.mark.parametrize("half", [torch.bfloat16, torch.float16])
def test_a_training_sees_latents_in_full_precision(half: torch.dtype, base: BaseModel) -> None:
    """Whatever type the weights are kept in for drawing; which they have again afterwards, bit for bit."""
    image = np.random.default_rng(1).integers(0, 256, (64, 64, 3), np.uint8)
    vae = base.pipeline.vae.to(half)
    before = {name: value.clone() for name, value in vae.state_dict().items()}
    made = encode(base, image)
    after = vae.state_dict()
    assert all(after[name].dtype == half and torch.equal(after[name], value) for name, value in before.items())
    vae.float()
    assert torch.equal(made, pixels.encode_raw(base, image) * vae.config.scaling_factor)
    vae.to(torch.bfloat16)
    assert not torch.equal(pixels.encode_raw(base, image).float() * vae.config.scaling_factor, made)


@pytest.mark.parametrize("kept_in", [torch.float32, torch.bfloat16])
def test_full_precision_is_not_tensor_float32(
    kept_in: torch.dtype, base: BaseModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which cards from the RTX 30 series on take for convolutions of float32 otherwise; also after an error."""
    vae, inside = base.pipeline.vae.to(kept_in), list[Any]()
    inner, image = vae.encode, np.zeros((64, 64, 3), np.uint8)

    def switches() -> tuple[bool, str]:
        return torch.backends.cudnn.allow_tf32, torch.get_float32_matmul_precision()

    def watched(given: Any) -> Any:
        inside.append((given.dtype, *switches()))
        if len(inside) == 2:
            raise KeyboardInterrupt
        return inner(given)

    monkeypatch.setattr(vae, "encode", watched)
    torch.set_float32_matmul_precision("high")
    try:
        before = switches()
        encode(base, image)
        after = switches()
        with pytest.raises(KeyboardInterrupt):
            encode(base, image)
        at_last = switches()
    finally:
        torch.set_float32_matmul_precision("highest")
    assert inside == [(torch.float32, False, "highest")] * 2
    assert before == after == at_last == (True, "high") and pixels.dtype_of(vae) == kept_in


def test_a_small_gpu_decodes_in_tiles_also_while_the_autoencoder_waits(
    base: BaseModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    base.compute = replace(base.compute, device=torch.device("cuda"))
    for total, tiles in ((8 << 30, True), (24 << 30, False)):
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda total=total: (0, total))
        assert base.pipeline.vae.device.type == "cpu"
        assert ready_vae(base, 512, 512).use_tiling == tiles


def test_room_is_made_for_other_processes_and_taken_back(base: BaseModel) -> None:
    base.offload("none")
    base.make_room()
    assert base._offload == "none"  # main memory is no GPU
    base.compute = replace(base.compute, device=torch.device("cuda"))
    base.make_room()
    assert base._offload == ""  # the next `offload` moves everything again
    base.compute = replace(base.compute, device=torch.device("cpu"))
    base.offload("none")
    assert base._offload == "none"


@pytest.mark.parametrize("other", ["model", "blocks"])
def test_parts_that_were_moved_half_way_are_moved_by_whoever_asks_next(
    other: str, base: BaseModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also back to what was there before."""
    placed: list[bool] = []
    hooked: list[bool] = []

    def full(*given: object) -> None:
        raise RuntimeError("CUDA out of memory")

    monkeypatch.setattr(base_model, "check_offload", lambda *given: None)
    monkeypatch.setattr(base_model, "place", lambda *given: placed.append(True))
    for pipeline in base._pipelines():
        monkeypatch.setattr(pipeline, "enable_model_cpu_offload", lambda: hooked.append(True))
    base.offload("none")
    placed.clear()
    with monkeypatch.context() as failing:
        failing.setattr(base_model, "pin", full)
        for pipeline in base._pipelines():
            failing.setattr(pipeline, "enable_model_cpu_offload", full)
        with pytest.raises(RuntimeError):
            base.offload(other)
    base.offload("none")
    assert placed and not base.prompts.hooked
    monkeypatch.setattr(base, "_swap_blocks", lambda: None)
    base.offload(other)
    before = len(hooked)
    with monkeypatch.context() as failing:
        failing.setattr(base_model, "place", full)
        with pytest.raises(RuntimeError):
            base.offload("none")
    assert not base.prompts.hooked
    base.offload(other)
    assert len(hooked) == 2 * before and base.prompts.hooked
    base.offload("none")


@pytest.mark.parametrize(
    ("said", "memory"),
    [
        ("CUDA out of memory. Tried to allocate 2 GiB", True),
        ("DefaultCPUAllocator: can't allocate memory", True),
        ("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`", True),
        ("cuDNN error: CUDNN_STATUS_ALLOC_FAILED", True),
        ("mat1 and mat2 shapes cannot be multiplied", False),
    ],
)
def test_how_memory_runs_out(said: str, memory: bool) -> None:
    assert ran_out_of_memory(RuntimeError(said)) == memory
