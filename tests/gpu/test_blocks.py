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
from safetensors.torch import load_file  # noqa: E402

from bench.peers.small_sdxl import build_small_sdxl  # noqa: E402
from tests.contract.makers import GENERATION, SIZE, TRAINING, samples, shots  # noqa: E402
from tests.contract.tiny_bases import offline  # noqa: E402
from tests.helpers.gguf_files import build_gguf_zimage  # noqa: E402
from tests.helpers.tiny_families import build_tiny  # noqa: E402
from twinloop.adapters.diffusion import base_model, block_swap  # noqa: E402
from twinloop.adapters.diffusion.base_choice import BaseChoice  # noqa: E402
from twinloop.adapters.diffusion.base_model import open_base  # noqa: E402
from twinloop.adapters.diffusion.quantised.sizes import real_bytes  # noqa: E402
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
    base = open_base(choice_of(wide, quantization), FAMILIES[wide[0]])
    sizes = [real_bytes(block) for block in blocks_of(base.denoiser)]
    assert peaks["blocks"] < peaks["model"] - 0.9 * (sum(sizes) - max(sizes)), "all but one wait in main memory"


@pytest.fixture(scope="module", params=sorted(FAMILIES))
def tiny(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    return request.param, build_tiny(FAMILIES[request.param].name, tmp_path_factory.mktemp(request.param) / "base")


def test_from_photos(tiny: tuple[str, Path], tmp_path: Path) -> None:
    """Also of models that edit; and drawn over, as small faces are."""
    family, photo = FAMILIES[tiny[0]], str(samples(tmp_path, count=1)[0].path)
    generator = DiffusersGenerator(choice_of(tiny), family)
    generator.load_lora(None)
    if generator._base.from_image is None:
        pytest.skip("images of this family do not start from photos")
    wanted = [replace(shot, source=photo if number else None) for number, shot in enumerate(shots(3))]
    assert_same(drawn(generator, SETTINGS, *wanted), drawn(generator, BLOCKS, *wanted))
    if family.image_pipeline:
        given = list(generator.generate(shots(3), SETTINGS))
        assert_same(*([image for _, image in generator.redraw(given, how)] for how in (SETTINGS, BLOCKS)))


@pytest.fixture(scope="module", params=["sdxl", "flux"])
def base(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    return request.param, build_tiny(request.param, tmp_path_factory.mktemp(request.param) / "base")


@pytest.mark.parametrize("adapter", ["lora", "dora", "lokr"])
def test_the_loras_of_rounds_one_after_the_other(base: tuple[str, Path], adapter: str, tmp_path: Path) -> None:
    choice = choice_of(base)
    loras = [trained(base, choice, tmp_path / str(seed), adapter=adapter, seed=seed) for seed in (1, 2)]
    others = ((str(loras[1]), 0.5),)
    generator = DiffusersGenerator(choice, FAMILIES[base[0]])

    def rounds(settings: GenerationSettings) -> list[ImageArray]:
        made = []
        for lora in (*loras, None, loras[0]):
            generator.load_lora(lora)
            made += drawn(generator, settings)
        return made + drawn(generator, replace(settings, extra_loras=others, lora_scale=0.7))

    whole, swapped = rounds(SETTINGS), rounds(BLOCKS)
    assert_same(whole, swapped)
    assert not np.array_equal(whole[0], whole[3]), "they are the same LoRA"


def test_images_that_are_given_up_on_the_way(base: tuple[str, Path]) -> None:
    generator = DiffusersGenerator(choice_of(base), FAMILIES[base[0]])
    generator.load_lora(None)
    steps = {"steps": 4, "batch_size": 3}

    def left(settings: GenerationSettings) -> list[ImageArray]:
        look = EarlyLook(0.5, lambda shot, _: shot.key != shots(3)[1].key)
        return [image for _, image in generator.generate(shots(3), replace(settings, **steps), look)]

    whole = left(SETTINGS)
    assert len(whole) == 2
    assert_same(whole, left(BLOCKS))


def test_a_training_with_swapped_blocks_goes_on_after_images(base: tuple[str, Path], tmp_path: Path) -> None:
    choice = choice_of(base)
    generator = DiffusersGenerator(choice, FAMILIES[base[0]])
    written, images = [], []
    for name, settings in (("whole", SETTINGS), ("blocks", BLOCKS)):
        swapped = 2 if settings is BLOCKS else 0
        generator.load_lora(trained(base, choice, tmp_path / name, blocks_to_swap=swapped, stop_at=1))
        images.append(drawn(generator, settings))
        written.append(load_file(trained(base, choice, tmp_path / name, blocks_to_swap=swapped)))
    assert_same(*images)
    assert written[0].keys() == written[1].keys()
    assert all(torch.equal(written[0][name], numbers) for name, numbers in written[1].items())


@pytest.mark.parametrize("offload", ["none", "model", "sequential"])
def test_main_memory_that_a_training_pinned_is_given_back_before_images(
    base: tuple[str, Path], offload: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pretend card pins nothing: copies stand for it."""
    places, kept, released = set[int](), list[Any](), list[int]()
    denoiser = open_base(choice_of(base), FAMILIES[base[0]]).denoiser

    def pin_memory(tensor: Any) -> Any:
        kept.append(tensor.clone())
        places.add(kept[-1].data_ptr())
        return kept[-1]

    def still_pinned() -> int:
        return sum(part.is_pinned() for block in blocks_of(denoiser) for part in block.parameters())

    monkeypatch.setattr(torch.Tensor, "pin_memory", pin_memory)
    monkeypatch.setattr(torch.Tensor, "is_pinned", lambda tensor: tensor.data_ptr() in places)
    lora = trained(base, choice_of(base), tmp_path, blocks_to_swap=2)
    assert still_pinned()
    for module in (base_model, block_swap):
        monkeypatch.setattr(module, "release_pinned_memory", lambda: released.append(still_pinned()))
    generator = DiffusersGenerator(choice_of(base), FAMILIES[base[0]])
    generator.load_lora(lora)
    drawn(generator, replace(SETTINGS, offload=offload))
    assert released and min(released) == 0 == still_pinned()


def test_weights_of_a_gguf_file(tmp_path: Path) -> None:
    pytest.importorskip("gguf")
    packed = ("zimage", build_gguf_zimage(tmp_path / "base"))
    generator = DiffusersGenerator(choice_of(packed), FAMILIES["zimage"])
    generator.load_lora(trained(packed, choice_of(packed), tmp_path))
    assert_same(drawn(generator, SETTINGS), drawn(generator, BLOCKS))
