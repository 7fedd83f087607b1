"""Images with the denoiser's blocks in main memory: the same ones, in less of the card."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")

from diffusers import FluxTransformer2DModel, ZImageTransformer2DModel  # noqa: E402
from torch import Tensor, nn  # noqa: E402

from bench.peers.small_sdxl import build_small_sdxl  # noqa: E402
from tests.contract.makers import GENERATION, SIZE, TRAINING, samples, shots  # noqa: E402
from tests.contract.tiny_bases import offline  # noqa: E402
from tests.helpers.gguf_files import build_gguf_zimage  # noqa: E402
from tests.helpers.tiny_families import build_tiny  # noqa: E402
from twinloop.adapters.diffusion import base_model, block_swap  # noqa: E402
from twinloop.adapters.diffusion.base_choice import BaseChoice  # noqa: E402
from twinloop.adapters.diffusion.base_model import open_base  # noqa: E402
from twinloop.adapters.diffusion.regions import blocks_of  # noqa: E402
from twinloop.adapters.generators.diffusers_generator import DiffusersGenerator  # noqa: E402
from twinloop.adapters.trainers.diffusers_lora import DiffusersLoraTrainer  # noqa: E402
from twinloop.domain.faces import ImageArray  # noqa: E402
from twinloop.domain.quantised import Quantization  # noqa: E402
from twinloop.domain.shots import Shot  # noqa: E402
from twinloop.families import FAMILIES  # noqa: E402
from twinloop.ports import EarlyLook, GenerationSettings  # noqa: E402

SETTINGS = replace(GENERATION, batch_size=2)
BLOCKS = replace(SETTINGS, offload="blocks")


@pytest.fixture(autouse=True, scope="module")
def no_network() -> Iterator[None]:
    with offline(SIZE):
        yield


@pytest.fixture(autouse=True)
def empty_card() -> None:
    """A base that was opened stays on the card until another one is."""
    base_model.make_room()
    gc.collect()
    torch.cuda.empty_cache()


@pytest.fixture(scope="module", params=["sdxl", "flux", "zimage"])
def wide(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """A base whose denoiser is its largest part."""
    folder = tmp_path_factory.mktemp(request.param) / "base"
    if request.param == "sdxl":
        return "sdxl", build_small_sdxl(folder)
    build_tiny(request.param, folder)
    kind, sizes = {
        "flux": (
            FluxTransformer2DModel,
            {
                "num_layers": 2,
                "num_single_layers": 4,
                "attention_head_dim": 64,
                "num_attention_heads": 8,
                "axes_dims_rope": (16, 24, 24),
            },
        ),
        "zimage": (ZImageTransformer2DModel, {"dim": 256, "n_layers": 6, "n_heads": 32, "n_kv_heads": 32}),
    }[request.param]
    tiny = kind.from_pretrained(folder / "transformer").config
    kind.from_config({**tiny, **sizes}).to(torch.bfloat16).save_pretrained(folder / "transformer")
    return request.param, folder


def choice_of(base: tuple[str, Path], quantization: Quantization | None = None) -> BaseChoice:
    return BaseChoice(str(base[1]), "cuda", quantization=quantization)


def trained(base: tuple[str, Path], choice: BaseChoice, home: Path, **changes: Any) -> Path:
    lora = home / "lora.safetensors"
    settings = replace(TRAINING, steps=2, alpha=8.0, **changes)
    trainer = DiffusersLoraTrainer(choice, FAMILIES[base[0]])
    trainer.train(samples(home / "photos", count=3), settings, lora, home / "work", {}, lambda *_: None)
    return lora


def drawn(generator: DiffusersGenerator, settings: GenerationSettings, *wanted: Shot) -> list[ImageArray]:
    return [image for _, image in generator.generate(wanted or shots(3), settings)]


def assert_same(some: list[ImageArray], others: list[ImageArray]) -> None:
    assert some
    for one, other in zip(some, others, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("quantization", [None, "int8"])
def test_the_same_images_in_less_memory(
    wide: tuple[str, Path], quantization: Quantization | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if quantization is not None:
        pytest.importorskip("torchao")
    generator = DiffusersGenerator(choice_of(wide, quantization), FAMILIES[wide[0]])
    generator.load_lora(None)
    images, peaks = {}, {}
    for offload in ("none", "blocks", "model", "blocks"):  # also from the whole denoiser on the card, and back
        settings = replace(SETTINGS, offload=offload, batch_size=1)
        drawn(generator, settings, shots(1)[0])  # the parts find their places
        gc.collect()
        torch.cuda.reset_peak_memory_stats()
        images[offload] = drawn(generator, settings)
        peaks[offload] = torch.cuda.max_memory_allocated()
    assert_same(images["none"], images["model"])
    assert_same(images["none"], images["blocks"])
    sizes = [block_swap.real_bytes(block) for block in blocks_of(open_base(choice_of(wide, quantization)
    , FAMILIES[wide[0]]).denoiser)]
    print(wide[0], quantization, peaks, sum(sizes), max(sizes))
    assert peaks["blocks"] < peaks["model"]
