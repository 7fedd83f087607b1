"""Families and presets."""

from __future__ import annotations

from typing import Any

import pytest

from twinloop.errors import InputError
from twinloop.families import FAMILIES, Family, family_of_preset, preset_for, preset_name
from twinloop.families.recognise import family_of_lora
from twinloop.stages.words import QUALITY, TAGGED

ALL = [(family, name) for family in FAMILIES.values() for name in family.presets]


@pytest.mark.parametrize(("family", "name"), ALL, ids=lambda value: getattr(value, "name", value))
def test_every_preset_can_be_used_as_it_is(family: Family, name: str) -> None:
    preset = family.preset(name)
    assert family_of_preset(name) is family
    assert preset.training.preset == name
    assert preset.generation.width % family.size_multiple == preset.generation.height % family.size_multiple == 0
    assert preset.training.resolution % family.size_multiple == 0
    assert preset.training.warmup_steps < preset.training.steps
    assert preset.style in QUALITY


def test_the_seeds_numbers_are_the_defaults() -> None:
    sdxl = family_of_preset("sdxl").preset("sdxl").generation
    assert 30 <= sdxl.steps <= 40 and 7.0 <= sdxl.guidance <= 8.0
    animagine = family_of_preset("animagine").preset("animagine")
    assert 25 <= animagine.generation.steps <= 35 and 6.0 <= animagine.generation.guidance <= 7.5
    assert animagine.style == "tags"
    assert animagine.suffix == "masterpiece, best quality, very aesthetic, absurdres"


def test_models_that_are_black_in_float16_say_so() -> None:
    overflowing = {name for name, family in FAMILIES.items() if family.overflows_in_float16}
    assert overflowing == {"zimage", "anima", "qwen-image", "qwen-image-edit"}


def test_captions_come_in_changing_orders_where_they_are_tags() -> None:
    presets = [family.preset(name) for family, name in ALL]
    assert {preset.training.shuffle_captions for preset in presets if preset.style in TAGGED} == {True}
    assert {preset.training.shuffle_captions for preset in presets if preset.style not in TAGGED} == {False}


@pytest.mark.parametrize(
    ("configuration", "base", "architecture"),
    [
        ({"num_layers": 5, "num_single_layers": 20, "in_channels": 128}, "FLUX.2-klein-9B", "Flux.2-klein-4b"),
        ({"num_layers": 8, "num_single_layers": 24, "axes_dims_rope": (32,)}, "mine", "Flux.2-klein-9b"),
        ({"num_layers": 1, "num_single_layers": 1}, "tiny", "Flux.2-klein-4b"),
        ({}, "black-forest-labs/FLUX.2-klein-base-9B", "Flux.2-klein-9b"),
        ({}, "black-forest-labs/FLUX.2-klein-base-4B", "Flux.2-klein-4b"),
    ],
)
def test_each_klein_is_called_by_its_own_name(configuration: dict[str, Any], base: str, architecture: str) -> None:
    family = FAMILIES["flux2-klein"]
    assert family.architecture_of(configuration, base) == architecture
    assert family_of_lora({"modelspec.architecture": f"{architecture}/lora"}) is family


def test_zit_is_animagine_and_says_so() -> None:
    name, notice = preset_name("ZIT")
    assert name == "animagine"
    assert "Z-Image" in notice and "Animagine" in notice
    assert preset_name("SDXL") == ("sdxl", "")
    assert "animagine" in family_of_preset("zit").presets


@pytest.mark.parametrize(
    ("base", "preset"),
    [
        ("nano", "nano"),
        ("stabilityai/stable-diffusion-xl-base-1.0", "sdxl"),
        ("cagliostrolab/animagine-xl-3.1", "animagine"),
        ("./ponyDiffusionV6XL", "pony"),
    ],
)
def test_a_preset_is_chosen_by_the_name_of_the_base(base: str, preset: str) -> None:
    assert preset_for(base) == preset


def test_an_unknown_preset_lists_the_known_ones() -> None:
    with pytest.raises(InputError, match=r"training\.preset: unknown preset 'sdlx'\. Known: .*sdxl"):
        family_of_preset("sdlx")
    with pytest.raises(InputError, match="Known for sdxl: sdxl, animagine, illustrious, pony, nano"):
        FAMILIES["sdxl"].preset("flux")


@pytest.mark.parametrize("family", FAMILIES.values(), ids=lambda family: family.name)
def test_text_encoders_have_one_name_in_the_copy(family: Family) -> None:
    """A LoRA that is trained here and one that is converted call them alike."""
    trained = family.trainable_encoders.prefixes if family.trainable_encoders is not None else {}
    assert trained == {encoder: f"lora_{family.lora_names.encoders[encoder]}_" for encoder in trained}


@pytest.mark.parametrize(
    ("kind", "config", "name"),
    [
        ("EulerDiscreteScheduler", {"timestep_spacing": "leading", "use_karras_sigmas": False}, "euler"),
        ("EulerDiscreteScheduler", {"use_karras_sigmas": True}, "euler_karras"),
        ("EulerDiscreteScheduler", {"use_beta_sigmas": True}, ""),
        ("EulerAncestralDiscreteScheduler", {}, "euler_a"),
        ("DDIMScheduler", {"clip_sample": False}, "ddim"),
        ("DPMSolverMultistepScheduler", {"algorithm_type": "dpmsolver++"}, "dpmpp_2m"),
        ("DPMSolverMultistepScheduler", {"algorithm_type": "dpmsolver"}, ""),
        (
            "DPMSolverMultistepScheduler",
            {"algorithm_type": "sde-dpmsolver++", "use_karras_sigmas": True},
            "dpmpp_2m_sde_karras",
        ),
        ("PNDMScheduler", {}, ""),
    ],
)
def test_the_sampler_of_a_base_is_named_where_it_has_a_name(kind: str, config: dict[str, Any], name: str) -> None:
    assert FAMILIES["sdxl"].sampler_of(kind, config) == name


def test_every_sampler_is_told_by_its_class_and_settings() -> None:
    for family in FAMILIES.values():
        for name, (kind, changes) in family.schedulers.items():
            assert family.sampler_of(kind, changes) == name
