"""LoRAs as DiffSynth-Studio's trainer writes them: names of the modules of its own models, ``.lora_A.default.weight``,
no alpha and no header.

What its ``DiffusionTrainingModule.export_trainable_state_dict`` gave for these models (2.1.12) with the target modules
of its example scripts, less ``pipe.dit.``; one layer of each kind. Its alpha is the rank.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from tests.unit.loras.makers import delta
from twinloop.loras.actions import convert
from twinloop.loras.adapter import Place, understood
from twinloop.loras.components import DENOISER
from twinloop.loras.lora import Dialect, read_lora

W = 24
Names = Mapping[str, tuple[int, int, tuple[str, ...], str]]
"""Its name -> outputs, inputs, diffusers' layers that it is made of, and kohya's name of it."""
_DOUBLE, _SINGLE = "transformer_blocks.18", "single_transformer_blocks.37"
FLUX: Names = {
    "blocks.18.attn.a_to_qkv": (3 * W, W, tuple(f"{_DOUBLE}.attn.to_{part}" for part in "qkv"), "img_attn_qkv"),
    "blocks.18.attn.b_to_qkv": (3 * W, W, tuple(f"{_DOUBLE}.attn.add_{part}_proj" for part in "qkv"), "txt_attn_qkv"),
    "blocks.18.attn.a_to_out": (W, W, (f"{_DOUBLE}.attn.to_out.0",), "img_attn_proj"),
    "blocks.18.attn.b_to_out": (W, W, (f"{_DOUBLE}.attn.to_add_out",), "txt_attn_proj"),
    "blocks.18.ff_a.0": (4 * W, W, (f"{_DOUBLE}.ff.net.0.proj",), "img_mlp_0"),
    "blocks.18.ff_a.2": (W, 4 * W, (f"{_DOUBLE}.ff.net.2",), "img_mlp_2"),
    "blocks.18.ff_b.0": (4 * W, W, (f"{_DOUBLE}.ff_context.net.0.proj",), "txt_mlp_0"),
    "blocks.18.ff_b.2": (W, 4 * W, (f"{_DOUBLE}.ff_context.net.2",), "txt_mlp_2"),
    "blocks.18.norm1_a.linear": (6 * W, W, (f"{_DOUBLE}.norm1.linear",), "img_mod_lin"),
    "blocks.18.norm1_b.linear": (6 * W, W, (f"{_DOUBLE}.norm1_context.linear",), "txt_mod_lin"),
    "single_blocks.37.to_qkv_mlp": (
        7 * W,
        W,
        (*(f"{_SINGLE}.attn.to_{part}" for part in "qkv"), f"{_SINGLE}.proj_mlp"),
        "linear1",
    ),
    "single_blocks.37.proj_out": (W, 5 * W, (f"{_SINGLE}.proj_out",), "linear2"),
    "single_blocks.37.norm.linear": (3 * W, W, (f"{_SINGLE}.norm.linear",), "modulation_lin"),
}
OTHERS: Mapping[str, Mapping[str, str]] = {
    "flux2": {
        "transformer_blocks.7.attn.to_q": "transformer_blocks.7.attn.to_q",
        "transformer_blocks.7.ff.linear_in": "transformer_blocks.7.ff.linear_in",
        "single_transformer_blocks.47.attn.to_qkv_mlp_proj": "single_transformer_blocks.47.attn.to_qkv_mlp_proj",
        "single_transformer_blocks.47.attn.to_out": "single_transformer_blocks.47.attn.to_out",
    },
    "zimage": {
        "layers.29.attention.to_q": "layers.29.attention.to_q",
        "layers.29.feed_forward.w1": "layers.29.feed_forward.w1",
        "noise_refiner.0.attention.to_out.0": "noise_refiner.0.attention.to_out.0",
    },
    "qwen-image": {
        "transformer_blocks.59.attn.to_out.0": "transformer_blocks.59.attn.to_out.0",
        "transformer_blocks.59.img_mod.1": "transformer_blocks.59.img_mod.1",
        "transformer_blocks.59.txt_mlp.net.2": "transformer_blocks.59.txt_mlp.net.2",
    },
    "krea2": {
        "blocks.27.attn.wq": "transformer_blocks.27.attn.to_q",
        "blocks.27.mlp.gate": "transformer_blocks.27.ff.gate",
        "txtfusion.refiner_blocks.1.attn.gate": "text_fusion.refiner_blocks.1.attn.to_gate",
    },
    "anima": {
        "blocks.27.self_attn.q_proj": "transformer_blocks.27.attn1.to_q",
        "blocks.27.mlp.layer2": "transformer_blocks.27.ff.net.2",
        "llm_adapter.blocks.5.cross_attn.o_proj": "llm_adapter.blocks.5.cross_attn.o_proj",
    },
    "sdxl": {
        "up_blocks.0.attentions.2.transformer_blocks.9.ff.net.0.proj": (
            "up_blocks.0.attentions.2.transformer_blocks.9.ff.net.0.proj"
        ),
        "mid_block.attentions.0.proj_in": "mid_block.attentions.0.proj_in",
    },
}
"""Family -> its name -> diffusers'; none of these layers is fused."""


def pair(name: str, out: int = W, into: int = W, seed: int = 0) -> dict[str, Any]:
    draw = np.random.default_rng(seed)
    return {
        f"{name}.lora_A.default.weight": draw.normal(size=(2, into)).astype(np.float32),
        f"{name}.lora_B.default.weight": draw.normal(size=(out, 2)).astype(np.float32),
    }


def flux_file(path: Path, names: Names = FLUX) -> dict[str, Any]:
    tensors = {}
    for seed, (name, (out, into, _, _)) in enumerate(names.items()):
        tensors |= pair(name, out, into, seed)
    save_file(tensors, path)
    return tensors


def test_flux_is_read_under_its_own_names(tmp_path: Path) -> None:
    tensors = flux_file(tmp_path / "x.safetensors")
    found = understood(read_lora(tmp_path / "x.safetensors"))
    assert found.family == "flux"
    assert {place.path for place in found.layers} == {path for _, _, paths, _ in FLUX.values() for path in paths}
    for name, (_, _, paths, _) in FLUX.items():
        whole = tensors[f"{name}.lora_B.default.weight"] @ tensors[f"{name}.lora_A.default.weight"]
        parts = [delta(found.layers[Place(DENOISER, path)]) for path in paths]
        assert np.allclose(np.concatenate(parts), whole, atol=1e-5), name


@pytest.mark.parametrize("name", FLUX)
def test_one_layer_tells_that_it_is_flux(name: str, tmp_path: Path) -> None:
    flux_file(tmp_path / "x.safetensors", {name: FLUX[name]})
    found = understood(read_lora(tmp_path / "x.safetensors"))
    assert (found.family, {place.path for place in found.layers}) == ("flux", {*FLUX[name][2]})


def test_flux_becomes_what_it_writes_itself_in_kohyas_names(tmp_path: Path) -> None:
    """Its ``align_to_opensource_format`` does so, bit for bit; it has alphas of the rank there, as none means."""
    tensors = flux_file(tmp_path / "x.safetensors")
    convert(tmp_path / "x.safetensors", Dialect.KOHYA, tmp_path / "k.safetensors")
    written = load_file(tmp_path / "k.safetensors")
    wanted = {}
    for name, (_, _, _, theirs) in FLUX.items():
        block = "lora_unet_single_blocks_37" if name.startswith("single") else "lora_unet_double_blocks_18"
        wanted[f"{block}_{theirs}.lora_down.weight"] = tensors[f"{name}.lora_A.default.weight"]
        wanted[f"{block}_{theirs}.lora_up.weight"] = tensors[f"{name}.lora_B.default.weight"]
    assert written.keys() == wanted.keys()
    assert all(np.array_equal(written[name], tensor) for name, tensor in wanted.items())


@pytest.mark.parametrize("family", OTHERS)
def test_the_others_have_names_that_are_known(family: str, tmp_path: Path) -> None:
    tensors = {key: value for name in OTHERS[family] for key, value in pair(name).items()}
    save_file(tensors, tmp_path / "x.safetensors")
    found = understood(read_lora(tmp_path / "x.safetensors"))
    assert found.family == family
    assert {place.path for place in found.layers} == {*OTHERS[family].values()}
    assert all(layer.scale == 1.0 for layer in found.layers.values())


def test_an_underscore_too_many_is_read_over(tmp_path: Path) -> None:
    """Z-Image LoRAs of some trainers have ``lora_unet__layers_...``, as InvokeAI (6.14.2) knows them."""
    name = "lora_unet__layers_0_attention_to_out_0"
    pairs = pair(name)
    save_file({key.replace("lora_A.default", "lora_down").replace("lora_B.default", "lora_up"): value
               for key, value in pairs.items()}, tmp_path / "x.safetensors")  # fmt: skip
    found = understood(read_lora(tmp_path / "x.safetensors"))
    assert (found.family, *found.layers) == ("zimage", Place(DENOISER, "layers.0.attention.to_out.0"))
