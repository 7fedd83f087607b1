"""Which model of its family a single file is, and what is no model of any: by headers as the real files have them."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from tests.unit.families.sized_folders import GUIDED, HERE, NORM, ONE_FOR_ALL, QWEN, Shapes, blocks, flux, sd3
from twinloop.families import FAMILIES
from twinloop.families.sizes import differing, in_words, size_of
from twinloop.families.strangers import is_packed, stranger


@pytest.mark.parametrize("prefix", ["", "model.diffusion_model."])
@pytest.mark.parametrize("what", HERE)
def test_a_file_gets_the_reference_of_the_model_that_it_is(what: str, prefix: str) -> None:
    name, file, shapes, reference = HERE[what]
    family = FAMILIES[name]
    told = family.single_file.layout.told({f"{prefix}{tensor}": shape for tensor, shape in shapes.items()})
    size = size_of(family.sizes, told, file)
    assert size is not None and (size.reference or family.reference) == reference
    assert stranger(shapes) == ""


NOT_HERE: Mapping[str, tuple[str, Shapes]] = {
    "a pruned SD 3.5": ("sd35", sd3(30, NORM)),
    "a pruned FLUX.1": ("flux", flux(8, 38, 64, GUIDED)),
    "a pruned Chroma": ("chroma", flux(19, 30, 64, ONE_FOR_ALL)),
    "Kontext without guidance": ("flux-kontext", flux(19, 38, 64)),
    "a pruned Qwen-Image": ("qwen-image", {**blocks(transformer_blocks=40), "img_in.weight": (4, 64)}),
    "Qwen-Image-Layered": ("qwen-image", {**QWEN, "time_text_embed.addition_t_embedding.weight": (2, 4)}),
    "a pruned Krea 2": ("krea2", {**blocks(blocks=20), "first.weight": (4, 64)}),
    "Z-Image-Omni": ("zimage", {**blocks(layers=30), "siglip_embedder.1.weight": (4, 4)}),
    "a FLUX.1 of more channels": ("flux", flux(19, 38, 128, GUIDED)),
}


@pytest.mark.parametrize("what", NOT_HERE)
def test_a_file_of_another_build_is_none_of_them(what: str) -> None:
    name, shapes = NOT_HERE[what]
    assert size_of(FAMILIES[name].sizes, FAMILIES[name].single_file.layout.told(shapes), "x") is None


@pytest.mark.parametrize("name", ["sd35", "flux", "flux2", "flux2-klein", "krea2", "qwen-image", "zimage"])
def test_the_names_of_diffusers_tell_what_its_configuration_says(name: str, tmp_path: object) -> None:
    """A real denoiser of the family, however small: what its tensors tell is what its configuration holds."""
    pytest.importorskip("diffusers")
    import json
    from pathlib import Path

    from tests.helpers.tiny_families import build_tiny
    from twinloop.families.single_files import read_header

    folder = build_tiny(name, Path(str(tmp_path)) / "model") / "transformer"
    told = FAMILIES[name].single_file.layout.told(read_header(next(folder.glob("*.safetensors"))).shapes)
    layout = FAMILIES[name].single_file.layout
    assert told.keys() == {*layout.stacks, *layout.inputs, *layout.switches}
    assert differing(json.loads((folder / "config.json").read_text()), told) == []


STRANGERS: Mapping[str, tuple[Shapes, str]] = {
    "refiner": ({"conditioner.embedders.0.model.transformer.resblocks.9.mlp.c_proj.bias": (4,)}, "an SDXL refiner"),
    "inpainting": ({"model.diffusion_model.input_blocks.0.0.weight": (320, 9, 3, 3)}, "an inpainting model"),
    "pix2pix": ({"model.diffusion_model.input_blocks.0.0.weight": (320, 8, 3, 3)}, "an InstructPix2Pix"),
    "SD 2": ({"cond_stage_model.model.token_embedding.weight": (4, 4)}, "a Stable Diffusion 2"),
    "Fill": (flux(19, 38, 384, GUIDED), "a FLUX.1 Fill"),
    "Canny": ({**flux(19, 38, 128, GUIDED), "double_blocks.0.img_mod.lin.weight": (4, 4)}, "a FLUX.1 Canny or Depth"),
    "Radiance": (
        {"distilled_guidance_layer.in_proj.bias": (4,), "img_in_patch.weight": (4, 3, 4, 4)},
        "a Chroma Radiance model, which draws pixels",
    ),
    "VAE": ({"encoder.conv_in.weight": (4, 4), "decoder.conv_in.weight": (4, 4)}, "an autoencoder"),
    "T5": ({"encoder.block.0.layer.0.SelfAttention.q.weight": (4, 4)}, "a text encoder"),
    "LoRA": ({"lora_unet_double_blocks_0_img_attn_qkv.lora_down.weight": (4, 4)}, "a LoRA"),
}


@pytest.mark.parametrize("what", STRANGERS)
def test_what_is_no_such_model_is_called_by_its_name(what: str) -> None:
    shapes, words = STRANGERS[what]
    assert stranger(shapes).startswith(words)


@pytest.mark.parametrize("prefix", ["", "model.diffusion_model."])
def test_weights_in_4_bits_are_known_by_their_shape_or_by_what_lies_beside_them(prefix: str) -> None:
    assert is_packed({f"{prefix}img_in.weight": (98304, 1)})
    assert is_packed({f"{prefix}middle.weight": (4, 4), f"{prefix}middle.weight.quant_state.bitsandbytes__nf4": (80,)})
    assert not any(
        is_packed({prefix + name: shape for name, shape in shapes.items()}) for _, _, shapes, _ in HERE.values()
    )


def test_a_whole_checkpoint_with_its_autoencoder_is_no_autoencoder_alone() -> None:
    assert (
        stranger({"first_stage_model.encoder.conv_in.weight": (4,), "first_stage_model.decoder.conv_in.weight": (4,)})
        == ""
    )


def test_settings_for_people() -> None:
    assert in_words({"num_layers": 38, "guidance_embeds": False}) == "guidance_embeds no, num_layers 38"
