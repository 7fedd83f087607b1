"""LoRAs and LoKrs of musubi-tuner: a name of each kind of layer that it trains, of its shape, and the header.

Its networks make names of the modules of its models: ``lora_unet_`` and the path, dots as ``_``.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from tests.unit.loras.makers import delta
from twinloop.families import FAMILIES
from twinloop.loras.actions import convert
from twinloop.loras.adapter import Place, families_name, understood
from twinloop.loras.components import DENOISER
from twinloop.loras.lora import Dialect, read_lora
from twinloop.loras.write import effective_dialect

W = 24
Names = Mapping[str, tuple[int, int, tuple[str, ...]]]
"""Name -> outputs, inputs, diffusers' layers that it is made of."""


def _attention(block: str, names: Mapping[str, str]) -> dict[str, tuple[int, int, tuple[str, ...]]]:
    own = block.replace(".", "_")
    return {f"{own}_{theirs}": (W, W, (f"{block}.{ours}",)) for theirs, ours in names.items()}


Z_IMAGE: Names = {
    **_attention("layers.29.attention", {"to_q": "to_q", "to_k": "to_k", "to_v": "to_v", "to_out_0": "to_out.0"}),
    "layers_0_feed_forward_w1": (64, W, ("layers.0.feed_forward.w1",)),
    "layers_0_feed_forward_w2": (W, 64, ("layers.0.feed_forward.w2",)),
    "layers_0_feed_forward_w3": (64, W, ("layers.0.feed_forward.w3",)),
}
QWEN: Names = {
    **_attention(
        "transformer_blocks.59.attn",
        {name: name for name in ("to_q", "to_k", "to_v", "add_q_proj", "add_k_proj", "add_v_proj", "to_add_out")}
        | {"to_out_0": "to_out.0"},
    ),
    **{
        f"transformer_blocks_0_{side}_{name.replace('.', '_')}": (out, into, (f"transformer_blocks.0.{side}_{name}",))
        for side in ("img", "txt")
        for name, out, into in (("mlp.net.0.proj", 96, W), ("mlp.net.2", W, 96), ("mod.1", 6 * W, W))
    },
}


KREA2: Names = {
    **{
        f"{theirs}_0_attn_{their_layer}": (W, W, (f"{ours}.0.attn.{layer}",))
        for theirs, ours in (
            ("blocks", "transformer_blocks"),
            ("txtfusion_layerwise_blocks", "text_fusion.layerwise_blocks"),
            ("txtfusion_refiner_blocks", "text_fusion.refiner_blocks"),
        )
        for their_layer, layer in (
            ("wq", "to_q"), ("wk", "to_k"), ("wv", "to_v"), ("wo", "to_out.0"), ("gate", "to_gate"),
        )
    },
    **{
        f"blocks_27_mlp_{name}": (out, into, (f"transformer_blocks.27.ff.{name}",))
        for name, out, into in (("gate", 64, W), ("up", 64, W), ("down", W, 64))
    },
    "first": (W, 8, ("img_in",)), "last_linear": (8, W, ("final_layer.linear",)),
    "tmlp_0": (W, 8, ("time_embed.linear_1",)), "tmlp_2": (W, W, ("time_embed.linear_2",)),
    "tproj_1": (6 * W, W, ("time_mod_proj",)),
    "txtmlp_1": (W, W, ("txt_in.linear_1",)), "txtmlp_3": (W, W, ("txt_in.linear_2",)),
}  # fmt: skip


def _flux(block: int, single: int, gated: int, mlps: tuple[str, str], singles: Names, width: int = W) -> Names:
    """Double and single blocks of the original code; ``gated``: how many halves the first layer of an MLP has."""
    first, second = mlps
    ours = f"transformer_blocks.{block}"
    attentions: Names = {
        f"double_blocks_{block}_{side}_attn_{name}": (
            rows * width,
            width,
            tuple(f"{ours}.attn.{part}" for part in parts),
        )
        for side, name, rows, parts in (
            ("img", "qkv", 3, ("to_q", "to_k", "to_v")),
            ("txt", "qkv", 3, ("add_q_proj", "add_k_proj", "add_v_proj")),
            ("img", "proj", 1, ("to_out.0",)),
            ("txt", "proj", 1, ("to_add_out",)),
        )
    }
    for side, name in (("img", "ff"), ("txt", "ff_context")):
        attentions = {
            **attentions,
            f"double_blocks_{block}_{side}_mlp_0": (gated * 3 * width, width, (f"{ours}.{name}.{first}",)),
            f"double_blocks_{block}_{side}_mlp_2": (width, 3 * width, (f"{ours}.{name}.{second}",)),
        }
    return {**attentions, **{f"single_blocks_{single}_{name}": shape for name, shape in singles.items()}}


FLUX2 = _flux(
    7, 47, 2, ("linear_in", "linear_out"),
    {
        "linear1": (9 * W, W, ("single_transformer_blocks.47.attn.to_qkv_mlp_proj",)),
        "linear2": (W, 4 * W, ("single_transformer_blocks.47.attn.to_out",)),
    },
)  # fmt: skip
_SINGLE = "single_transformer_blocks.37"
KONTEXT = _flux(
    18, 37, 1, ("net.0.proj", "net.2"),
    {
        "linear1": (7 * W, W, (*(f"{_SINGLE}.attn.to_{part}" for part in "qkv"), f"{_SINGLE}.proj_mlp")),
        "linear2": (W, 5 * W, (f"{_SINGLE}.proj_out",)),
    },
)  # fmt: skip
KLEIN = _flux(
    4, 19, 2, ("linear_in", "linear_out"),
    {
        "linear1": (9 * 3072, 3072, ("single_transformer_blocks.19.attn.to_qkv_mlp_proj",)),
        "linear2": (3072, 4 * 3072, ("single_transformer_blocks.19.attn.to_out",)),
    },
    width=3072,
)  # fmt: skip
"""In the size that it has, by which it is told from FLUX.2 [dev]."""
WRITTEN = [
    pytest.param("zimage", Z_IMAGE, "networks.lora_zimage", "z_image", id="zimage"),
    pytest.param("qwen-image", QWEN, "networks.lora_qwen_image", "qwen_image", id="qwen-image"),
    pytest.param("qwen-image", QWEN, "networks.lora_qwen_image", "qwen_image_edit", id="qwen-image-edit"),
    pytest.param("krea2", KREA2, "networks.lora_krea2", "krea2", id="krea2"),
    pytest.param("flux2", FLUX2, "networks.lora_flux_2", "flux_2_dev", id="flux2"),
    pytest.param("flux", KONTEXT, "networks.lora_flux", "flux_kontext", id="flux-kontext"),
]
"""The family that is told, the names, its module, and what it calls the family."""
ARCHITECTURES = {
    "z_image": "Z-Image", "qwen_image": "Qwen-Image", "qwen_image_edit": "Qwen-Image-Edit", "flux_2_dev": "Flux.2-dev",
    "krea2": "Krea-2", "flux_2_klein_4b": "Flux.2-klein-4b", "flux_kontext": "Flux.1-dev",
}  # fmt: skip
"""What it calls a family -> its ``modelspec.architecture``."""
RANK, ALPHA = 2, 1.0


def lora(out: int, into: int, draw: np.random.Generator) -> tuple[dict[str, Any], Any]:
    down, up = draw.normal(size=(RANK, into)), draw.normal(size=(out, RANK))
    return {"lora_down.weight": down, "lora_up.weight": up}, lambda: up @ down * ALPHA / RANK


def lokr(out: int, into: int, draw: np.random.Generator, *, whole: bool = False) -> tuple[dict[str, Any], Any]:
    """Whole matrices have a scale of 1 there, and alpha is what was asked for as the rank."""
    small, large = draw.normal(size=(2, 2)), draw.normal(size=(out // 2, into // 2))
    if whole:
        return {"lokr_w1": small, "lokr_w2": large}, lambda: np.kron(small, large)
    first, second = draw.normal(size=(out // 2, RANK)), draw.normal(size=(RANK, into // 2))
    parts = {"lokr_w1": small, "lokr_w2_a": first, "lokr_w2_b": second}
    return parts, lambda: np.kron(small, first @ second) * ALPHA / RANK


def whole_lokr(out: int, into: int, draw: np.random.Generator) -> tuple[dict[str, Any], Any]:
    return lokr(out, into, draw, whole=True)


def written(path: Path, names: Names, module: str, version: str, make: Any) -> dict[str, Any]:
    """A file as it writes one; name -> what gives the layer's update."""
    draw, tensors, updates = np.random.default_rng(0), dict[str, Any](), dict[str, Any]()
    for name, (out, into, _) in names.items():
        parts, updates[name] = make(out, into, draw)
        tensors |= {f"lora_unet_{name}.{part}": value.astype(np.float32) for part, value in parts.items()}
        tensors[f"lora_unet_{name}.alpha"] = np.array(ALPHA, np.float32)
    header = {
        "ss_network_module": module, "ss_network_dim": str(RANK), "ss_network_alpha": str(ALPHA),
        "ss_base_model_version": version, "ss_steps": "100", "modelspec.title": "ana",
        "modelspec.architecture": f"{ARCHITECTURES[version]}/lora",
    }  # fmt: skip
    save_file(tensors, path, header)
    return updates


@pytest.mark.parametrize("make", [lora, lokr, whole_lokr])
@pytest.mark.parametrize(("family", "names", "module", "version"), WRITTEN)
def test_every_layer_has_its_place_and_its_update(
    family: str, names: Names, module: str, version: str, make: Any, tmp_path: Path
) -> None:
    path = tmp_path / "ana.safetensors"
    updates = written(path, names, module if make is lora else "networks.lokr", version, make)
    file = read_lora(path)
    assert file.dialect is Dialect.KOHYA and families_name(file) == family
    found = understood(file)
    assert {place.path for place in found.layers} == {part for _, _, parts in names.values() for part in parts}
    for name, (_, _, parts) in names.items():
        made = np.concatenate([delta(found.layers[Place(DENOISER, part)]) for part in parts])
        assert np.allclose(made, updates[name](), rtol=1e-4, atol=1e-5), name


@pytest.mark.parametrize("dialect", [Dialect.DIFFUSERS, Dialect.COMFYUI], ids=str)
@pytest.mark.parametrize(("family", "names", "module", "version"), WRITTEN)
def test_converted_it_is_the_same(
    family: str, names: Names, module: str, version: str, dialect: Dialect, tmp_path: Path
) -> None:
    path, other = tmp_path / "ana.safetensors", tmp_path / "other.safetensors"
    written(path, names, module, version, lora)
    if effective_dialect(understood(read_lora(path)), dialect) is Dialect.KOHYA:
        return  # ComfyUI reads it as it is
    convert(path, dialect, other)
    before, after = understood(read_lora(path)), understood(read_lora(other))
    assert after.family == family and before.layers.keys() == after.layers.keys()
    assert all(np.allclose(delta(after.layers[place]), delta(part)) for place, part in before.layers.items())


@pytest.mark.parametrize("make", [lora, lokr])
def test_a_klein_is_told_by_its_width(make: Any, tmp_path: Path) -> None:
    path = tmp_path / "ana.safetensors"
    written(path, KLEIN, "networks.lora_flux_2", "flux_2_klein_4b", make)
    found = understood(read_lora(path))
    assert found.family == "flux2-klein"
    assert {place.path for place in found.layers} == {part for _, _, parts in KLEIN.values() for part in parts}


def test_the_families_that_are_told_have_the_layers_of_those_that_it_trains() -> None:
    for told, trained in (("qwen-image", "qwen-image-edit"), ("flux", "flux-kontext")):
        assert FAMILIES[told].architecture == FAMILIES[trained].architecture
