"""Messages about LoRAs that are given where a base model belongs, or without their base."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from tests.unit.loras.makers import adapter, layer, saved
from twinloop.families import FAMILIES
from twinloop.loras.adapter import Adapter, Place, families_name
from twinloop.loras.components import DENOISER
from twinloop.loras.lora import Dialect, read_lora
from twinloop.loras.whose import base_needed, given_as_base, of_another_family

HEADER = {"modelspec.architecture": "stable-diffusion-xl-v1-base/lora"}


def lora(folder: Path, family: str, **texts: str) -> Path:
    return saved(folder / f"{family}.safetensors", adapter(family), Dialect.DIFFUSERS, texts).path


@pytest.mark.parametrize(("family", "base"), [("sd15", "stable-diffusion-v1-5/"), ("flux", "black-forest-labs/FLUX.1")])
def test_as_a_base_it_is_called_a_lora_and_a_base_of_its_kind_is_named(family: str, base: str, tmp_path: Path) -> None:
    said = given_as_base(lora(tmp_path, family))
    assert f"is a LoRA (for {family}), not a base model" in said and f"such as {base}" in said and "--lora" in said


def test_a_model_is_no_lora_nor_is_what_cannot_be_read(tmp_path: Path) -> None:
    model, broken = tmp_path / "model.safetensors", tmp_path / "broken.safetensors"
    save_file({"model.diffusion_model.input_blocks.0.0.weight": np.zeros((320, 4, 3, 3), np.float32)}, model)
    broken.write_bytes(b"x" * 100)
    sdxl = FAMILIES["sdxl"]
    for path in (model, broken, tmp_path / "missing.safetensors", tmp_path / "model.gguf"):
        assert given_as_base(path) == base_needed(path, sdxl) == of_another_family(path, sdxl) == ""


def test_without_a_base_the_usual_one_does_for_its_own_family_only(tmp_path: Path) -> None:
    sdxl = FAMILIES["sdxl"]
    assert base_needed(lora(tmp_path, "sdxl"), sdxl) == ""
    said = base_needed(lora(tmp_path, "sd15"), sdxl)
    assert "is a LoRA for sd15" in said and "--base-model, such as stable-diffusion-v1-5/" in said


def test_layers_tell_the_family_where_the_header_is_silent(tmp_path: Path) -> None:
    path = lora(tmp_path, "sd15")
    assert "made for the family 'sd15', the base model is of 'sdxl'" in of_another_family(path, FAMILIES["sdxl"])
    assert of_another_family(path, FAMILIES["sd15"]) == ""
    assert of_another_family(lora(tmp_path, "sd15", **HEADER), FAMILIES["sdxl"]) == "", "its header says it is for it"


def test_siblings_of_one_architecture_share_their_loras(tmp_path: Path) -> None:
    assert of_another_family(lora(tmp_path, "flux"), FAMILIES["flux-kontext"]) == ""


OF_BOTH: Mapping[str, tuple[int, int]] = {
    **{f"transformer_blocks.0.attn.to_{name}": (24, 24) for name in "qkv"},
    "single_transformer_blocks.12.proj_mlp": (96, 24),
    "single_transformer_blocks.12.proj_out": (24, 120),
}
"""Layers that FLUX.1 and Chroma have, in the same sizes."""
TIME_OF_FLUX, TIME_OF_CHROMA = "transformer_blocks.0.norm1.linear", "distilled_guidance_layer.out_proj"


@pytest.mark.parametrize("dialect", [Dialect.DIFFUSERS, Dialect.KOHYA])
@pytest.mark.parametrize(
    ("more", "texts", "chroma", "flux"),
    [
        ((), {}, True, True),
        ((TIME_OF_FLUX,), {}, False, True),
        ((TIME_OF_CHROMA,), {}, True, False),
        ((), {"modelspec.architecture": "chroma/lora"}, True, False),
        ((), {"ss_base_model_version": "chroma"}, True, False),
        ((), {"modelspec.architecture": "flux-1-dev/lora"}, False, True),
        ((), {"ss_base_model_version": "flux1"}, False, True),
    ],
)
def test_chromas_loras_are_told_from_fluxs_where_anything_tells(
    dialect: Dialect, more: tuple[str, ...], texts: dict[str, str], chroma: bool, flux: bool, tmp_path: Path
) -> None:
    """Without a header and without what tells the time, a LoRA is FLUX.1's, which is seen more often; it may be worn on
    both.
    """
    sizes = {**OF_BOTH, **dict.fromkeys(more, (24, 24))}
    written = "chroma" if TIME_OF_CHROMA in more else "flux"
    made = Adapter(written, {Place(DENOISER, path): layer(*size, 4, 4.0) for path, size in sizes.items()})
    path = saved(tmp_path / "x.safetensors", made, dialect, texts).path
    assert families_name(read_lora(path)) == ("flux" if flux else "chroma")
    for name, fits in (("chroma", chroma), ("flux", flux)):
        said = of_another_family(path, FAMILIES[name])
        assert said == "" if fits else f"the base model is of '{name}'" in said
    assert "made for the family 'flux'" in of_another_family(path, FAMILIES["flux2"]) or not flux
