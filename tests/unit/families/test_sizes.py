"""Which model of its family a single file is, and what is no model of any: by headers as the real files have them."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from twinloop.families import FAMILIES
from twinloop.families.sizes import differing, in_words, size_of
from twinloop.families.strangers import is_packed, stranger

Shapes = dict[str, tuple[int, ...]]


def blocks(**counts: int) -> Shapes:
    return {f"{stack}.{number}.weight": (4, 4) for stack, count in counts.items() for number in range(count)}


def sd3(count: int, *more: str) -> Shapes:
    return {**blocks(joint_blocks=count), "x_embedder.proj.weight": (4, 16, 2, 2), **dict.fromkeys(more, (4,))}


def flux(double: int, single: int, channels: int, *more: str) -> Shapes:
    found = blocks(double_blocks=double, single_blocks=single)
    return {**found, "img_in.weight": (4, channels), **dict.fromkeys(more, (4, 4))}


GUIDED, NORM = "guidance_in.in_layer.weight", "joint_blocks.0.x_block.attn.ln_q.weight"
DUAL = "joint_blocks.0.x_block.attn2.qkv.weight"
MARK_2511 = "__index_timestep_zero__"
QWEN = {**blocks(transformer_blocks=60), "img_in.weight": (4, 64)}
HERE: Mapping[str, tuple[str, str, Shapes, str]] = {
    "SD 3.5 Medium": ("sd35", "x", sd3(24, DUAL, NORM), "stabilityai/stable-diffusion-3.5-medium"),
    "SD 3.5 Large": ("sd35", "x", sd3(38, NORM), "stabilityai/stable-diffusion-3.5-large"),
    "SD 3.5 Large Turbo": ("sd35", "sd3.5_large_turbo", sd3(38, NORM), "stabilityai/stable-diffusion-3.5-large"),
    "SD 3 Medium": ("sd35", "x", sd3(24), "stabilityai/stable-diffusion-3-medium-diffusers"),
    "FLUX.1 dev": ("flux", "x", flux(19, 38, 64, GUIDED), "black-forest-labs/FLUX.1-dev"),
    "FLUX.1 schnell": ("flux", "x", flux(19, 38, 64), "black-forest-labs/FLUX.1-schnell"),
    "FLUX.1 Kontext": ("flux-kontext", "x", flux(19, 38, 64, GUIDED), "black-forest-labs/FLUX.1-Kontext-dev"),
    "FLUX.2 dev": ("flux2", "x", flux(8, 48, 128, GUIDED), "black-forest-labs/FLUX.2-dev"),
    "Klein 4B": ("flux2-klein", "flux-2-klein-4b", flux(5, 20, 128), "black-forest-labs/FLUX.2-klein-base-4B"),
    "Klein 9B": ("flux2-klein", "flux-2-klein-9b", flux(8, 24, 128), "black-forest-labs/FLUX.2-klein-base-9B"),
    "Qwen-Image": ("qwen-image", "x", QWEN, "Qwen/Qwen-Image"),
    "Qwen-Image-Edit-2509": ("qwen-image-edit", "x", QWEN, "Qwen/Qwen-Image-Edit-2509"),
    "2511 by ComfyUI's mark": ("qwen-image-edit", "x", {**QWEN, MARK_2511: ()}, "Qwen/Qwen-Image-Edit-2511"),
    "2511 by its name": ("qwen-image-edit", "Qwen_Image_Edit_2511_bf16", QWEN, "Qwen/Qwen-Image-Edit-2511"),
    "Z-Image": ("zimage", "z_image_bf16", blocks(layers=30, noise_refiner=2), "Tongyi-MAI/Z-Image"),
    "Z-Image-Turbo": ("zimage", "Z_Image_Turbo_bf16", blocks(layers=30), "Tongyi-MAI/Z-Image-Turbo"),
    "SDXL": ("sdxl", "x", {"input_blocks.0.0.weight": (320, 4, 3, 3)}, "stabilityai/stable-diffusion-xl-base-1.0"),
    "SD 1.5": ("sd15", "x", {"input_blocks.0.0.weight": (320, 4, 3, 3)}, "stable-diffusion-v1-5/stable-diffusion-v1-5"),
    "names that nobody knows": ("flux", "x", {"some.weight": (2,)}, "black-forest-labs/FLUX.1-dev"),
}


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
    "Kontext without guidance": ("flux-kontext", flux(19, 38, 64)),
    "a pruned Qwen-Image": ("qwen-image", {**blocks(transformer_blocks=40), "img_in.weight": (4, 64)}),
    "Qwen-Image-Layered": ("qwen-image", {**QWEN, "time_text_embed.addition_t_embedding.weight": (2, 4)}),
    "Z-Image-Omni": ("zimage", {**blocks(layers=30), "siglip_embedder.1.weight": (4, 4)}),
    "a FLUX.1 of more channels": ("flux", flux(19, 38, 128, GUIDED)),
}


@pytest.mark.parametrize("what", NOT_HERE)
def test_a_file_of_another_build_is_none_of_them(what: str) -> None:
    name, shapes = NOT_HERE[what]
    assert size_of(FAMILIES[name].sizes, FAMILIES[name].single_file.layout.told(shapes), "x") is None


@pytest.mark.parametrize("name", ["sd35", "flux", "flux2", "flux2-klein", "qwen-image", "zimage"])
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
    "Chroma": ({"distilled_guidance_layer.in_proj.bias": (4,)}, "a Chroma"),
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
