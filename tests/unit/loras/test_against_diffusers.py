"""diffusers' own readers, as judges: they find in our kohya and ComfyUI files what our diffusers files say."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")

from diffusers.loaders import lora_conversion_utils as theirs  # noqa: E402
from safetensors.torch import load_file  # noqa: E402

from tests.unit.loras.makers import PATHS, adapter, delta, layer, saved  # noqa: E402
from twinloop.loras.adapter import Adapter, Place  # noqa: E402
from twinloop.loras.components import DENOISER  # noqa: E402
from twinloop.loras.lora import Dialect, Layer, Update  # noqa: E402

Reader = Callable[[dict[str, Any]], dict[str, Any]]


def unet(state: dict[str, Any]) -> dict[str, Any]:
    """As the pipelines of UNets do it, alphas multiplied in, and the old names of attention layers made new."""
    mapped = theirs._maybe_map_sgm_blocks_to_diffusers(state, SimpleNamespace(layers_per_block=2))
    found, alphas = theirs._convert_non_diffusers_lora_to_diffusers(mapped)
    scales = {re.sub(r"(_lora\.down\.weight)?\.alpha$", "", name): alpha for name, alpha in alphas.items()}
    made = {}
    for name, tensor in found.items():
        stem, which = re.fullmatch(r"(.+)[._]lora\.(down|up)\.weight", name).groups()  # type: ignore[union-attr]
        path = re.sub(r"to_out$", "to_out.0", stem.replace(".processor.", "."))
        made[f"{path}.lora_{'A' if which == 'down' else 'B'}.weight"] = (
            tensor if which == "down" else tensor * scales[stem] / tensor.shape[1]
        )
    return made


def krea2(state: dict[str, Any]) -> dict[str, Any]:
    """Their reader takes no alphas: these are multiplied in first, as who trains without them has it."""
    scales = {name.removesuffix(".alpha"): state.pop(name) for name in list(state) if name.endswith(".alpha")}
    for name, alpha in scales.items():
        state[f"{name}.lora_B.weight"] *= alpha / state[f"{name}.lora_A.weight"].shape[0]
    return dict(theirs._convert_non_diffusers_krea2_lora_to_diffusers(state))


READERS: dict[tuple[str, Dialect], Reader] = {
    ("sd15", Dialect.KOHYA): unet,
    ("sdxl", Dialect.KOHYA): unet,
    ("flux2", Dialect.KOHYA): theirs._convert_kohya_flux2_lora_to_diffusers,
    ("flux2-klein", Dialect.KOHYA): theirs._convert_kohya_flux2_lora_to_diffusers,
    ("qwen-image", Dialect.KOHYA): theirs._convert_non_diffusers_qwen_lora_to_diffusers,
    ("qwen-image", Dialect.COMFYUI): theirs._convert_non_diffusers_qwen_lora_to_diffusers,
    ("krea2", Dialect.COMFYUI): krea2,
    ("zimage", Dialect.KOHYA): theirs._convert_non_diffusers_z_image_lora_to_diffusers,
    ("zimage", Dialect.COMFYUI): theirs._convert_non_diffusers_z_image_lora_to_diffusers,
}


def effects(found: dict[str, Any], seed: int = 0) -> dict[str, np.ndarray[Any, Any]]:
    """What each layer does to a random vector; cheaper than the whole matrix."""
    made = {}
    for name, up in found.items():
        if name.endswith(".lora_B.weight"):
            down = found[name.replace(".lora_B.", ".lora_A.")].double().flatten(1).numpy()
            path = name.removesuffix(".lora_B.weight").removeprefix("transformer.").removeprefix("unet.")
            made[path] = up.double().flatten(1).numpy() @ (down @ vector(down.shape[1], seed))
    return made


def effect(part: Layer, seed: int = 0) -> np.ndarray[Any, Any]:
    down = part.down.values()
    return np.asarray(part.up.values() @ (down @ vector(down.shape[1], seed)) * part.scale)


def vector(size: int, seed: int) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).normal(size=size)


@pytest.mark.parametrize(("family", "dialect"), READERS, ids=str)
def test_they_read_what_we_write(family: str, dialect: Dialect, tmp_path: Path) -> None:
    made = adapter(family, rank=4, alpha=2.0, encoders=False)
    file = saved(tmp_path / "x.safetensors", made, dialect)
    found = effects(READERS[family, dialect](load_file(file.path)))
    for place, part in made.layers.items():
        assert np.allclose(found[place.path], effect(part), atol=1e-3), place.path
    assert len(found) == len(made.layers)


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("family", ["flux", "chroma"])
def test_they_read_our_flux(family: str, shared: bool, tmp_path: Path) -> None:
    """Their reader knows FLUX.1 at its real width only."""
    width, block = 3072, "single_transformer_blocks.0"
    names = {
        f"{block}.attn.to_q": width,
        f"{block}.attn.to_k": width,
        f"{block}.attn.to_v": width,
        f"{block}.proj_mlp": 4 * width,
    }
    layers = {
        Place(DENOISER, name): layer(out, width, 2, 1.0, seed=0 if shared else n)
        for n, (name, out) in enumerate(names.items())
    }
    modulation = {"transformer_blocks.0.norm1.linear": 6 * width, "norm_out.linear": 2 * width}
    for name, out in {
        "transformer_blocks.0.attn.to_out.0": width,
        **(modulation if family == "flux" else {}),
    }.items():
        layers[Place(DENOISER, name)] = layer(out, width, 2, 2.0)
    file = saved(tmp_path / "x.safetensors", Adapter(family, layers), Dialect.KOHYA)
    fused = file.layers["lora_unet_single_blocks_0_linear1"]
    assert fused.rank == (2 if shared else 8)
    found = effects(theirs._convert_kohya_flux_lora_to_diffusers(load_file(file.path)))
    for place, part in layers.items():
        assert np.allclose(found[place.path], effect(part), rtol=1e-5, atol=1e-2), place.path


def test_they_tell_fluxs_last_layer_from_the_blocks(tmp_path: Path) -> None:
    """All are called ``proj_out``; each gets its own rank and alpha from our header."""
    from diffusers import FluxTransformer2DModel

    sizes = {
        "patch_size": 1,
        "in_channels": 16,
        "num_layers": 1,
        "num_single_layers": 2,
        "attention_head_dim": 16,
        "num_attention_heads": 2,
    }
    model = FluxTransformer2DModel(**sizes, joint_attention_dim=32, pooled_projection_dim=32, axes_dims_rope=[4, 6, 6])
    layers: dict[Place, Update] = {
        Place(DENOISER, "proj_out"): layer(16, 32, 5, 1.0),
        Place(DENOISER, "single_transformer_blocks.0.proj_out"): layer(32, 160, 2, 2.0, seed=1),
        Place(DENOISER, "single_transformer_blocks.1.proj_out"): layer(32, 160, 3, 2.0, seed=2),
        Place(DENOISER, "transformer_blocks.0.attn.to_q"): layer(32, 32, 2, 2.0, seed=3),
    }
    file = saved(tmp_path / "x.safetensors", Adapter("flux", layers), Dialect.DIFFUSERS)
    told = json.loads(file.texts["lora_adapter_metadata"])
    model.load_lora_adapter(load_file(file.path), prefix="transformer", metadata=told)
    worn = {name: part for name, part in model.named_modules() if hasattr(part, "scaling")}
    assert {name: (part.r["default_0"], part.scaling["default_0"]) for name, part in worn.items()} == {
        place.path: (part.rank, pytest.approx(part.scale)) for place, part in layers.items()
    }
    ups = {name: part.lora_B["default_0"].weight.detach().numpy() for name, part in worn.items()}
    assert all(np.array_equal(ups[p.path], part.up.values()) for p, part in layers.items() if isinstance(part, Layer))


def test_every_family_is_here_or_has_no_reader_there() -> None:
    assert {family for family, _ in READERS} | {"flux", "chroma", "sd35"} == set(PATHS)


def test_the_last_layers_of_flux2_and_sd35_lie_as_in_the_original(tmp_path: Path) -> None:
    """As diffusers turns the rows of the original's weights."""
    from diffusers.loaders import single_file_utils

    for family, path, original, turned in (
        (
            "flux2",
            "norm_out.linear",
            "final_layer.adaLN_modulation.1",
            single_file_utils.convert_flux2_transformer_checkpoint_to_diffusers,
        ),
        ("sd35", "norm_out.linear", "final_layer.adaLN_modulation.1", None),
        ("sd35", "pos_embed.proj", "x_embedder.proj", None),
    ):
        part = layer(16, 8, 2, 1.0) if path == "norm_out.linear" else layer(16, 4, 2, 1.0)
        file = saved(tmp_path / "x.safetensors", Adapter(family, {Place(DENOISER, path): part}), Dialect.COMFYUI)
        ((name, update),) = file.layers.items()
        assert name == f"diffusion_model.{original}"
        whole = torch.from_numpy(delta(update))
        if turned is not None:
            whole = turned({f"{original}.weight": whole})[f"{path}.weight"]
        elif path == "norm_out.linear":
            whole = single_file_utils.swap_scale_shift(whole, dim=8)
        assert np.allclose(whole.numpy(), delta(part), atol=1e-6), (family, path)
