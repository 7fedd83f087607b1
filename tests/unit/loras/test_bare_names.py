"""Files whose layers are called by their path alone, and those that hold more than layers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from tests.unit.loras.makers import PATHS
from twinloop.errors import ModelFileError
from twinloop.families import FAMILIES
from twinloop.loras.adapter import Place, understood
from twinloop.loras.components import DENOISER
from twinloop.loras.family import family_of
from twinloop.loras.lora import Dialect, Layer, read_lora
from twinloop.loras.tensors import RawTensor
from twinloop.loras.write import named_layers, written

QUERY = "transformer_blocks.0.attn.to_q"


def pair(name: str, side: int = 8, ends: tuple[str, str] = ("lora_A.weight", "lora_B.weight")) -> dict[str, Any]:
    return {f"{name}.{ends[0]}": np.ones((2, side), np.float32), f"{name}.{ends[1]}": np.ones((side, 2), np.float32)}


@pytest.mark.parametrize(
    ("start", "ends"),
    [
        ("", ("lora_A.weight", "lora_B.weight")),
        ("", ("lora_A.default.weight", "lora_B.default.weight")),
        ("base_model.model.", ("lora_A.weight", "lora_B.weight")),
    ],
)
def test_bare_layers_are_the_denoisers(start: str, ends: tuple[str, str], tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    text = json.dumps({"r": 2, "lora_alpha": 1, "alpha_pattern": {"to_k": 4}})
    save_file(
        pair(start + QUERY, 8, ends) | pair(start + "transformer_blocks.0.attn.to_k", 8, ends),
        path,
        {"lora_adapter_metadata": text},
    )
    file = read_lora(path)
    assert file.dialect is Dialect.DIFFUSERS and file.bare and set(file.layers) >= {f"transformer.{QUERY}"}
    found = understood(file).layers
    assert found[Place(DENOISER, QUERY)].alpha == 1.0
    assert found[Place(DENOISER, "transformer_blocks.0.attn.to_k")].alpha == 4.0


@pytest.mark.parametrize("start", ["", "base_model.model."])
def test_all_layers_of_krea_2_may_be_bare(start: str, tmp_path: Path) -> None:
    """Under the makers' names, as ai-toolkit and diffusers' reader have them, and under diffusers'."""
    layers = {
        ours: theirs
        for theirs, (ours,) in FAMILIES["krea2"].lora_names.groups([path for path, _, _ in PATHS["krea2"]]).items()
    }
    for name, of in (("theirs", layers.values()), ("ours", layers)):
        path = tmp_path / f"{name}.safetensors"
        save_file({k: v for one in of for k, v in pair(start + one.removeprefix("diffusion_model.")).items()}, path)
        found = understood(read_lora(path))
        assert found.family == "krea2" and {place.path for place in found.layers} == layers.keys()


def test_pefts_own_configuration_lies_beside_the_file(tmp_path: Path) -> None:
    path = tmp_path / "adapter_model.safetensors"
    save_file(pair("base_model.model.down_blocks.0.attentions.0.proj_in"), path)
    assert [part.alpha for part in read_lora(path).layers.values()] == [None]
    (tmp_path / "adapter_config.json").write_text(json.dumps({"r": 2, "lora_alpha": 8, "alpha_pattern": {}}))
    ((name, part),) = read_lora(path).layers.items()
    assert name == "unet.down_blocks.0.attentions.0.proj_in" and part.alpha == 8.0


def test_a_whole_model_is_still_called_one(tmp_path: Path) -> None:
    save_file({f"{QUERY}.weight": np.ones((8, 8), np.float32)}, tmp_path / "x.safetensors")
    with pytest.raises(ModelFileError, match="a whole model"):
        read_lora(tmp_path / "x.safetensors")


def test_one_layer_under_two_names_is_refused(tmp_path: Path) -> None:
    save_file(pair(QUERY) | pair(f"base_model.model.{QUERY}"), tmp_path / "x.safetensors")
    with pytest.raises(ModelFileError, match=r"x\.safetensors: the layer .* under two names"):
        read_lora(tmp_path / "x.safetensors")


def test_trained_words_lie_beside_the_layers(tmp_path: Path) -> None:
    words = {"bundle_emb.ohwx.string_to_param.*": np.ones((1, 8), np.float32)}
    save_file(words | pair("lora_unet_mid_block_attentions_0_proj_in"), tmp_path / "x.safetensors")
    file = read_lora(tmp_path / "x.safetensors").plain()
    assert file.others == tuple(words) and len(file.layers) == 1 and file.dialect is Dialect.KOHYA


def test_layers_that_grow_are_looked_at_but_not_converted(tmp_path: Path) -> None:
    size = {"diffusion_model.img_in.reshape_weight": np.array([8.0, 8.0], np.float32)}
    save_file(size | pair("diffusion_model.img_in"), tmp_path / "x.safetensors")
    file = read_lora(tmp_path / "x.safetensors")
    assert file.method == "LoRA that changes the sizes of layers" and len(file.layers) == 1
    with pytest.raises(ModelFileError, match="can be looked at"):
        file.plain()


def thin(out: int, into: int) -> Layer:
    return Layer(
        RawTensor("F16", np.zeros((1, into), np.float16)), RawTensor("F16", np.zeros((out, 1), np.float16)), None
    )


def double_blocks(count: int, *extra: str) -> Mapping[str, Layer]:
    names = ("attn.to_q", *extra)
    wide = {"ff.net.0.proj": (12288, 3072), "ff_context.net.2": (3072, 12288)}
    return {
        f"transformer_blocks.{n}.{name}": thin(*wide.get(name, (3072, 3072))) for n in range(count) for name in names
    }


def test_flux_is_told_by_its_double_blocks_where_these_tell_it() -> None:
    assert family_of(double_blocks(19, "ff.net.0.proj"), (), {}) == "flux"
    assert family_of(double_blocks(2, "ff_context.net.2"), (), {}) == "flux"
    assert family_of(double_blocks(20, "ff_context.net.2"), (), {}) != "flux"  # as many as FLUX.1 does not have
    assert family_of(double_blocks(2), (), {}) == ""
    assert family_of(double_blocks(2, "attn1.to_q", "ff.net.0.proj"), (), {}) == ""


@pytest.mark.parametrize("dialect", [Dialect.KOHYA, Dialect.COMFYUI])
def test_names_that_depend_on_the_family_are_not_guessed(dialect: Dialect, tmp_path: Path) -> None:
    save_file(pair(f"transformer.{QUERY}"), tmp_path / "x.safetensors")
    told = understood(read_lora(tmp_path / "x.safetensors"))
    with pytest.raises(ModelFileError, match="cannot be told from its layers"):
        written(told, dialect, {})
    known = understood(read_lora(tmp_path / "x.safetensors"), "qwen-image")
    assert all("transformer_blocks" in name for name in named_layers(known, dialect))
    flux = understood(read_lora(tmp_path / "x.safetensors"), "flux")
    assert all("double_blocks" in name for name in named_layers(flux, dialect))


def test_names_that_came_from_such_a_program_go_back_to_it(tmp_path: Path) -> None:
    save_file(pair(f"diffusion_model.{QUERY}"), tmp_path / "x.safetensors")
    told = understood(read_lora(tmp_path / "x.safetensors"))
    assert told.family == "" and list(named_layers(told, Dialect.COMFYUI)) == [f"diffusion_model.{QUERY}"]
