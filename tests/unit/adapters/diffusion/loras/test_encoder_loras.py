"""LoRAs of other people that adapt text encoders: worn with all of it, at the scale of each layer, and remembered
apart.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")

from safetensors.torch import load_file, save_file  # noqa: E402

from tests.contract.makers import GENERATION, shots  # noqa: E402
from tests.helpers.tiny_families import build_tiny  # noqa: E402
from twinloop.adapters.diffusion.base_choice import BaseChoice  # noqa: E402
from twinloop.adapters.diffusion.base_model import BaseModel, open_base  # noqa: E402
from twinloop.adapters.diffusion.loras.kohya_scales import folded, has_mixed_alphas  # noqa: E402
from twinloop.adapters.generators.diffusers_generator import DiffusersGenerator  # noqa: E402
from twinloop.errors import ModelFileError  # noqa: E402
from twinloop.families import FAMILIES  # noqa: E402
from twinloop.loras.adapter import understood  # noqa: E402
from twinloop.loras.container import file_bytes  # noqa: E402
from twinloop.loras.lora import Dialect, read_lora  # noqa: E402
from twinloop.loras.write import written  # noqa: E402

SDXL = FAMILIES["sdxl"]
PARTS = {"unet": "lora_unet_", "text_encoder": "lora_te1_", "text_encoder_2": "lora_te2_"}
ENCODERS = ("text_encoder", "text_encoder_2")
TEXT = "photo of ohwx ana"
Layers = dict[tuple[str, str], Any]


@pytest.fixture
def base(full_base: Path) -> Iterator[BaseModel]:
    made = open_base(BaseChoice(str(full_base), "cpu", "float32"), SDXL)
    made.lora.use(None)
    yield made
    made.lora.use(None)


def layers_of(base: BaseModel, parts: tuple[str, ...]) -> Layers:
    """Every linear layer of these components that LoRAs adapt, with its own weight."""
    return {
        (part, name): layer.weight
        for part in parts for name, layer in getattr(base.pipeline, part).named_modules()
        if isinstance(layer, torch.nn.Linear) and ("attn" in name or "mlp" in name or ".ff." in name)
    }  # fmt: skip


def write_kohya(
    path: Path, layers: Layers, alphas: tuple[float | None, ...], rank: int = 4, seed: int = 0
) -> Mapping[tuple[str, str], Any]:
    """A file as sd-scripts writes it, alphas in turn; the update of each layer."""
    generator, tensors, updates = torch.Generator().manual_seed(seed), dict[str, Any](), {}
    for number, ((part, layer), weight) in enumerate(layers.items()):
        down, up = (
            torch.randn(rank, weight.shape[1], generator=generator) * 0.1,
            torch.randn(weight.shape[0], rank, generator=generator) * 0.1,
        )
        whole = layer if part == "unet" or layer.startswith("text_model.") else f"text_model.{layer}"
        name, alpha = PARTS[part] + whole.replace(".", "_"), alphas[number % len(alphas)]
        tensors |= {f"{name}.lora_down.weight": down, f"{name}.lora_up.weight": up}
        if alpha is not None:
            tensors[f"{name}.alpha"] = torch.tensor(alpha)
        updates[part, layer] = up @ down * (1.0 if alpha is None else alpha / rank)
    save_file(tensors, path)
    return updates


def worn_updates(base: BaseModel, layers: Layers) -> dict[tuple[str, str], Any]:
    """What is added to the weights of the layers now."""
    return {
        (part, name): getattr(base.pipeline, part).get_submodule(name).get_delta_weight("twinloop")
        for part, name in layers
    }


@pytest.mark.parametrize("alphas", [(2.0,), (None,), (2.0, 1.0, 6.0), (3.0, None)], ids=str)
def test_every_layer_has_its_own_scale(base: BaseModel, tmp_path: Path, alphas: tuple[float | None, ...]) -> None:
    """A LoRA that was cut to smaller ranks has another alpha in every layer; diffusers by itself takes one for all of
    an encoder.
    """
    layers = layers_of(base, tuple(PARTS))
    wanted = write_kohya(tmp_path / "ana.safetensors", layers, alphas)
    base.lora.use(tmp_path / "ana.safetensors")
    found = worn_updates(base, layers)
    assert len(found) == len(wanted) > 60
    for place, update in wanted.items():
        assert torch.allclose(found[place], update, atol=1e-6), place


def test_alphas_are_compared_within_a_component() -> None:
    one: dict[str, Any] = {"lora_te1_a.lora_down.weight": torch.ones(2, 3), "lora_te1_a.alpha": torch.tensor(1.0)}
    other: dict[str, Any] = {"lora_te2_a.lora_down.weight": torch.ones(2, 3), "lora_te2_a.alpha": torch.tensor(2.0)}
    assert not has_mixed_alphas({**one, **other})
    assert has_mixed_alphas({**one, "lora_te1_b.lora_down.weight": torch.ones(2, 3)})  # no alpha means its rank
    made = folded({**one, **other})
    assert made.keys() == {"lora_te1_a.lora_down.weight", "lora_te2_a.lora_down.weight"}
    assert made["lora_te1_a.lora_down.weight"].tolist() == [[0.5] * 3] * 2


def test_two_at_once_whichever_comes_first(base: BaseModel, tmp_path: Path) -> None:
    """One adapts the denoiser alone; taking off either leaves the other as it is alone."""
    of_denoiser, of_encoders = tmp_path / "of_denoiser.safetensors", tmp_path / "of_encoders.safetensors"
    write_kohya(of_denoiser, layers_of(base, ("unet",)), (2.0,))
    write_kohya(of_encoders, layers_of(base, ENCODERS), (2.0,), seed=1)
    bare = base.prompts.embed(TEXT)
    base.lora.wear([(of_encoders, 0.5)])
    alone = base.prompts.embed(TEXT)["prompt_embeds"]
    assert not torch.equal(alone, bare["prompt_embeds"])
    for order in ([(of_encoders, 0.5), (of_denoiser, 1.0)], [(of_denoiser, 1.0), (of_encoders, 0.5)]):
        base.lora.wear(order)
        base.prompts.forget()
        assert torch.allclose(base.prompts.embed(TEXT)["prompt_embeds"], alone, atol=1e-6)
        base.lora.wear([(of_denoiser, 1.0)])
        base.prompts.forget()
        assert torch.equal(base.prompts.embed(TEXT)["prompt_embeds"], bare["prompt_embeds"])


def test_prompts_are_remembered_by_what_the_encoders_wear(base: BaseModel, tmp_path: Path) -> None:
    path, layers = tmp_path / "ana.safetensors", layers_of(base, ENCODERS)
    write_kohya(path, layers, (2.0,))
    base.prompts.forget()
    before, said = base.prompts.encoded, {}
    for _ in range(2):
        for worn in ([], [(path, 1.0)], [(path, 0.5)]):
            base.lora.wear(worn)
            said[str(worn)] = base.prompts.embed(TEXT)["pooled_prompt_embeds"]
    assert base.prompts.encoded - before == 3
    assert len({tuple(words.flatten().tolist()) for words in said.values()}) == 3
    write_kohya(path, layers, (2.0,), seed=5, rank=2)
    base.lora.wear([(path, 1.0)])
    base.prompts.embed(TEXT)
    assert base.prompts.encoded - before == 4  # the file was written anew


def test_the_generator_hears_an_extra_lora(full_base: Path, base: BaseModel, tmp_path: Path) -> None:
    path = tmp_path / "style.safetensors"
    write_kohya(path, layers_of(base, ENCODERS), (8.0,))
    generator = DiffusersGenerator(BaseChoice(str(full_base), "cpu", "float32"), SDXL)

    def picture(*loras: tuple[str, float]) -> Any:
        return next(image for _, image in generator.generate(shots(1), replace(GENERATION, extra_loras=loras)))

    bare, full, half = picture(), picture((str(path), 1.0)), picture((str(path), 0.5))
    assert not np.array_equal(bare, full) and not np.array_equal(full, half)
    assert np.array_equal(picture(), bare) and np.array_equal(picture((str(path), 1.0)), full)


def test_layers_that_are_not_there_are_named(base: BaseModel, tmp_path: Path) -> None:
    path, layers = tmp_path / "ana.safetensors", layers_of(base, ENCODERS)
    other = {place: torch.zeros(weight.shape[0], 8) for place, weight in layers.items()}
    write_kohya(path, {**layers, **other}, (2.0,))
    with pytest.raises(
        ModelFileError, match=r"does not fit this base model: \S+ takes \d+ channels here, 8 in the file"
    ):
        base.lora.use(path)
    assert base.prompts.encoder_key == "" and not hasattr(base.pipeline.text_encoder, "peft_config")


@pytest.mark.parametrize(
    ("family", "part", "name"), [("sd15", "lora_te2_", "text_encoder_2"), ("flux", "lora_te3_", "text_encoder_2")]
)
def test_an_encoder_that_cannot_wear_it_is_named(family: str, part: str, name: str, tmp_path: Path) -> None:
    """Half of a LoRA is never worn in silence."""
    base = open_base(BaseChoice(str(build_tiny(family, tmp_path / "base")), "cpu", "float32"), FAMILIES[family])
    stem = f"{part}text_model_encoder_layers_0_mlp_fc1"
    save_file(
        {f"{stem}.lora_down.weight": torch.zeros(2, 16), f"{stem}.lora_up.weight": torch.zeros(16, 2)},
        tmp_path / "ana.safetensors",
    )
    with pytest.raises(ModelFileError, match=f"adapts '{name}', which is no text encoder that can wear a LoRA here"):
        base.lora.use(tmp_path / "ana.safetensors")


@pytest.mark.parametrize("alphas", [(2.0,), (2.0, 1.0, 6.0)], ids=str)
def test_a_converted_file_says_the_same_in_plain_diffusers(
    base: BaseModel, tmp_path: Path, alphas: tuple[float | None, ...]
) -> None:
    """`twinloop lora convert --to diffusers`: ranks and alphas in the header fit the names that this version of
    transformers has.
    """
    path, layers = tmp_path / "ana.safetensors", layers_of(base, tuple(PARTS))
    wanted = write_kohya(path, layers, alphas)
    converted = tmp_path / "converted.safetensors"
    converted.write_bytes(file_bytes(*written(understood(read_lora(path)), Dialect.DIFFUSERS, {})))
    base.pipeline.load_lora_weights(str(converted), adapter_name="twinloop")
    try:
        found = worn_updates(base, layers)
    finally:
        base.pipeline.unload_lora_weights()
    for place, update in wanted.items():
        assert torch.allclose(found[place], update, atol=1e-6), place


@pytest.mark.parametrize("dialect", [None, Dialect.DIFFUSERS], ids=str)
@pytest.mark.parametrize(("rank", "projected"), [(4, 4), (4, 2), (2, 4), (0, 4)])
def test_the_projection_after_an_encoder_has_a_rank_of_its_own(
    base: BaseModel, tmp_path: Path, rank: int, projected: int, dialect: Dialect | None
) -> None:
    """diffusers takes ranks from the attentions alone, and knows no encoder of which only the projection is adapted."""
    path, place = tmp_path / "ana.safetensors", ("text_encoder_2", "text_projection")
    layers = layers_of(base, ("unet", "text_encoder_2") if rank else ("unet",))
    wanted = dict(write_kohya(path, layers, (2.0, 3.0), rank=rank or 4))
    width, name = base.pipeline.text_encoder_2.text_projection.in_features, "lora_te2_text_projection"
    draw = torch.Generator().manual_seed(2)
    down, up = torch.randn(projected, width, generator=draw), torch.randn(width, projected, generator=draw)
    own = {f"{name}.lora_down.weight": down, f"{name}.lora_up.weight": up, f"{name}.alpha": torch.tensor(1.0)}
    save_file({**load_file(path), **own}, path)
    wanted[place] = up @ down / projected
    if dialect is not None:
        path.write_bytes(file_bytes(*written(understood(read_lora(path)), dialect, {})))
    bare = base.prompts.embed(TEXT)
    base.lora.use(path)
    found = worn_updates(base, dict.fromkeys(wanted))
    for one, update in wanted.items():
        assert torch.allclose(found[one], update, atol=1e-5), one
    assert not torch.allclose(base.prompts.embed(TEXT)["pooled_prompt_embeds"], bare["pooled_prompt_embeds"], atol=1e-3)
    base.lora.use(None)
    assert torch.equal(base.prompts.embed(TEXT)["pooled_prompt_embeds"], bare["pooled_prompt_embeds"])
