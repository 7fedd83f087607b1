"""Every family trains and makes images on a CUDA device, in the precisions and ways of saving memory that it offers."""

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

from safetensors.torch import load_file  # noqa: E402

from tests.contract.makers import GENERATION, SIZE, TRAINING, samples, shots  # noqa: E402
from tests.contract.tiny_bases import offline  # noqa: E402
from tests.helpers.gguf_files import build_gguf_zimage  # noqa: E402
from tests.helpers.tiny_families import build_tiny  # noqa: E402
from twinloop.adapters.diffusion.base_choice import BaseChoice  # noqa: E402
from twinloop.adapters.generators.diffusers_generator import DiffusersGenerator  # noqa: E402
from twinloop.adapters.trainers.diffusers_lora import DiffusersLoraTrainer  # noqa: E402
from twinloop.adapters.trainers.loss.objective import Objective  # noqa: E402
from twinloop.domain.faces import ImageArray  # noqa: E402
from twinloop.domain.quantised import Quantization  # noqa: E402
from twinloop.families import FAMILIES  # noqa: E402

SETTINGS = replace(TRAINING, rank=4, alpha=8.0, steps=3, caption_dropout=0.3)


@pytest.fixture(autouse=True, scope="module")
def no_network() -> Iterator[None]:
    with offline(SIZE):
        yield


@pytest.fixture(scope="module", params=sorted(FAMILIES))
def base(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    return request.param, build_tiny(FAMILIES[request.param].name, tmp_path_factory.mktemp(request.param) / "base")


def chosen(base: tuple[str, Path], precision: str = "auto", quantization: Quantization | None = None) -> BaseChoice:
    return BaseChoice(str(base[1]), "cuda", precision, quantization)


def trained(base: tuple[str, Path], choice: BaseChoice, home: Path, **changes: Any) -> Path:
    lora = home / "lora.safetensors"
    trainer = DiffusersLoraTrainer(choice, FAMILIES[base[0]])
    photos = samples(home / "photos", count=3)
    trainer.train(photos, replace(SETTINGS, **changes), lora, home / "work", {}, lambda *_: None)
    return lora


def pictures(base: tuple[str, Path], choice: BaseChoice, lora: Path, **changes: Any) -> list[ImageArray]:
    generator = DiffusersGenerator(choice, FAMILIES[base[0]])
    generator.load_lora(lora)
    return [image for _, image in generator.generate(shots(3), replace(GENERATION, batch_size=2, **changes))]


@pytest.mark.parametrize("precision", ["auto", "float16", "float32"])
def test_it_trains_and_makes_images(base: tuple[str, Path], precision: str, tmp_path: Path) -> None:
    choice = chosen(base, precision)
    made = pictures(base, choice, trained(base, choice, tmp_path))
    assert len(made) == 3 and all(image.std() > 0 for image in made)


def test_parts_that_wait_in_main_memory_change_no_image(base: tuple[str, Path], tmp_path: Path) -> None:
    choice = chosen(base)
    lora = trained(base, choice, tmp_path)
    whole = pictures(base, choice, lora)
    for offload in ("model", "blocks", "sequential"):
        for image, other in zip(whole, pictures(base, choice, lora, offload=offload), strict=True):
            np.testing.assert_array_equal(image, other, err_msg=offload)


@pytest.mark.parametrize("quantization", ["int8", "fp8", "nf4"])
def test_quantised_weights(base: tuple[str, Path], quantization: Quantization, tmp_path: Path) -> None:
    pytest.importorskip("bitsandbytes" if quantization == "nf4" else "torchao")
    if quantization == "nf4" and torch.version.cuda is None:
        pytest.skip("bitsandbytes packs weights on a real GPU only")
    choice = chosen(base, quantization=quantization)
    lora = trained(base, choice, tmp_path)
    whole = pictures(base, choice, lora)
    for offload in ("model", "blocks"):
        for image, other in zip(whole, pictures(base, choice, lora, offload=offload), strict=True):
            np.testing.assert_array_equal(image, other, err_msg=offload)


def test_a_lokr(base: tuple[str, Path], tmp_path: Path) -> None:
    choice = chosen(base)
    assert len(pictures(base, choice, trained(base, choice, tmp_path, adapter="lokr"), offload="model")) == 3


def test_swapped_blocks_of_a_gguf_file(tmp_path: Path) -> None:
    pytest.importorskip("gguf")
    file = build_gguf_zimage(tmp_path / "base")
    tiny = ("zimage", file)
    whole, swapped = (
        load_file(trained(tiny, chosen(tiny), tmp_path / str(blocks), blocks_to_swap=blocks)) for blocks in (0, 3)
    )
    assert_same(whole, swapped)


def test_activations_that_are_computed_again(base: tuple[str, Path], tmp_path: Path) -> None:
    kept, again = (
        load_file(trained(base, chosen(base), tmp_path / str(checkpointing), gradient_checkpointing=checkpointing))
        for checkpointing in (False, True)
    )
    for name, numbers in kept.items():
        torch.testing.assert_close(again[name], numbers, msg=name)


@pytest.fixture
def waiting(monkeypatch: pytest.MonkeyPatch) -> list[set[str]]:
    """Where the largest block lies whenever a loss is computed, and a part outside of all blocks."""
    seen, real = list[set[str]](), Objective.terms

    def terms(self: Objective, *given: Any) -> Any:
        denoiser = self._denoiser._base.denoiser
        inside = {name: part for name, part in denoiser.named_parameters() if not part.requires_grad}
        seen.append({part.device.type for part in inside.values()})
        return real(self, *given)

    monkeypatch.setattr(Objective, "terms", terms)
    return seen


def test_swapped_blocks_change_no_lora(base: tuple[str, Path], waiting: list[set[str]], tmp_path: Path) -> None:
    """Also where the training is stopped, images are made in between, and it goes on with more of them."""
    choice = chosen(base)
    whole = load_file(trained(base, choice, tmp_path / "whole", batch_size=2, blocks_to_swap=0))
    assert all(places == {"cuda"} for places in waiting)
    waiting.clear()
    lora = trained(base, choice, tmp_path / "swapped", batch_size=2, blocks_to_swap=1, stop_at=2)
    assert len(pictures(base, choice, lora, offload="sequential")) == 3
    swapped = load_file(trained(base, choice, tmp_path / "swapped", batch_size=2, blocks_to_swap=2))
    assert waiting and all(places == {"cpu", "cuda"} for places in waiting)
    assert_same(whole, swapped)


def assert_same(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert one.keys() == other.keys()
    for name, numbers in one.items():
        torch.testing.assert_close(other[name], numbers, rtol=0, atol=0, msg=name)


@pytest.mark.parametrize(
    ("changes", "quantization", "precision"),
    [
        ({"adapter": "dora"}, None, "auto"),
        ({"adapter": "lokr"}, None, "auto"),
        ({"output_preservation": 0.5, "trigger": "ohwx ana"}, None, "float16"),
        ({"text_encoder": True, "ema_decay": 0.9}, None, "float32"),
        ({}, "int8", "auto"),
        ({}, "fp8", "auto"),
    ],
    ids=str,
)
@pytest.mark.parametrize("name", ["sdxl", "flux"])
def test_swapped_blocks_go_with(
    name: str, changes: dict[str, Any], quantization: Quantization | None, precision: str, tmp_path: Path
) -> None:
    if quantization is not None:
        pytest.importorskip("torchao")
    tiny = (name, build_tiny(name, tmp_path / "base"))
    choice = chosen(tiny, precision, quantization)
    whole, swapped = (
        load_file(trained(tiny, choice, tmp_path / str(blocks), **changes, blocks_to_swap=blocks)) for blocks in (0, 1)
    )
    assert_same(whole, swapped)


def test_text_encoders_learn_too(base: tuple[str, Path], tmp_path: Path) -> None:
    if FAMILIES[base[0]].trainable_encoders is None:
        pytest.skip("this family's are not trained")
    choice = chosen(base)
    assert len(pictures(base, choice, trained(base, choice, tmp_path, text_encoder=True))) == 3


def test_nothing_stays_on_the_card(base: tuple[str, Path], tmp_path: Path) -> None:
    """After the first time, which may leave tables that depend on sizes alone."""
    choice = chosen(base)
    lora = trained(base, choice, tmp_path)
    held = []
    for _ in range(2):
        pictures(base, choice, lora)
        gc.collect()
        torch.cuda.empty_cache()
        held.append(torch.cuda.memory_allocated())
    assert held[0] == held[1]
