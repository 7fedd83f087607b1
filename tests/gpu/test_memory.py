"""What a CUDA device's memory holds against what was forecast, and what happens where it ends."""

from __future__ import annotations

import gc
import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")

from diffusers import (  # noqa: E402
    FluxTransformer2DModel,
    QwenImageTransformer2DModel,
    SD3Transformer2DModel,
    ZImageTransformer2DModel,
)
from safetensors.torch import load_file  # noqa: E402

from bench.peers.small_sdxl import build_small_sdxl  # noqa: E402
from tests.contract.makers import GENERATION, TRAINING, shots  # noqa: E402
from tests.helpers.tiny_families import build_tiny  # noqa: E402
from tests.helpers.tiny_models import build_tiny_sdxl  # noqa: E402
from tests.helpers.training_memory import demand_of  # noqa: E402
from twinloop.adapters.diffusion import base_model  # noqa: E402
from twinloop.adapters.diffusion.base_choice import BaseChoice  # noqa: E402
from twinloop.adapters.diffusion.base_model import open_base  # noqa: E402
from twinloop.adapters.diffusion.pixels import encode  # noqa: E402
from twinloop.adapters.diffusion.prompts import encoders_of  # noqa: E402
from twinloop.adapters.generators.diffusers_generator import DiffusersGenerator  # noqa: E402
from twinloop.adapters.trainers.data.prepare import prepare_batches  # noqa: E402
from twinloop.adapters.trainers.diffusers_lora import DiffusersLoraTrainer  # noqa: E402
from twinloop.adapters.trainers.memory.demand import CONTEXT  # noqa: E402
from twinloop.adapters.trainers.memory.planning import MARGIN  # noqa: E402
from twinloop.domain.extras import OPTIMIZER_MODULES  # noqa: E402
from twinloop.domain.faces import ImageArray  # noqa: E402
from twinloop.domain.records import TrainingSample  # noqa: E402
from twinloop.errors import OutOfMemory  # noqa: E402
from twinloop.families import FAMILIES, Family  # noqa: E402
from twinloop.ports import TrainingSettings, TrainingSize  # noqa: E402

SDXL = FAMILIES["sdxl"]
SETTINGS = replace(TRAINING, rank=32, alpha=32.0, resolution=256, batch_size=1, steps=2)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> BaseChoice:
    """SDXL's layout, all its blocks, at an eighth of the widths."""
    return BaseChoice(str(build_small_sdxl(tmp_path_factory.mktemp("models") / "small")), "cuda")


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> tuple[TrainingSample, ...]:
    folder = tmp_path_factory.mktemp("photos")
    made = []
    for number in range(3):
        path = folder / f"{number}.png"
        Image.fromarray(np.random.default_rng(number).integers(0, 255, (256, 256, 3), dtype=np.uint8)).save(path)
        made.append(TrainingSample(path, hashlib.sha256(path.read_bytes()).hexdigest(), "photo of ohwx ana", 1.0))
    return tuple(made)


@pytest.fixture(autouse=True)
def empty_card() -> None:
    """A base that was opened stays on the card until another one is."""
    base_model.make_room()
    gc.collect()
    torch.cuda.empty_cache()


@pytest.mark.parametrize(
    "changes",
    [
        {"gradient_checkpointing": False},
        {"gradient_checkpointing": True},
        {"gradient_checkpointing": False, "batch_size": 2},
        {"gradient_checkpointing": True, "gradient_accumulation": 2},
        {"gradient_checkpointing": True, "optimizer": "adafactor"},
        {"gradient_checkpointing": True, "optimizer": "prodigy"},
        {"gradient_checkpointing": True, "optimizer": "lion"},
        {"gradient_checkpointing": True, "optimizer": "came"},
        {"gradient_checkpointing": True, "optimizer": "adamw_schedulefree", "schedule": "constant"},
        {"gradient_checkpointing": True, "ema_decay": 0.99},
        {"blocks_to_swap": 30},
        {"blocks_to_swap": 70, "rank": 4},
        {"blocks_to_swap": 70, "rank": 4, "batch_size": 2, "gradient_accumulation": 2},
    ],
    ids=str,
)
def test_the_forecast_is_within_a_twentieth(
    small: BaseChoice, photos: tuple[TrainingSample, ...], changes: dict[str, Any], tmp_path: Path
) -> None:
    if (optimizer := changes.get("optimizer")) in OPTIMIZER_MODULES:
        pytest.importorskip(OPTIMIZER_MODULES[optimizer][0])
    settings = replace(SETTINGS, **changes)
    forecast, most = forecast_and_taken(small, SDXL, photos, settings, tmp_path)
    assert forecast == pytest.approx(most, rel=0.05)


LAYOUTS: dict[str, tuple[Any, dict[str, Any]]] = {
    "flux": (
        FluxTransformer2DModel,
        {
            "num_layers": 4,
            "num_single_layers": 8,
            "attention_head_dim": 32,
            "num_attention_heads": 8,
            "axes_dims_rope": (4, 14, 14),
        },
    ),
    "zimage": (
        ZImageTransformer2DModel,
        {
            "dim": 240,
            "n_layers": 10,
            "n_refiner_layers": 2,
            "n_heads": 8,
            "n_kv_heads": 8,
            "axes_dims": [6, 12, 12],
            "axes_lens": [1536, 512, 512],
        },
    ),
    "qwen-image": (
        QwenImageTransformer2DModel,
        {"num_layers": 8, "attention_head_dim": 32, "num_attention_heads": 8, "axes_dims_rope": (4, 14, 14)},
    ),
    "sd35": (
        SD3Transformer2DModel,
        {
            "num_layers": 8,
            "attention_head_dim": 32,
            "num_attention_heads": 8,
            "caption_projection_dim": 256,
            "dual_attention_layers": (0, 1, 2),
            "pos_embed_max_size": 96,
            "sample_size": 32,
        },
    ),
}
"""Transformers with the blocks of the real ones and their proportions (a head's share of RoPE's axes, double to single
blocks, feed-forward to width), fewer and at a twelfth or so of their widths."""


@pytest.fixture(scope="module", params=LAYOUTS)
def transformer(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, BaseChoice]:
    folder = build_tiny(request.param, tmp_path_factory.mktemp(request.param) / "base")
    kind, sizes = LAYOUTS[request.param]
    tiny = kind.from_pretrained(folder / "transformer").config
    kind.from_config({**tiny, **sizes}).to(torch.bfloat16).save_pretrained(folder / "transformer")
    return request.param, BaseChoice(str(folder), "cuda")


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("batch", [1, 4])
def test_the_forecast_of_transformers_is_within_a_twentieth(
    transformer: tuple[str, BaseChoice],
    batch: int,
    checkpointing: bool,
    photos: tuple[TrainingSample, ...],
    tmp_path: Path,
) -> None:
    settings = replace(SETTINGS, rank=16, alpha=16.0, batch_size=batch, gradient_checkpointing=checkpointing)
    forecast, most = forecast_and_taken(transformer[1], FAMILIES[transformer[0]], photos, settings, tmp_path)
    assert forecast == pytest.approx(most, rel=0.05)


def forecast_and_taken(
    choice: BaseChoice,
    family: Family,
    photos: tuple[TrainingSample, ...],
    settings: TrainingSettings,
    work: Path,
) -> tuple[int, int]:
    """Bytes of the second step, when the optimizer has its state."""
    most = 0

    def progress(step: int, steps: int, loss: float) -> None:
        nonlocal most
        most = torch.cuda.max_memory_allocated()
        torch.cuda.reset_peak_memory_stats()

    DiffusersLoraTrainer(choice, family).train(photos, settings, work / "lora.safetensors", work, {}, progress)
    demand, _ = demand_of(open_base(choice, family), settings)
    swapped = settings.blocks_to_swap or 0
    checkpointing = bool(swapped) or bool(settings.gradient_checkpointing)
    return demand.peak(settings.batch_size, checkpointing, swapped) - CONTEXT, most


def test_swapped_blocks_of_a_transformer_save_what_was_forecast(
    photos: tuple[TrainingSample, ...], tmp_path: Path
) -> None:
    """FLUX.1's layout with fewer and narrower blocks."""
    folder = build_tiny("flux", tmp_path / "flux")
    tiny = FluxTransformer2DModel.from_pretrained(folder / "transformer").config
    sizes = {"num_layers": 2, "num_single_layers": 4, "attention_head_dim": 64, "num_attention_heads": 8}
    wide = FluxTransformer2DModel.from_config({**tiny, **sizes, "axes_dims_rope": (16, 24, 24)})
    wide.to(torch.bfloat16).save_pretrained(folder / "transformer")
    forecasts, taken = [], []
    for blocks in (0, 3, 6):
        settings = replace(SETTINGS, rank=4, resolution=64, gradient_checkpointing=True, blocks_to_swap=blocks)
        given = (BaseChoice(str(folder), "cuda"), FAMILIES["flux"], photos, settings, tmp_path / str(blocks))
        forecast, most = forecast_and_taken(*given)
        forecasts.append(forecast)
        taken.append(most)
    for blocks in (1, 2):
        assert forecasts[0] - forecasts[blocks] == pytest.approx(taken[0] - taken[blocks], rel=0.1)


def test_the_denoiser_waits_in_main_memory_while_captions_and_photos_are_encoded(
    small: BaseChoice, photos: tuple[TrainingSample, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also in a later training, where it lay on the card before."""
    trainer = DiffusersLoraTrainer(small, SDXL)
    trainer.train(photos, SETTINGS, tmp_path / "a.safetensors", tmp_path / "a", {}, lambda *_: None)
    base = open_base(small, SDXL)
    assert next(base.denoiser.parameters()).is_cuda
    seen = []

    def noting(kind: str, do: Callable[..., Any]) -> Callable[..., Any]:
        def noted(*given: Any, **named: Any) -> Any:
            seen.append((kind, next(base.denoiser.parameters()).device.type))
            return do(*given, **named)

        return noted

    monkeypatch.setattr(base.prompts, "_parts", noting("text", base.prompts._parts))
    monkeypatch.setattr(base.pipeline.vae, "encode", noting("photo", base.pipeline.vae.encode))
    others = [replace(photo, caption="portrait of ohwx ana") for photo in photos]
    trainer.train(others, SETTINGS, tmp_path / "b.safetensors", tmp_path / "b", {}, lambda *_: None)
    assert set(seen) == {("text", "cpu"), ("photo", "cpu")}


def test_a_training_that_does_not_fit_says_so_before_it_begins(
    small: BaseChoice, photos: tuple[TrainingSample, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, whole = torch.cuda.mem_get_info()
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device=None: (16 << 20, whole))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device=None: 0)
    with pytest.raises(OutOfMemory, match=r"needs 0\.[0-9] GiB at least"):
        DiffusersLoraTrainer(small, SDXL).train(
            photos, SETTINGS, tmp_path / "lora.safetensors", tmp_path, {}, lambda *_: None
        )


def test_a_training_that_does_not_fit_otherwise_swaps_as_few_blocks_as_it_takes(
    small: BaseChoice, photos: tuple[TrainingSample, ...], tmp_path: Path
) -> None:
    card = pytest.importorskip("tests.gpu.pretend_card.plugin", reason="only the pretend card's memory can be changed")
    settings, said = replace(SETTINGS, rank=4, gradient_checkpointing=None), list[str]()
    trainer = DiffusersLoraTrainer(small, SDXL, said.append)

    def trained(name: str) -> dict[str, Any]:
        file = tmp_path / name / "lora.safetensors"
        trainer.train(photos, settings, file, tmp_path / name, {}, lambda *_: None)
        return load_file(file)

    whole = trained("whole")
    assert not said
    base_model.make_room()
    demand, _ = demand_of(open_base(small, SDXL), settings)
    gib = card.whole / 2**30
    card.resize((demand.peak(1, True, 40) + 1000) / MARGIN / 2**30)
    try:
        forecast = trainer.forecast(settings, TrainingSize(3))
        swapped = trained("swapped")
    finally:
        card.resize(gib)
    assert forecast is not None and forecast.plan.blocks_to_swap == 40
    assert "40 of the model's 70 blocks wait in main memory" in said[0]
    assert whole.keys() == swapped.keys() and all(torch.equal(whole[name], swapped[name]) for name in whole)


def test_memory_that_ends_in_a_step_makes_smaller_passes_of_it(
    small: BaseChoice, photos: tuple[TrainingSample, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The forecast is made to lie; the step is taken again, first with checkpointing, then in halves."""
    card = pytest.importorskip("tests.gpu.pretend_card.plugin", reason="only the pretend card's memory can be changed")
    settings = replace(SETTINGS, batch_size=2)
    demand, _ = demand_of(open_base(small, SDXL), settings)
    monkeypatch.setattr("twinloop.adapters.trainers.training_setup.memory_plan", lambda *_, **__: next(demand.plans()))
    said: list[str] = []
    gib = card.whole / 2**30
    card.resize((demand.peak(2, True) + demand.peak(2, False)) / 2 / 2**30)
    try:
        trainer = DiffusersLoraTrainer(small, SDXL, said.append)
        trainer.train(photos, settings, tmp_path / "lora.safetensors", tmp_path, {}, lambda *_: None)
    finally:
        card.resize(gib)
    assert (tmp_path / "lora.safetensors").is_file() and said, "nothing was said of it"


def test_text_encoders_come_over_once_for_all_prompts(small: BaseChoice, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = [replace(shot, prompt=f"{shot.prompt} number {number}") for number, shot in enumerate(shots(6))]
    base, settings = open_base(small, SDXL), replace(GENERATION, width=128, height=128, batch_size=1)
    base.offload("none")
    moves: list[str] = []
    for encoder in encoders_of(base.pipeline):

        def to(where: Any, encoder: Any = encoder, own: Any = encoder.to) -> Any:
            moves.append(str(where))
            return own(where)

        monkeypatch.setattr(encoder, "to", to)

    def made(announced: bool) -> list[ImageArray]:
        generator = DiffusersGenerator(small, SDXL)
        generator.load_lora(None)
        base.prompts.forget()
        moves.clear()
        if announced:
            generator.expect(wanted, settings)
        return [image for shot in wanted for _, image in generator.generate([shot], settings)]

    at_once = made(announced=True)
    assert moves == ["cuda", "cuda", "cpu", "cpu"]
    one_by_one = made(announced=False)
    assert len(moves) == 24
    for image, other in zip(at_once, one_by_one, strict=True):
        np.testing.assert_array_equal(image, other)


@pytest.mark.parametrize("offload", ["none", "model", "blocks", "sequential"])
def test_room_is_made_however_the_parts_lie(small: BaseChoice, offload: str, monkeypatch: pytest.MonkeyPatch) -> None:
    base, settings = open_base(small, SDXL), replace(GENERATION, width=128, height=128, offload=offload)
    generator, released = DiffusersGenerator(small, SDXL), list[bool]()
    generator.load_lora(None)
    before = [image for _, image in generator.generate(shots(1), settings)]
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: released.append(True))
    base.make_room()
    assert released
    parts = [part for part in base.pipeline.components.values() if isinstance(part, torch.nn.Module)]
    assert not any(weight.is_cuda for part in parts for weight in part.parameters())
    after = [image for _, image in generator.generate(shots(1), settings)]
    np.testing.assert_array_equal(before, after)


def test_images_that_do_not_fit_name_what_helps(small: BaseChoice) -> None:
    card = pytest.importorskip("tests.gpu.pretend_card.plugin", reason="only the pretend card's memory can be changed")
    generator = DiffusersGenerator(small, SDXL)
    gib = card.whole / 2**30
    card.resize((CONTEXT + (100 << 20)) / 2**30)  # the weights fit, four pictures do not
    try:
        with pytest.raises(OutOfMemory, match="offload"):
            list(generator.generate(shots(4), replace(GENERATION, width=512, height=512, batch_size=4)))
    finally:
        card.resize(gib)


@pytest.mark.parametrize(("mib", "tiled"), [(4096, False), (45, True)])
def test_large_photos_are_encoded_in_tiles_where_whole_ones_do_not_fit(mib: int, tiled: bool, tmp_path: Path) -> None:
    """Found out before the first of them, and kept: with more memory it is the same training."""
    card = pytest.importorskip("tests.gpu.pretend_card.plugin", reason="only the pretend card's memory can be changed")
    folder = build_tiny_sdxl(tmp_path / "base", full_vae=True, large=True)
    base, settings, said = open_base(BaseChoice(str(folder), "cuda"), SDXL), replace(SETTINGS, resolution=1152), []
    pixels = np.random.default_rng(0).integers(0, 255, (1152, 1152, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    digest = hashlib.sha256((tmp_path / "a.png").read_bytes()).hexdigest()
    photo = TrainingSample(tmp_path / "a.png", digest, "photo of ohwx ana", 1.0)
    base.make_room()
    gib = card.whole / 2**30
    card.resize((CONTEXT + (mib << 20)) / 2**30)
    try:
        made = prepare_batches(base, [photo], settings, tmp_path / "work", said.append, lazily=True).alone(0).latents
    finally:
        card.resize(gib)
    again = prepare_batches(base, [photo], settings, tmp_path / "work", pytest.fail, lazily=True).alone(0).latents
    assert torch.equal(made, again)
    assert torch.allclose(made[0].cpu(), encode(base, pixels, tiled=tiled), atol=1e-4)
    assert not torch.allclose(made[0].cpu(), encode(base, pixels, tiled=not tiled), atol=1e-4)
    assert [text for text in said if "in tiles" in text] == [text for text in said if tiled][:1]
