"""Krea 2: its words without what its pipeline fills them up with, and its LoRAs told from others'."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from twinloop.families import FAMILIES, flux2, krea2
from twinloop.families.lora_layers import Fit, LoraLayers

SHORT, LONG = "ohwx ana", "a photo of ohwx ana smiling indoors"


@dataclass(frozen=True)
class Size:
    inputs: int
    outputs: int


def fit_of(**layers: tuple[int, int]) -> Fit:
    return krea2.fit(LoraLayers({name.replace("__", "."): Size(*size) for name, size in layers.items()}))


@pytest.mark.parametrize(
    "name",
    [
        "blocks.3.attn.wq",
        "blocks.27.attn.gate",
        "blocks.0.mlp.down",
        "transformer_blocks.0.attn.to_gate",
        "transformer_blocks.9.ff.up",
        "txtfusion.refiner_blocks.1.attn.wo",
        "text_fusion.projector",
        "tmlp.2",
        "txtmlp.1",
        "tproj.1",
    ],
)
def test_its_own_names_tell(name: str) -> None:
    assert krea2.fit(LoraLayers({name: Size(24, 24)})) is Fit.YES


@pytest.mark.parametrize(
    "name",
    [
        "blocks.0.attn.proj",
        "blocks.0.self_attn.q",
        "blocks.3.attn.wq.norm",
        "transformer_blocks.0.ff.net.0.proj",
        "first",
    ],
)
def test_others_names_do_not(name: str) -> None:
    assert krea2.fit(LoraLayers({name: Size(24, 24)})) is Fit.OPEN


def test_plain_attention_is_told_by_its_widths() -> None:
    """FLUX.2 [dev] is as wide, has as many keys as queries, and fewer blocks of these names."""
    wide = (6144, 6144)
    assert fit_of(transformer_blocks__0__attn__to_k=(6144, 1536)) is Fit.YES
    assert fit_of(transformer_blocks__0__attn__to_k=wide, transformer_blocks__20__attn__to_q=wide) is Fit.OPEN
    assert fit_of(transformer_blocks__8__attn__to_q=wide) is Fit.YES
    few = {"transformer_blocks.7.attn.to_q": Size(*wide)}
    assert krea2.fit(LoraLayers(few)) is Fit.OPEN and flux2.fit(LoraLayers(few)) is not Fit.NO


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    torch = pytest.importorskip("torch")
    diffusers = pytest.importorskip("diffusers")
    from tests.helpers.tiny_families import build_tiny

    folder = build_tiny("krea2", tmp_path_factory.mktemp("krea2") / "base")
    with torch.inference_mode():
        yield diffusers.Krea2Pipeline.from_pretrained(folder)


def batch(pipeline: Any) -> dict[str, Any]:
    """Two texts of two lengths, as `Family.joining` makes one batch of them."""
    from twinloop.adapters.diffusion.prompts import join

    return join([krea2.encode(pipeline, text, "cpu") for text in (SHORT, LONG)], FAMILIES["krea2"].joining)


def test_only_the_tokens_of_a_text_are_kept(pipeline: Any) -> None:
    whole, seen = pipeline.encode_prompt(LONG)
    kept = krea2.encode(pipeline, LONG, "cpu")
    tokens = int(seen.sum())
    assert kept["prompt_embeds"].shape == (1, tokens, *whole.shape[2:]) and tokens < 20 < whole.shape[1] == krea2.WORDS
    assert kept["prompt_embeds"].equal(whole[seen][None])


def test_the_pipeline_gets_each_token_where_it_puts_it_itself(pipeline: Any) -> None:
    wanted, seen = pipeline.encode_prompt([SHORT, LONG])
    given = krea2.for_pipeline(batch(pipeline))
    assert given["prompt_embeds_mask"].equal(seen) and given["prompt_embeds"].shape == wanted.shape
    assert given["prompt_embeds"][seen].allclose(wanted[seen], atol=1e-6)
    assert not given["prompt_embeds"][~seen].any()


def test_the_denoiser_finds_the_same_without_the_filling(pipeline: Any) -> None:
    import torch

    latents = torch.randn(2, 4, 8, 12, generator=torch.Generator().manual_seed(0))
    times = torch.tensor([300.0, 800.0])
    words, seen = pipeline.encode_prompt([SHORT, LONG])
    plain = pipeline.transformer(
        hidden_states=pipeline._pack_latents(latents, 2, 4, 8, 12),
        encoder_hidden_states=words,
        timestep=times / 1000,
        position_ids=pipeline.prepare_position_ids(words.shape[1], 4, 6, latents.device),
        encoder_attention_mask=seen,
        return_dict=False,
    )[0]
    wanted = pipeline._unpack_latents(plain, 64, 96)[:, :, 0]
    found = krea2.denoise(pipeline.transformer, latents, times, batch(pipeline), None)
    assert found.shape == latents.shape and found.allclose(wanted, atol=1e-5) and wanted.std() > 0.01


def test_no_prompt_is_a_prompt(pipeline: Any) -> None:
    """The form that the pipeline writes every text into has tokens behind it."""
    assert krea2.encode(pipeline, "", "cpu")["prompt_embeds"].shape[1] == 5


def test_the_layers_around_the_blocks_keep_still() -> None:
    import torch

    diffusers = pytest.importorskip("diffusers")
    from twinloop.adapters.trainers.lora.adapter_plan import adapted_layers

    family = FAMILIES["krea2"]
    with torch.device("meta"):
        model = diffusers.Krea2Transformer2DModel()
    linear = {name for name, layer in model.named_modules() if isinstance(layer, torch.nn.Linear)}
    trained = set(adapted_layers(model, family.targets))
    assert (len(linear), len(trained)) == (264, 256)
    assert linear - trained == {rename.ours[0] for rename in family.lora_names.renames if "{}" not in rename.theirs}
    named = family.lora_names.groups(sorted(linear))
    assert len(named) == 264 and not any("linear_" in name or "to_" in name for name in named)


def test_turbo_takes_guidance_where_it_is_asked_for(tmp_path: Path) -> None:
    """Its pipeline follows the number, not that the model is distilled."""
    pytest.importorskip("diffusers")
    from dataclasses import replace

    from tests.contract.makers import GENERATION, shots
    from tests.helpers.tiny_families import build_tiny
    from twinloop.adapters.diffusion.base_choice import BaseChoice
    from twinloop.adapters.generators.diffusers_generator import DiffusersGenerator

    told: list[str] = []
    choice = BaseChoice(str(build_tiny("krea2", tmp_path / "base")), "cpu", "float32")
    made = DiffusersGenerator(choice, FAMILIES["krea2"], told.append)
    made._base.pipeline.register_to_config(is_distilled=True)
    try:
        pictures = [
            next(iter(made.generate(shots(1), replace(GENERATION, guidance=guidance))))[1] for guidance in (0.0, 4.5)
        ]
    finally:
        made._base.pipeline.register_to_config(is_distilled=False)
    (line,) = told
    assert "without guidance" in line and "does nothing" not in line and (pictures[0] != pictures[1]).any()
