"""A base model's family and preset, told without reading weights."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from tests.helpers.tiny_families import build_tiny
from twinloop.families import FAMILIES, distilled, family_of_preset, preset_for
from twinloop.families.recognise import (
    family_of_lora,
    family_of_tensors,
    index_in,
    likely_family_of_lora,
    lora_suits,
)
from twinloop.families.single_files import read_header, tensor_names

SD2 = ("model.diffusion_model.input_blocks.0.0.weight", "cond_stage_model.model.transformer.resblocks.0.ln_1.weight")


@pytest.mark.parametrize(
    ("base", "preset"),
    [
        ("stabilityai/stable-diffusion-xl-base-1.0", "sdxl"),
        ("cagliostrolab/animagine-xl-3.1", "animagine"),
        ("circlestone-labs/Anima-Base-v1.0-Diffusers", "anima"),
        ("someone/animaPencilXL", "sdxl"),
        ("OnomaAIResearch/Illustrious-XL-v1.0", "illustrious"),
        ("./ponyDiffusionV6XL.safetensors", "pony"),
        ("stable-diffusion-v1-5/stable-diffusion-v1-5", "sd15"),
        ("stabilityai/stable-diffusion-3.5-large", "sd35"),
        ("stabilityai/stable-diffusion-3.5-large-turbo", "sd35-turbo"),
        ("sd3.5_large_turbo.safetensors", "sd35-turbo"),
        ("SimianLuo/LCM_Dreamshaper_v7", "sd15"),
        ("black-forest-labs/FLUX.1-dev", "flux"),
        ("black-forest-labs/FLUX.1-schnell", "flux-schnell"),
        ("black-forest-labs/FLUX.2-dev", "flux2"),
        ("black-forest-labs/FLUX.2-klein-4B", "flux2-klein"),
        ("black-forest-labs/FLUX.2-klein-base-9B", "flux2-klein-base"),
        ("Tongyi-MAI/Z-Image", "zimage"),
        ("Tongyi-MAI/Z-Image-Turbo", "zimage-turbo"),
        ("z_image_turbo_bf16.safetensors", "zimage-turbo"),
        ("Qwen/Qwen-Image", "qwen-image"),
        ("Qwen/Qwen-Image-Edit", "qwen-image-edit"),
        ("Qwen/Qwen-Image-Edit-2509", "qwen-image-edit-plus"),
        ("qwen_image_edit_2511_bf16.safetensors", "qwen-image-edit-plus"),
        ("krea/Krea-2-Raw", "krea2"),
        ("krea/Krea-2-Turbo", "krea2-turbo"),
        ("krea2_turbo_bf16.safetensors", "krea2-turbo"),
        ("black-forest-labs/FLUX.1-Krea-dev", "flux"),
        ("black-forest-labs/FLUX.1-Kontext-dev", "flux-kontext"),
        ("lodestones/Chroma1-HD", "chroma"),
        ("lodestones/Chroma1-Base", "chroma"),
        ("chroma-unlocked-v48-detail-calibrated.safetensors", "chroma"),
        ("someone/anything", "sdxl"),
        ("nano", "nano"),
    ],
)
def test_a_name_tells(base: str, preset: str) -> None:
    assert preset_for(base) == preset


@pytest.mark.parametrize(
    ("base", "word"),
    [
        ("stabilityai/sdxl-turbo", "turbo"),
        ("ByteDance/SDXL-Lightning", "lightning"),
        ("models/realvisxlV40_v40LightningBakedvae.safetensors", "lightning"),
        ("ByteDance/Hyper-SD", "hyper"),
        ("SimianLuo/LCM_Dreamshaper_v7", "lcm"),
        ("lodestones/Chroma1-Flash", "flash"),
        ("lodestones/Chroma1-HD", ""),
        ("models/hyperrealism_v3.safetensors", ""),
        ("stabilityai/stable-diffusion-3.5-large-turbo", ""),
        ("Tongyi-MAI/Z-Image-Turbo", ""),
        ("krea/Krea-2-Turbo", ""),
        ("stabilityai/stable-diffusion-xl-base-1.0", ""),
    ],
)
def test_the_name_of_a_distilled_model_is_taken_at_its_word(base: str, word: str) -> None:
    """Where a preset of its own says nothing of it."""
    preset = preset_for(base)
    said = distilled(base, family_of_preset(preset).preset(preset))
    assert said.startswith(f"By its name ({word})") if word else said == ""


@pytest.mark.parametrize(("name", "kind"), [(name, kind) for name, family in FAMILIES.items() for kind in family.kinds])
def test_a_folder_tells_more_than_its_name(name: str, kind: str, tmp_path: Path) -> None:
    folder = tmp_path / "sdxl-or-flux"
    folder.mkdir()
    (folder / "model_index.json").write_text(json.dumps({"_class_name": kind}))
    assert preset_for(str(folder)) in FAMILIES[name].presets


@pytest.mark.parametrize(
    ("kind", "preset"),
    [("QwenImageEditPipeline", "qwen-image-edit"), ("QwenImageEditPlusPipeline", "qwen-image-edit-plus")],
)
@pytest.mark.parametrize("name", ["my-base", "Qwen-Image-Edit"])
def test_a_folders_pipeline_chooses_where_its_name_does_not(kind: str, preset: str, name: str, tmp_path: Path) -> None:
    folder = tmp_path / name
    folder.mkdir()
    (folder / "model_index.json").write_text(json.dumps({"_class_name": kind}))
    assert preset_for(str(folder)) == preset


def test_an_index_of_blocks_names_classes_of_parts_that_were_not_loaded_when_it_was_written(tmp_path: Path) -> None:
    spec = {"pretrained_model_name_or_path": "me/mine", "type_hint": ["transformers", "Qwen3Model"]}
    index = {
        "_class_name": "AnimaModularPipeline", "text_encoder": [None, None, spec], "vae": ["diffusers", "Mine", {}],
        "tokenizer": [None, None], "layers": [2, 5, 8],
    }  # fmt: skip
    (tmp_path / "modular_model_index.json").write_text(json.dumps(index))
    found = index_in(tmp_path)
    assert found["text_encoder"] == ["transformers", "Qwen3Model"] and found["vae"] == ["diffusers", "Mine"]
    assert {name: found[name] for name in ("tokenizer", "layers")} == {"tokenizer": [None, None], "layers": [2, 5, 8]}
    (tmp_path / "modular_model_index.json").write_text("[]")
    with pytest.raises(ValueError, match="it is no object"):
        index_in(tmp_path)


def test_the_name_chooses_among_the_presets_of_a_folders_family(tmp_path: Path) -> None:
    folder = tmp_path / "Z_Image_Turbo"
    folder.mkdir()
    (folder / "model_index.json").write_text(json.dumps({"_class_name": "ZImagePipeline"}))
    assert preset_for(str(folder)) == "zimage-turbo"


@pytest.mark.parametrize("name", sorted(FAMILIES))
@pytest.mark.parametrize("prefix", ["", "model.diffusion_model."])
def test_the_tensors_of_a_single_file_tell(name: str, prefix: str, tmp_path: Path) -> None:
    family = FAMILIES[name]
    if prefix and family.single_file.whole:
        pytest.skip("whole checkpoints have one form only")
    marks = [mark for mark in family.single_file.marks[0] if not mark.startswith("!")]
    path = tmp_path / f"pony-{name}.safetensors"
    save_file({f"{prefix}{mark}": np.zeros(1, np.float32) for mark in marks}, path)
    found = family_of_tensors(tensor_names(path) or ())
    assert found is not None and found.single_file is family.single_file  # Kontext's denoiser has the names of Flux's
    assert preset_for(str(path)) in family.presets


@pytest.mark.parametrize("name", [name for name, family in FAMILIES.items() if not family.single_file.whole])
@pytest.mark.parametrize("prefix", ["", "model.diffusion_model."])
def test_the_tensors_of_a_denoiser_in_diffusers_names_tell(name: str, prefix: str, tmp_path: Path) -> None:
    """As ``save_pretrained`` writes them: of a tiny model, under a name that says nothing."""
    pytest.importorskip("diffusers")
    folder, family = build_tiny(name, tmp_path / "folder"), FAMILIES[name]
    names = tensor_names(next((folder / family.denoiser).glob("*.safetensors"))) or []
    path = tmp_path / "mine.safetensors"
    save_file({f"{prefix}{one}": np.zeros(1, np.float32) for one in names}, path)
    found = family_of_tensors(tensor_names(path) or ())
    assert found is not None and found.single_file is family.single_file
    assert preset_for(str(path)) in {*found.presets}


@pytest.mark.parametrize(
    ("family", "file", "preset"),
    [
        ("krea2", "turbo", "krea2-turbo"),  # as its makers call it
        ("krea2", "raw", "krea2"),
        ("krea2", "krea-2-mix-turbo", "krea2-turbo"),
        ("krea2", "myKreaTurbo_v2", "krea2-turbo"),
        ("zimage", "myZitTurbo_v2", "zimage-turbo"),
        ("sdxl", "myTurbo_v2", "sdxl"),
    ],
)
def test_a_word_in_a_files_name_tells_models_apart_whose_tensors_are_alike(
    family: str, file: str, preset: str, tmp_path: Path
) -> None:
    """As it chooses their configuration: where both are not of one model, Turbo is drawn with Raw's steps."""
    marks = [mark for mark in FAMILIES[family].single_file.marks[0] if not mark.startswith("!")]
    path = tmp_path / f"{file}.safetensors"
    save_file({mark: np.zeros(1, np.float32) for mark in marks}, path)
    assert preset_for(str(path)) == preset


def test_other_kinds_in_diffusers_names_are_not_taken_for_ours() -> None:
    blocks = ["single_transformer_blocks.0.proj_mlp.weight", "transformer_blocks.0.attn.norm_added_k.weight"]
    assert family_of_tensors([*blocks, "distilled_guidance_layer.in_proj.bias", "context_embedder.weight"]) is None
    # Chroma has its pixels packed before they come in
    assert family_of_tensors([*blocks, "distilled_guidance_layer.in_proj.bias", "x_embedder.weight"]) is not None
    video = ["time_text_embed.text_embedder.linear_1.weight", "context_embedder.proj_in.weight"]
    assert family_of_tensors([*blocks, *video]) is None


def test_other_kinds_of_models_are_not_taken_for_ours() -> None:
    assert family_of_tensors(SD2) is None
    assert (
        family_of_tensors(
            [
                "double_blocks.0.img_attn.norm.key_norm.scale",
                "single_blocks.0.linear1.weight",
                "distilled_guidance_layer.in_proj.bias",
            ]
        )
        is None
    )
    assert family_of_tensors(["cap_embedder.0.weight", "layers.0.adaLN_modulation.1.weight"]) is None  # Lumina 2


def test_a_file_that_cannot_be_read_is_judged_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "flux-dev.safetensors").write_bytes(b"junk")
    assert preset_for(str(tmp_path / "flux-dev.safetensors")) == "flux"
    assert tensor_names(tmp_path / "flux-dev.safetensors") is None


def test_a_header_tells_sizes_texts_and_what_is_missing(tmp_path: Path) -> None:
    save_file({"a": np.zeros((2, 3), np.float32)}, tmp_path / "x.safetensors", metadata={"made": "here"})
    header = read_header(tmp_path / "x.safetensors")
    assert (header.shapes, header.texts, header.missing) == ({"a": (2, 3)}, {"made": "here"}, 0)
    (tmp_path / "x.safetensors").write_bytes((tmp_path / "x.safetensors").read_bytes()[:-5])
    assert read_header(tmp_path / "x.safetensors").missing == 5


@pytest.mark.parametrize(
    "data", [b"", b"\x04\0\0\0\0\0\0\0[1,]", b"\x02\0\0\0\0\0\0\0[]", b"\xff" * 16, b'\x0b\0\0\0\0\0\0\0{"a":{"b":1}']
)
def test_a_damaged_header_is_a_value_error(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "x.safetensors").write_bytes(data)
    with pytest.raises(ValueError):
        read_header(tmp_path / "x.safetensors")


def test_the_texts_of_a_lora_tell() -> None:
    assert family_of_lora({"modelspec.architecture": "flux-1-dev/lora"}) is FAMILIES["flux"]
    assert family_of_lora({"ss_base_model_version": "sdxl_base_v1-0"}) is FAMILIES["sdxl"]
    assert family_of_lora({"ss_base_model_version": "chroma"}) is FAMILIES["chroma"]
    assert family_of_lora({}) is None


@pytest.mark.parametrize(
    ("architecture", "name"),
    [
        ("stable-diffusion-xl-v1-base/lora", "sdxl"),
        ("stable-diffusion-v2-768-v/lora", "sd2"),
        ("stable-diffusion-3-medium", "sd35"),
        ("Flux.1-dev/lora", "flux"),
        ("flux-2-dev", "flux2"),
        ("chroma/lora", "chroma"),
        ("Flux.2-klein-9b/lora", "flux2-klein"),
        ("Z-Image-Turbo/lora", "zimage"),
        ("Qwen-Image-Edit/lora", "qwen-image"),
        ("Krea-2/lora", "krea2"),
        ("krea2", "krea2"),
    ],
)
def test_other_programs_words_for_an_architecture_are_understood(architecture: str, name: str) -> None:
    found = likely_family_of_lora({"modelspec.architecture": architecture})
    assert found is not None and found.name == name


def test_an_architecture_that_nobody_knows_is_none_of_ours() -> None:
    assert likely_family_of_lora({"modelspec.architecture": "wan2.1/lora"}) is None
    assert likely_family_of_lora({}) is None


@pytest.mark.parametrize(
    ("name", "denoiser"),
    [
        ("unet.mid_block.x.lora_A.weight", "unet"),
        ("lora_unet_input_blocks_1_1_proj_in.lora_down.weight", "unet"),
        ("transformer.x.lora_A.weight", "transformer"),
        ("lora_unet_double_blocks_0_img_attn_qkv.lora_down.weight", "transformer"),
        ("diffusion_model.layers.0.attention.to_q.lora_A.weight", "transformer"),
        ("lora_transformer_x.lora_down.weight", "transformer"),
        ("diffusion_model.blocks.0.attn.wq.lora_A.weight", "transformer"),
        ("lora_unet_blocks_0_attn_wq.lora_down.weight", "transformer"),
    ],
)
def test_the_names_of_a_lora_tell_a_unet_from_a_transformer(name: str, denoiser: str) -> None:
    for family in FAMILIES.values():
        assert (lora_suits([name], {}, family) == "") == (family.denoiser == denoiser)


def test_what_cannot_be_told_is_left_to_loading() -> None:
    assert all(lora_suits(["something.lora_A.weight"], {}, family) == "" for family in FAMILIES.values())
    assert "made for the family 'flux'" in lora_suits(
        [], {"modelspec.architecture": "flux-1-dev/lora"}, FAMILIES["zimage"]
    )
