"""Copies of LoRAs for other programs: fused layers are the same update, names are those that plain diffusers knows, and
come back.
"""

from __future__ import annotations

import json
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
from twinloop.adapters.diffusion.base_choice import BaseChoice  # noqa: E402
from twinloop.adapters.diffusion.loras.reading import _from_copy, read_for_pipeline  # noqa: E402
from twinloop.adapters.diffusion.loras.writing import LoraWeights, copy_tensors  # noqa: E402
from twinloop.adapters.trainers.diffusers_lora import DiffusersLoraTrainer  # noqa: E402
from twinloop.adapters.trainers.lora.adapter_plan import adapted_layers  # noqa: E402
from twinloop.families import FAMILIES  # noqa: E402
from twinloop.families.lora_names import LoraNames, Rename, places_of  # noqa: E402
from twinloop.families.unet_names import to_original  # noqa: E402
from twinloop.store.models.lora_file import kohya_path  # noqa: E402

FUSED = LoraNames(
    renames=(
        Rename("block.{}.qkv", ("layers.{}.q", "layers.{}.k", "layers.{}.v")),
        Rename("block.{}.out", ("layers.{}.o",)),
    ),
    own_reader=True,
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
def test_layers_come_back_from_the_copy(rank: int, alpha: float) -> None:
    model = Denoiser()
    lora = random_lora(shapes(model), rank, alpha)
    tensors = copy_tensors(lora, FUSED)
    assert {name.split(".")[0] for name in tensors} == {
        "lora_unet_block_0_qkv",
        "lora_unet_block_1_qkv",
        "lora_unet_block_0_out",
        "lora_unet_block_1_out",
        "lora_unet_head",
    }
    back = _from_copy(tensors, FUSED, model)
    assert back is not None and back.keys() == lora.layers.keys()
    for name, (down, up) in lora.layers.items():
        assert torch.allclose(back[name][1] @ back[name][0], up @ down * (alpha / rank), rtol=1e-3, atol=1e-5)
        assert back[name][0].shape == down.shape  # its own rank, not three times as much


@pytest.mark.parametrize("alpha", [1.0, 0.1, 40_000.0])
def test_an_alpha_that_half_precision_does_not_hold_is_kept(alpha: float) -> None:
    whole = random_lora(shapes(Denoiser()), 2, alpha)
    lora = LoraWeights({name: (down.half(), up.half()) for name, (down, up) in whole.layers.items()}, 2, alpha)
    tensors = copy_tensors(lora, FUSED)
    assert float(tensors["lora_unet_head.alpha"]) == pytest.approx(alpha, rel=1e-6)
    assert float(tensors["lora_unet_block_0_qkv.alpha"]) == pytest.approx(3 * alpha, rel=1e-6)


def test_a_fused_layer_that_was_trained_as_one_is_shared_out() -> None:
    """As kohya's trainer makes them: one rank for query, key and value together."""
    model = Denoiser()
    down, up = torch.randn(4, 5), torch.randn(18, 4)
    tensors = {
        "lora_unet_block_0_qkv.lora_down.weight": down,
        "lora_unet_block_0_qkv.lora_up.weight": up,
        "lora_unet_block_0_qkv.alpha": torch.tensor(2.0),
    }
    back = _from_copy(tensors, FUSED, model)
    assert back is not None
    whole = torch.cat([back[f"layers.0.{part}"][1] @ back[f"layers.0.{part}"][0] for part in "qkv"])
    assert torch.allclose(whole, up @ down * 0.5, atol=1e-5)


def test_other_names_are_left_to_diffusers() -> None:
    model = Denoiser()
    known = copy_tensors(random_lora(shapes(model), 2, 2.0), FUSED)
    assert _from_copy({**known, "lora_te1_x.lora_down.weight": torch.zeros(2, 2)}, FUSED, model) is None
    assert _from_copy({"transformer.layers.0.q.lora_A.weight": torch.zeros(2, 5)}, FUSED, model) is None


def test_a_layer_without_its_partners_keeps_its_own_name() -> None:
    groups = FUSED.groups(["layers.0.q", "layers.0.k", "layers.1.q", "layers.1.k", "layers.1.v"])
    assert groups == {
        "lora_unet_block_1_qkv": ("layers.1.q", "layers.1.k", "layers.1.v"),
        "lora_unet_layers_0_q": ("layers.0.q",), "lora_unet_layers_0_k": ("layers.0.k",),
    }  # fmt: skip


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
    read = read_for_pipeline(path, pipeline, FAMILIES["sdxl"])
    assert len(read.tensors) == 2 * len(lora.layers) and read.given == str(path)
    assert all(torch.equal(read.tensors[f"unet.{name}.lora_B.weight"], up) for name, (_, up) in lora.layers.items())
    assert all(torch.equal(read.tensors[f"unet.{name}.lora_A.weight"], down) for name, (down, _) in lora.layers.items())


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


@pytest.mark.parametrize("changes", [{}, {"adapter": "lokr"}, {"conv_rank": 4}], ids=["lora", "lokr", "locon"])
def test_a_training_of_some_layers_writes_the_names_of_its_base(
    changes: dict[str, Any], full_base: Path, tmp_path: Path
) -> None:
    """The tiny SDXL with the blocks of the real one; and as it is, which has other blocks."""
    from diffusers import UNet2DConditionModel

    wide = Path(shutil.copytree(full_base, tmp_path / "wide"))
    config = json.loads((wide / "unet" / "config.json").read_text())
    made: Any = UNet2DConditionModel.from_config({**config, **SDXL_BLOCKS})
    shutil.rmtree(wide / "unet")
    made.save_pretrained(wide / "unet")
    settings = replace(
        TRAINING, steps=1, checkpoint_every=1, only_layers=("mid_block.", "up_blocks.0.attentions.1"), **changes
    )
    for base, begin in ((wide, {"lora_unet_middle", "lora_unet_output"}), (full_base, {"lora_unet_mid"})):
        trainer, output = DiffusersLoraTrainer(BaseChoice(str(base), "cpu"), FAMILIES["sdxl"]), tmp_path / base.name
        photos = samples(tmp_path / "photos", count=2)
        trainer.train(photos, settings, output / "x.safetensors", output / "work", {}, lambda *_: None)
        found = {name.partition("_block")[0] for name in load_file(kohya_path(output / "x.safetensors"))}
        assert begin <= found and found <= {*begin, "lora_unet_up"}
