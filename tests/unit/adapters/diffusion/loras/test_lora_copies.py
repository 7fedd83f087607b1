"""Copies of LoRAs for other programs: fused layers are the same update, also where a part has none; names are those
that other programs know, and come back.
"""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")

from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from safetensors.torch import load_file, save_file  # noqa: E402

from tests.contract.makers import TRAINING, samples  # noqa: E402
from tests.helpers.lora_files import write_lora  # noqa: E402
from tests.helpers.tiny_families import build_tiny  # noqa: E402
from twinloop.adapters.diffusion.base_choice import BaseChoice  # noqa: E402
from twinloop.adapters.diffusion.base_model import open_base  # noqa: E402
from twinloop.adapters.diffusion.loras.reading import _by_diffusers, read_for_pipeline  # noqa: E402
from twinloop.adapters.diffusion.loras.writing import LoraWeights, copy_tensors  # noqa: E402
from twinloop.adapters.trainers.diffusers_lora import DiffusersLoraTrainer  # noqa: E402
from twinloop.adapters.trainers.lora.adapted_model import MAGNITUDE, adapted  # noqa: E402
from twinloop.adapters.trainers.lora.adapter_plan import AdapterPlan, adapted_layers  # noqa: E402
from twinloop.families import FAMILIES  # noqa: E402
from twinloop.families.lora_names import LoraNames, Rename, places_of  # noqa: E402
from twinloop.families.unet_names import to_original  # noqa: E402
from twinloop.store.models.lora_file import kohya_path  # noqa: E402

FUSED = LoraNames(
    renames=(
        Rename("block.{}.qkv", ("layers.{}.q", "layers.{}.k", "layers.{}.v"), shares=(2, 3, 4)),
        Rename("block.{}.out", ("layers.{}.o",)),
    ),
)


SDXL_BLOCKS: dict[str, Any] = {
    "block_out_channels": (8, 8, 8),
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    "layers_per_block": 2,
    "transformer_layers_per_block": [1, 2, 10],
    "attention_head_dim": [2, 2, 2],
    "norm_num_groups": 4,
    "use_linear_projection": True,
}


class Denoiser(torch.nn.Module):
    """Two blocks whose layers have outputs of different sizes, and a layer outside of them."""

    def __init__(self) -> None:
        super().__init__()
        sizes = {"q": 4, "k": 6, "v": 8, "o": 5}
        self.layers = torch.nn.ModuleList(
            torch.nn.ModuleDict({name: torch.nn.Linear(5, size) for name, size in sizes.items()}) for _ in range(2)
        )
        self.head = torch.nn.Linear(5, 3)


def random_lora(shapes: dict[str, tuple[int, int]], rank: int, alpha: float) -> LoraWeights:
    generator = torch.Generator().manual_seed(3)
    return LoraWeights(
        {
            name: (torch.randn(rank, into, generator=generator), torch.randn(out, rank, generator=generator))
            for name, (out, into) in shapes.items()
        },
        rank,
        alpha,
    )


def shapes(model: Any) -> dict[str, tuple[int, int]]:
    return {
        name: tuple(layer.weight.shape) for name, layer in model.named_modules() if isinstance(layer, torch.nn.Linear)
    }


@given(st.integers(1, 5), st.floats(0.25, 32))
@settings(max_examples=30, deadline=None)
def test_fused_layers_are_the_same_update(rank: int, alpha: float) -> None:
    lora = random_lora(shapes(Denoiser()), rank, alpha)
    tensors = copy_tensors(lora, FUSED)
    assert {name.split(".")[0] for name in tensors} == {
        "lora_unet_block_0_qkv",
        "lora_unet_block_1_qkv",
        "lora_unet_block_0_out",
        "lora_unet_block_1_out",
        "lora_unet_head",
    }
    for name, parts in {"lora_unet_block_1_qkv": "qkv", "lora_unet_block_1_out": "o"}.items():
        wanted = torch.cat([product(lora, f"layers.1.{part}") for part in parts])
        assert torch.allclose(product_in(tensors, name), wanted, rtol=1e-3, atol=1e-5)


def product(lora: LoraWeights, layer: str) -> Any:
    down, up = lora.layers[layer]
    return up @ down * (lora.alpha / lora.rank)


def product_in(tensors: dict[str, Any], name: str) -> Any:
    down, up, alpha = (tensors[f"{name}.{part}"] for part in ("lora_down.weight", "lora_up.weight", "alpha"))
    return up.float() @ down.float() * (float(alpha) / len(down))


@pytest.mark.parametrize("alpha", [1.0, 0.1, 40_000.0])
def test_an_alpha_that_half_precision_does_not_hold_is_kept(alpha: float) -> None:
    whole = random_lora(shapes(Denoiser()), 2, alpha)
    lora = LoraWeights({name: (down.half(), up.half()) for name, (down, up) in whole.layers.items()}, 2, alpha)
    tensors = copy_tensors(lora, FUSED)
    assert float(tensors["lora_unet_head.alpha"]) == pytest.approx(alpha, rel=1e-6)
    assert float(tensors["lora_unet_block_0_qkv.alpha"]) == pytest.approx(3 * alpha, rel=1e-6)


def test_a_layer_brings_along_those_that_it_is_one_with() -> None:
    groups = FUSED.groups(["layers.0.q", "layers.1.k", "layers.1.v", "layers.1.o", "head"])
    assert groups == {
        "lora_unet_block_0_qkv": ("layers.0.q", "layers.0.k", "layers.0.v"),
        "lora_unet_block_1_qkv": ("layers.1.q", "layers.1.k", "layers.1.v"),
        "lora_unet_block_1_out": ("layers.1.o",),
        "lora_unet_head": ("head",),
    }


CHOICES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "attention alone": (("attn.",), ()),
    "without one of four": ((), ("proj_mlp", "to_k")),
    "two kinds": (("to_q", "add_v_proj"), ()),
    "what is one with queries": (("proj_mlp", "attn2.to_v"), ()),
}


@pytest.mark.parametrize("choice", CHOICES)
@pytest.mark.parametrize("family", ["flux", "sd35"])
@pytest.mark.parametrize("dora", [False, True])
def test_the_copy_of_a_training_of_some_layers_is_whole(family: str, choice: str, dora: bool, tmp_path: Path) -> None:
    """Other programs know the original names alone; a fused layer's part without a change is zeros there."""
    made = FAMILIES[family]
    base = open_base(BaseChoice(str(build_tiny(family, tmp_path / "base")), "cpu", "float32"), made)
    there = [name for name, _ in base.denoiser.named_modules()]
    only, skip = (tuple(text for text in texts if any(text in name for name in there)) for texts in CHOICES[choice])
    path = tmp_path / "x.safetensors"
    with adapted(base, AdapterPlan(made.targets, 4, 2.0, dora=dora, only=only, skip=skip), 0) as model, torch.no_grad():
        for name, parameter in model.parameters.items():
            if name.endswith("lora_B"):
                parameter.normal_(std=0.05)
            elif name.endswith(MAGNITUDE):
                parameter.mul_(1.2)
        write_lora(path, weights := model.weights(torch.float32), made, {})
    assert isinstance(weights, LoraWeights)
    names = {name.split(".")[0] for name in load_file(kohya_path(path))}
    assert names and all(re.match(r"lora_unet_(double|single|joint)_blocks_", name) for name in names)
    layers = {name: layer for name, layer in base.denoiser.named_modules() if isinstance(layer, torch.nn.Linear)}
    answers = []
    for file in (path, kohya_path(path)):
        base.lora.use(file)
        inputs = {name: torch.linspace(-1, 1, layer.in_features) for name, layer in layers.items()}
        answers.append({name: base.denoiser.get_submodule(name)(inputs[name]) for name in layers})
    base.lora.use(None)
    for name, layer in layers.items():
        assert torch.allclose(answers[0][name], answers[1][name], atol=1e-5), name
        changed = not torch.allclose(answers[0][name], layer(inputs[name]), atol=1e-5)
        assert changed == (name in weights.layers), name


def test_diffusers_reads_the_names_of_flux_at_full_size(tmp_path: Path) -> None:
    """Its reader has the sizes of the real model written into it; rank 1 keeps the file small."""
    from diffusers import FluxPipeline

    double, single = "transformer_blocks.18", "single_transformer_blocks.37"
    wide = {
        f"{double}.attn.{name}": (3072, 3072)
        for name in ("to_q", "to_k", "to_v", "to_out.0", "add_q_proj", "add_k_proj", "add_v_proj", "to_add_out")
    }
    wide |= {f"{double}.{ff}.net.0.proj": (12288, 3072) for ff in ("ff", "ff_context")} | {
        f"{double}.{ff}.net.2": (3072, 12288) for ff in ("ff", "ff_context")
    }
    wide |= {f"{single}.attn.{name}": (3072, 3072) for name in ("to_q", "to_k", "to_v")}
    wide |= {f"{single}.proj_mlp": (12288, 3072), f"{single}.proj_out": (3072, 15360)}
    lora = random_lora(wide, 1, 2.0)
    save_file(copy_tensors(lora, FAMILIES["flux"].lora_names), tmp_path / "flux.safetensors")
    pipeline: Any = FluxPipeline
    found = pipeline.lora_state_dict(str(tmp_path / "flux.safetensors"), use_safetensors=True)
    found = found[0] if isinstance(found, tuple) else found
    assert len(found) == 2 * len(wide)
    for name, (down, up) in lora.layers.items():
        assert torch.equal(found[f"transformer.{name}.lora_A.weight"], 2.0 * down)
        assert torch.equal(found[f"transformer.{name}.lora_B.weight"], up)
    assert FAMILIES["flux"].lora_names.groups(wide)["lora_unet_single_blocks_37_linear1"][-1] == f"{single}.proj_mlp"


@pytest.fixture(scope="module")
def sdxl_unet() -> Any:
    """SDXL's blocks as they are, narrow."""
    from diffusers import UNet2DConditionModel

    make: Any = UNet2DConditionModel
    return make(
        sample_size=8,
        cross_attention_dim=16,
        **SDXL_BLOCKS,
    )


def adapted_shapes(model: Any) -> dict[str, tuple[int, int]]:
    found = shapes(model)
    return {name: found[name] for name in adapted_layers(model, FAMILIES["sdxl"].targets)}


def test_layers_of_sdxl_have_the_original_names(sdxl_unet: Any) -> None:
    """sd-scripts knows no others."""
    layers = adapted_shapes(sdxl_unet)
    groups = FAMILIES["sdxl"].lora_names.groups(layers)
    assert groups == {f"lora_unet_{to_original(name, 'sdxl').replace('.', '_')}": (name,) for name in layers}
    assert (
        "lora_unet_input_blocks_8_1_transformer_blocks_9_attn2_to_k" in groups
        and "lora_unet_middle_block_1_proj_in" in groups
    )


def test_diffusers_reads_the_original_names_of_sdxl(sdxl_unet: Any, tmp_path: Path) -> None:
    from types import SimpleNamespace

    from diffusers import StableDiffusionXLPipeline

    lora, path = random_lora(adapted_shapes(sdxl_unet), 2, 6.0), tmp_path / "sdxl.safetensors"
    save_file(copy_tensors(lora, FAMILIES["sdxl"].lora_names), path)
    pipeline = SimpleNamespace(unet=sdxl_unet, lora_state_dict=StableDiffusionXLPipeline.lora_state_dict)
    theirs = _by_diffusers(path, str(path), pipeline, FAMILIES["sdxl"])
    assert len(theirs) == 2 * len(lora.layers)
    assert all(torch.equal(theirs[f"unet.{name}.lora_B.weight"], up) for name, (_, up) in lora.layers.items())
    assert all(torch.equal(theirs[f"unet.{name}.lora_A.weight"], down) for name, (down, _) in lora.layers.items())
    ours = read_for_pipeline(path, pipeline, FAMILIES["sdxl"]).tensors
    assert len(ours) == len(theirs)
    assert all(torch.equal(ours[f"unet.{name}.lora_A.weight"], 3 * down) for name, (down, _) in lora.layers.items())


def test_a_smaller_unet_keeps_its_diffusers_names(sdxl_unet: Any) -> None:
    """Numbers of the original's blocks would mean other layers there."""
    layers = [name for name in adapted_shapes(sdxl_unet) if not name.startswith("down_blocks.2.")]
    kept = {f"lora_unet_{name.replace('.', '_')}" for name in layers}
    assert set(FAMILIES["sdxl"].lora_names.groups(layers)) == kept
    assert set(FAMILIES["sdxl"].lora_names.groups(layers[:3], places_of(layers))) < kept
    assert set(FAMILIES["sdxl"].lora_names.apart(layers[:3], places_of(layers))) < kept


@pytest.mark.parametrize("what", ["up_blocks.0.attentions", "mid_block.", "attn2.to_k"])
def test_some_layers_of_sdxl_have_the_original_names_too(what: str, sdxl_unet: Any, tmp_path: Path) -> None:
    from types import SimpleNamespace

    from diffusers import StableDiffusionXLPipeline

    names, attentions = FAMILIES["sdxl"].lora_names, places_of(shapes(sdxl_unet))
    lora = random_lora({name: size for name, size in adapted_shapes(sdxl_unet).items() if what in name}, 2, 6.0)
    wanted = {f"lora_unet_{to_original(name, 'sdxl').replace('.', '_')}": name for name in lora.layers}
    assert names.groups(lora.layers, attentions) == {name: (layer,) for name, layer in wanted.items()}
    assert names.apart(lora.layers, attentions) == wanted
    path = tmp_path / "some.safetensors"
    save_file(copy_tensors(lora, names, attentions), path)
    pipeline = SimpleNamespace(unet=sdxl_unet, lora_state_dict=StableDiffusionXLPipeline.lora_state_dict)
    read = read_for_pipeline(path, pipeline, FAMILIES["sdxl"]).tensors
    assert len(read) == 2 * len(lora.layers)
    assert all(torch.equal(read[f"unet.{name}.lora_B.weight"], up) for name, (_, up) in lora.layers.items())


@pytest.fixture(scope="module")
def wide(full_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny SDXL with the blocks of the real one."""
    from diffusers import UNet2DConditionModel

    folder = Path(shutil.copytree(full_base, tmp_path_factory.mktemp("bases") / "wide"))
    config = json.loads((folder / "unet" / "config.json").read_text())
    made: Any = UNet2DConditionModel.from_config({**config, **SDXL_BLOCKS})
    shutil.rmtree(folder / "unet")
    made.save_pretrained(folder / "unet")
    return folder


@pytest.mark.parametrize("changes", [{}, {"adapter": "lokr"}, {"conv_rank": 4}], ids=["lora", "lokr", "locon"])
def test_a_training_of_some_layers_writes_the_names_of_its_base(
    changes: dict[str, Any], wide: Path, full_base: Path, tmp_path: Path
) -> None:
    """Where it has the blocks of the real SDXL; and the tiny one as it is, which has other blocks."""
    settings = replace(
        TRAINING, steps=1, checkpoint_every=1, only_layers=("mid_block.", "up_blocks.0.attentions.1"), **changes
    )
    for base, begin in ((wide, {"lora_unet_middle", "lora_unet_output"}), (full_base, {"lora_unet_mid"})):
        trainer, output = DiffusersLoraTrainer(BaseChoice(str(base), "cpu"), FAMILIES["sdxl"]), tmp_path / base.name
        photos = samples(tmp_path / "photos", count=2)
        trainer.train(photos, settings, output / "x.safetensors", output / "work", {}, lambda *_: None)
        found = {name.partition("_block")[0] for name in load_file(kohya_path(output / "x.safetensors"))}
        assert begin <= found and found <= {*begin, "lora_unet_up"}
