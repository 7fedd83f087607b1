"""Chroma's texts: each ends with the one word that fills up and that the model was trained to see, and nothing sees
what fills up the rest, whatever else is in the batch.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
diffusers = pytest.importorskip("diffusers")

from safetensors.torch import save_file  # noqa: E402

from tests.contract.makers import GENERATION, SIZE, samples, shots  # noqa: E402
from tests.contract.tiny_bases import offline  # noqa: E402
from tests.helpers.tiny_families import build_tiny  # noqa: E402
from twinloop.adapters.diffusion.base_choice import BaseChoice  # noqa: E402
from twinloop.adapters.diffusion.base_model import BaseModel, open_base  # noqa: E402
from twinloop.adapters.diffusion.prompts import Joined, join  # noqa: E402
from twinloop.adapters.generators.diffusers_generator import DiffusersGenerator  # noqa: E402
from twinloop.adapters.trainers.lora.adapted_model import adapted  # noqa: E402
from twinloop.adapters.trainers.lora.adapter_plan import AdapterPlan  # noqa: E402
from twinloop.domain.faces import ImageArray  # noqa: E402
from twinloop.domain.shots import Shot  # noqa: E402
from twinloop.families import FAMILIES  # noqa: E402
from twinloop.loras.whose import of_another_family  # noqa: E402

CHROMA = FAMILIES["chroma"]
TEXTS = ("ohwx ana", "a photo of ohwx ana smiling indoors")


@pytest.fixture(autouse=True, scope="module")
def no_network() -> Iterator[None]:
    with offline(SIZE):
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tiny("chroma", tmp_path_factory.mktemp("chroma") / "base")


@pytest.fixture(scope="module")
def base(folder: Path) -> BaseModel:
    return open_base(BaseChoice(str(folder), "cpu", "float32"), CHROMA)


def some_latents(count: int) -> Any:
    return torch.randn(count, 16, 8, 8, generator=torch.Generator().manual_seed(3))


def answers(base: BaseModel, words: Joined, latents: Any) -> Any:
    with torch.no_grad():
        made = CHROMA.denoise(base.denoiser, latents, torch.tensor([300, 700])[: len(latents)], words, None)
    return torch.stack(made) if isinstance(made, list) else made


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_text_has_its_own_words_and_one_that_fills_up(folder: Path, precision: Any) -> None:
    """Also a long one in bfloat16, which cannot count so far."""
    opened = open_base(BaseChoice(str(folder), "cpu", precision), CHROMA)
    for text, words in (("", 1), ("ohwx ana", 3), ("ohwx " * 300, 301), ("ohwx " * 600, 512)):
        found = opened.prompts.embed(text)
        assert found["prompt_embeds"].shape[1] == words, text[:20]
        assert found["prompt_attention_mask"].shape == (1, words) and found["prompt_attention_mask"].dtype == torch.bool
        assert bool(found["prompt_attention_mask"].all())
        assert found["prompt_embeds"].untyped_storage().nbytes() == found["prompt_embeds"].nbytes  # no more is kept


def test_words_that_are_left_out_are_those_that_the_model_does_not_see(base: BaseModel) -> None:
    """The same as all 512 words with a mask of truth values, but for rounding; a mask of numbers, as the pipeline makes
    it, gives something else.
    """
    words, ids, seen, *_ = base.pipeline.encode_prompt(TEXTS[0], do_classifier_free_guidance=False)
    latents = some_latents(1)
    call = {
        "hidden_states": diffusers.ChromaPipeline._pack_latents(latents, 1, 16, 8, 8), "timestep": torch.tensor([0.3]),
        "encoder_hidden_states": words, "txt_ids": ids, "return_dict": False,
        "img_ids": diffusers.ChromaPipeline._prepare_latent_image_ids(1, 4, 4, "cpu", torch.float32),
    }  # fmt: skip
    masked, added = (
        base.denoiser(**call, attention_mask=torch.cat([mask, torch.ones(1, 16).to(mask)], 1))[0]
        for mask in (seen.bool(), seen)
    )
    own = answers(base, join([base.prompts.embed(TEXTS[0])], CHROMA.joining), latents)
    made = diffusers.ChromaPipeline._pack_latents(own, 1, 16, 8, 8)
    assert torch.allclose(made, masked, atol=1e-5)
    assert not torch.allclose(made, added, atol=1e-3)


def test_a_text_is_answered_as_if_it_were_alone(base: BaseModel) -> None:
    texts, latents = [base.prompts.embed(text) for text in TEXTS], some_latents(2)
    together = answers(base, join(texts, CHROMA.joining), latents)
    with torch.no_grad():
        for row, (text, time) in enumerate(zip(texts, (300, 700), strict=True)):
            alone = CHROMA.denoise(
                base.denoiser, latents[row : row + 1], torch.tensor([time]), join([text], CHROMA.joining), None
            )
            assert torch.equal(together[row], alone[0])


def test_texts_of_several_lengths_learn_the_same_with_gradient_checkpointing(base: BaseModel) -> None:
    words, latents = join([base.prompts.embed(text) for text in TEXTS], CHROMA.joining), some_latents(2)
    found = []
    with adapted(base, AdapterPlan(CHROMA.targets, 4, 4.0), 0) as denoiser:
        for name, parameter in denoiser.parameters.items():
            if name.endswith("lora_B"):
                torch.nn.init.constant_(parameter, 0.01)
        for again in (False, True):
            (base.denoiser.enable_gradient_checkpointing if again else base.denoiser.disable_gradient_checkpointing)()
            torch.autograd.backward(
                denoiser(latents, torch.tensor([300, 700]), words, torch.zeros(2, 6)).square().mean()
            )
            found.append({name: parameter.grad.clone() for name, parameter in denoiser.parameters.items()})
            base.denoiser.zero_grad()
        base.denoiser.disable_gradient_checkpointing()
    for name, gradient in found[0].items():
        assert torch.allclose(gradient, found[1][name], rtol=1e-4, atol=1e-8), name


def pictures(generator: DiffusersGenerator, wanted: list[Shot], batch_size: int) -> dict[str, ImageArray]:
    settings = replace(GENERATION, steps=4, strength=0.5, batch_size=batch_size)
    return {shot.key: picture for shot, picture in generator.generate(wanted, settings)}


@pytest.mark.parametrize("from_photo", [False, True])
def test_pictures_of_a_batch_do_not_depend_on_how_long_their_neighbours_prompts_are(
    folder: Path, from_photo: bool, tmp_path: Path
) -> None:
    """To the last bit: what fills up shorter texts would be seen in the pipeline that starts from photos."""
    (photo,) = samples(tmp_path, count=1)
    source = str(photo.path) if from_photo else None
    wanted = [
        replace(shots(1)[0], key=text, prompt=text, seed=seed, source=source)
        for seed, text in enumerate((*TEXTS, "ohwx ana smiling indoors"), 5)
    ]
    generator = DiffusersGenerator(BaseChoice(str(folder), "cpu", "float32"), CHROMA)
    together, alone = pictures(generator, wanted, 3), pictures(generator, wanted, 1)
    assert list(together) == [shot.key for shot in wanted]
    assert all(np.array_equal(together[key], alone[key]) for key in alone)
    assert len({picture.tobytes() for picture in alone.values()}) == 3


def test_a_lora_that_does_not_say_whether_it_is_fluxs_is_worn(folder: Path, tmp_path: Path) -> None:
    """In both models' names, which are the same, and with no header: as many programs write them."""
    ours, theirs = "transformer.transformer_blocks.0.ff.net.2", "lora_unet_double_blocks_0_img_mlp_2"
    draw = torch.Generator().manual_seed(1)
    down, up = torch.randn(4, 64, generator=draw), torch.randn(16, 4, generator=draw)
    save_file({f"{ours}.lora_A.weight": down, f"{ours}.lora_B.weight": up}, tmp_path / "diffusers.safetensors")
    save_file({f"{theirs}.lora_down.weight": down, f"{theirs}.lora_up.weight": up}, tmp_path / "kohya.safetensors")
    generator = DiffusersGenerator(BaseChoice(str(folder), "cpu", "float32"), CHROMA)
    made = []
    for path in (None, tmp_path / "diffusers.safetensors", tmp_path / "kohya.safetensors"):
        if path is not None:
            assert of_another_family(path, CHROMA) == ""
        generator.load_lora(path)
        made += pictures(generator, shots(1), 1).values()
    generator.load_lora(None)
    assert np.array_equal(made[1], made[2]) and not np.array_equal(made[0], made[1])
