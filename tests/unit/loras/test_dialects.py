"""The dialects: read, told apart, written; what goes there and back comes back bit for bit."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from tests.unit.loras.makers import PATHS, adapter, delta, layer, matrix, saved
from twinloop.errors import ModelFileError
from twinloop.families import FAMILIES
from twinloop.families.unet_names import to_diffusers, to_original
from twinloop.loras.actions import convert
from twinloop.loras.adapter import Adapter, Place, families_name, understood
from twinloop.loras.components import DENOISER
from twinloop.loras.container import file_bytes
from twinloop.loras.family import family_of
from twinloop.loras.lora import Dialect, Layer, read_lora
from twinloop.loras.words import dotted
from twinloop.loras.write import effective_dialect, named_layers, written

WRITTEN = (Dialect.DIFFUSERS, Dialect.KOHYA, Dialect.COMFYUI)


@pytest.mark.parametrize("name", FAMILIES)
def test_the_header_tells_the_family_where_no_layer_does(name: str) -> None:
    """Of a file over text encoders alone; siblings that share an architecture share their LoRAs."""
    family = FAMILIES[name]
    told = family_of({}, ("text_encoder",), {"modelspec.architecture": f"{family.architecture}/lora"})
    assert FAMILIES[told].architecture == family.architecture


def same(one: Adapter, other: Adapter) -> None:
    assert one.family == other.family and one.layers.keys() == other.layers.keys()
    for place, part in one.layers.items():
        twin = other.layers[place]
        assert part.down.same(twin.down) and part.up.same(twin.up) and part.alpha == twin.alpha, place


@pytest.mark.parametrize("family", PATHS)
@given(
    rank=st.integers(1, 6),
    alpha=st.one_of(st.none(), st.sampled_from([1.0, 0.7, 16.0, 3.3333])),
    dtype=st.sampled_from(["F16", "BF16", "F32"]),
    seed=st.integers(0, 99),
)
@settings(max_examples=6, deadline=None)
def test_there_and_back_bit_for_bit(
    tmp_path_factory: pytest.TempPathFactory, family: str, rank: int, alpha: float | None, dtype: str, seed: int
) -> None:
    """Through every dialect and back to diffusers', alpha included: alpha != rank, and no alpha at all."""
    folder = tmp_path_factory.mktemp("loras")
    made = adapter(family, rank, alpha, dtype, seed)
    for number, dialect in enumerate(WRITTEN):
        file = saved(folder / f"{number}.safetensors", made, dialect, {"modelspec.title": "ana"})
        assert file.dialect is effective_dialect(made, dialect)
        same(understood(file), made)
        back = saved(
            folder / f"back{number}.safetensors", understood(file), Dialect.DIFFUSERS, {"modelspec.title": "ana"}
        )
        assert back.path.read_bytes() == file_bytes(*written(made, Dialect.DIFFUSERS, {"modelspec.title": "ana"}))


@pytest.mark.parametrize("dialect", [Dialect.KOHYA, Dialect.COMFYUI])
def test_kontexts_layers_are_fluxs(dialect: Dialect, tmp_path: Path) -> None:
    """Those of its text encoders too, of which T5 is the second."""
    made = adapter("flux")
    made = replace(
        made,
        layers={**made.layers, Place("text_encoder_2", "encoder.block.0.layer.0.SelfAttention.q"): layer(8, 8, 2, 1.0)},
    )
    file = saved(tmp_path / "x.safetensors", made, dialect)
    assert understood(file, "flux-kontext").layers.keys() == made.layers.keys()
    assert named_layers(replace(made, family="flux-kontext"), dialect).keys() == file.layers.keys()


@pytest.mark.parametrize("family", ["flux", "flux2", "sd35", "sdxl"])
@pytest.mark.parametrize("alpha", [None, 2.0])
def test_kohyas_own_files_come_back_bit_for_bit(tmp_path: Path, family: str, alpha: float | None) -> None:
    """As trained there: one LoRA over fused layers, so that the parts share their lower matrix."""
    fused = {
        name: layer(part.up.shape[0], part.down.shape[1], 4, alpha, "F16", n)
        for n, (name, part) in enumerate(named_layers(adapter(family, encoders=False), Dialect.KOHYA).items())
    }
    tensors = {
        f"{name}.lora_{end}.weight": np.array(t.bits)
        for name, part in fused.items()
        for end, t in (("down", part.down), ("up", part.up))
    }
    if alpha is not None:
        tensors |= {f"{name}.alpha": np.array(alpha, np.float16) for name in fused}
    save_file(tensors, tmp_path / "kohya.safetensors")
    middle = saved(
        tmp_path / "diffusers.safetensors", understood(read_lora(tmp_path / "kohya.safetensors")), Dialect.DIFFUSERS
    )
    assert middle.dialect is Dialect.DIFFUSERS
    saved(tmp_path / "again.safetensors", understood(middle), Dialect.KOHYA)
    again = load_file(tmp_path / "again.safetensors")
    assert again.keys() == tensors.keys()
    assert all(
        np.array_equal(again[name], tensors[name]) and again[name].dtype == tensors[name].dtype for name in tensors
    )


def test_parts_with_different_scales_and_missing_parts_keep_their_effect(tmp_path: Path) -> None:
    made = adapter("flux", encoders=False)
    layers = dict(made.layers)
    place = Place(DENOISER, "transformer_blocks.0.attn.to_k")
    layers[place] = layer(24, 24, 3, 1.5, "F16", 77)
    del layers[Place(DENOISER, "transformer_blocks.3.attn.to_q")]
    changed = Adapter("flux", layers)
    back = understood(saved(tmp_path / "x.safetensors", changed, Dialect.KOHYA))
    for where, part in layers.items():
        assert np.allclose(delta(back.layers[where]), delta(part), atol=1e-6), where
    assert not delta(back.layers[Place(DENOISER, "transformer_blocks.3.attn.to_q")]).any()


def test_alpha_of_single_layers_survives(tmp_path: Path) -> None:
    made = adapter("sdxl", rank=4, alpha=2.0)
    first, second = list(made.layers)[:2]
    layers = {**made.layers, first: layer(640, 640, 8, 1.0), second: layer(1280, 2048, 4, None)}
    file = saved(tmp_path / "x.safetensors", Adapter("sdxl", layers), Dialect.DIFFUSERS)
    settings_ = json.loads(file.texts["lora_adapter_metadata"])
    assert (
        settings_["unet.rank_pattern"] == {first.path: 8}
        and settings_["unet.r"] == 4
        and settings_["unet.lora_alpha"] == 2.0
    )
    assert settings_["unet.alpha_pattern"] == {first.path: 1.0, second.path: 4.0}
    back = understood(file).layers
    assert [back[first].alpha, back[second].alpha] == [1.0, 4.0]
    assert all(part.alpha == 2.0 for place, part in back.items() if place not in (first, second))


def test_rank_stabilised_alpha_is_taken_by_its_effect(tmp_path: Path) -> None:
    tensors = {
        "unet.mid_block.attentions.0.proj_in.lora_A.weight": np.ones((16, 4), np.float32),
        "unet.mid_block.attentions.0.proj_in.lora_B.weight": np.ones((4, 16), np.float32),
    }
    text = json.dumps({"unet.r": 16, "unet.lora_alpha": 8, "unet.use_rslora": True})
    save_file(tensors, tmp_path / "x.safetensors", {"lora_adapter_metadata": text})
    (part,) = read_lora(tmp_path / "x.safetensors").layers.values()
    assert part.scale == pytest.approx(8 / 4)


@pytest.mark.parametrize("family", PATHS)
@pytest.mark.parametrize("dialect", WRITTEN)
def test_the_family_is_told_by_the_keys(tmp_path: Path, family: str, dialect: Dialect) -> None:
    assert families_name(saved(tmp_path / "x.safetensors", adapter(family, encoders=False), dialect)) == family


def test_old_names_are_understood(tmp_path: Path) -> None:
    """diffusers' first year (processors), PEFT's own prefix, OneTrainer's kohya, Z-Image over fused layers."""
    draw = np.random.default_rng(0)
    cases = {
        "unet.mid_block.attentions.0.transformer_blocks.0.attn1.processor.to_out_lora.{}.weight": (
            "down",
            "up",
            "mid_block.attentions.0.transformer_blocks.0.attn1.to_out.0",
        ),
        "base_model.model.unet.mid_block.attentions.0.proj_in.lora_{}.default.weight": (
            "A",
            "B",
            "mid_block.attentions.0.proj_in",
        ),
        "lora_transformer_single_transformer_blocks_3_proj_mlp.lora_{}.weight": (
            "down",
            "up",
            "single_transformer_blocks.3.proj_mlp",
        ),
        "diffusion_model.layers.3.attention.out.lora_{}.weight": ("down", "up", "layers.3.attention.to_out.0"),
    }
    for pattern, (down, up, path) in cases.items():
        save_file(
            {pattern.format(down): matrix(2, 8, "F32", draw).bits, pattern.format(up): matrix(8, 2, "F32", draw).bits},
            tmp_path / "x.safetensors",
        )
        assert list(understood(read_lora(tmp_path / "x.safetensors")).layers) == [Place(DENOISER, path)]
    clip = "text_encoder.encoder.layers.0.self_attn.q_proj.lora_{}.weight"
    save_file(
        {clip.format("A"): matrix(2, 8, "F32", draw).bits, clip.format("B"): matrix(8, 2, "F32", draw).bits},
        tmp_path / "x.safetensors",
    )
    assert list(understood(read_lora(tmp_path / "x.safetensors")).layers) == [
        Place("text_encoder", "text_model.encoder.layers.0.self_attn.q_proj")
    ]


def pair(stem: str, rank: int = 2) -> dict[str, np.ndarray[tuple[int, ...], np.dtype[np.float32]]]:
    return {
        f"{stem}.lora_down.weight": np.ones((rank, 4), np.float32),
        f"{stem}.lora_up.weight": np.ones((4, rank), np.float32),
    }


@pytest.mark.parametrize(
    ("tensors", "words"),
    [
        (
            {**pair("lora_unet_mid_block_attentions_0_proj_in"), **pair("unet.mid_block.attentions.0.proj_in")},
            "more than one dialect",
        ),
        (
            {**pair("lora_unet_mid_block_attentions_0_proj_in"), "strange": np.ones(2, np.float32)},
            "more than one dialect",
        ),
        ({"model.diffusion_model.input_blocks.0.0.weight": np.ones((2, 2), np.float32)}, "no LoRA.*a whole model"),
        ({}, "it is empty"),
        ({"lora_unet_x.lora_down.weight": np.ones((2, 4), np.float32)}, "lacks its up matrix"),
        (
            {
                "lora_unet_x.lora_down.weight": np.ones((2, 4), np.float32),
                "lora_unet_x.lora_up.weight": np.ones((4, 3), np.float32),
            },
            "do not fit each other",
        ),
        (
            {
                "lora_unet_x.lora_down.weight": np.ones((2, 4), np.int32),
                "lora_unet_x.lora_up.weight": np.ones((4, 2), np.int32),
            },
            "do not fit each other",
        ),
        ({**pair("lora_unet_x"), "lora_unet_x.alpha": np.ones(2, np.float32)}, "not one number"),
        ({**pair("lora_unet_x"), "lora_unet_x.alpha": np.array(np.nan, np.float32)}, "not a finite number"),
        ({**pair("lora_unet_x"), "lora_unet_x.something": np.ones(2, np.float32)}, "of no kind this program knows"),
        (
            {
                "unet.mid_block.lora_A.weight": np.ones((2, 4), np.float32),
                "unet.mid_block.lora_down.weight": np.ones((2, 4), np.float32),
            },
            "there twice",
        ),
    ],
)
def test_wrong_files_are_named(
    tensors: dict[str, np.ndarray[tuple[int, ...], np.dtype[np.float32]]], words: str, tmp_path: Path
) -> None:
    save_file(tensors, tmp_path / "x.safetensors")
    with pytest.raises(ModelFileError, match=words) as caught:
        read_lora(tmp_path / "x.safetensors")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "method"),
    [
        ("lora_unet_x.dora_scale", "DoRA"),
        ("lora_unet_x.lora_mid.weight", "Tucker"),
        ("lora_unet_x.diff_b", "difference"),
    ],
)
def test_other_methods_are_looked_at_but_not_converted(name: str, method: str, tmp_path: Path) -> None:
    pairs = pair("lora_unet_mid_block_attentions_0_proj_in")
    save_file({**pairs, name: np.ones((4, 2), np.float32)}, tmp_path / "x.safetensors")
    file = read_lora(tmp_path / "x.safetensors")
    assert method in file.method and families_name(file) == ""
    with pytest.raises(ModelFileError, match=f"{method}.*not converted"):
        understood(file)


def test_a_name_that_would_be_a_guess_is_refused(tmp_path: Path) -> None:
    save_file(pair("lora_unet_magic_blocks_3_proj_in"), tmp_path / "x.safetensors")
    with pytest.raises(ModelFileError, match=r"does not know \('magic_blocks_3_proj_in'\)"):
        understood(read_lora(tmp_path / "x.safetensors"))


@pytest.mark.parametrize("family", PATHS)
def test_run_together_names_come_apart_again(family: str) -> None:
    for path, _, _ in PATHS[family]:
        assert dotted(path.replace(".", "_")) == path


def test_every_layer_of_sdxl_has_one_name_in_each_code() -> None:
    """The tables of both are walked whole: input 0-8, middle, output 0-8."""
    paths = [
        "conv_in",
        "conv_out",
        "conv_norm_out",
        "time_embedding.linear_1",
        "time_embedding.linear_2",
        "add_embedding.linear_1",
        "add_embedding.linear_2",
    ]
    resnet = ("norm1", "conv1", "norm2", "conv2", "time_emb_proj", "conv_shortcut")
    for block in range(3):
        paths += [f"down_blocks.{block}.resnets.{n}.{part}" for n in range(2) for part in resnet]
        paths += [f"up_blocks.{block}.resnets.{n}.{part}" for n in range(3) for part in resnet]
    paths += [f"down_blocks.{block}.attentions.{n}.proj_in" for block in (1, 2) for n in range(2)]
    paths += [f"up_blocks.{block}.attentions.{n}.proj_in" for block in (0, 1) for n in range(3)]
    paths += [f"down_blocks.{block}.downsamplers.0.conv" for block in (0, 1)] + [
        f"up_blocks.{block}.upsamplers.0.conv" for block in (0, 1)
    ]
    paths += ["mid_block.attentions.0.proj_in", *(f"mid_block.resnets.{n}.{part}" for n in range(2) for part in resnet)]
    originals = {to_original(path, "sdxl") for path in paths}
    assert len(originals) == len(paths)
    assert [to_diffusers(to_original(path, "sdxl")) for path in paths] == paths
    assert (
        to_original("down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q", "sdxl")
        == "input_blocks.4.1.transformer_blocks.0.attn1.to_q"
    )
    assert to_original("up_blocks.1.attentions.2.proj_in", "sdxl") == "output_blocks.5.1.proj_in"
    for wrong in ("down_blocks.0.resnets.0.nothing", "up_blocks.0.magic", "mid_block.resnets.7.conv1"):
        with pytest.raises(ModelFileError):
            to_original(wrong, "sdxl")


def test_convolutions_keep_their_kernels(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    down, up = draw.normal(size=(2, 4, 3, 3)).astype(np.float32), draw.normal(size=(8, 2, 1, 1)).astype(np.float32)
    name = "lora_unet_input_blocks_1_0_in_layers_2"
    other = "lora_unet_input_blocks_4_1_transformer_blocks_0_attn2_to_k"
    save_file(
        {
            f"{name}.lora_down.weight": down,
            f"{name}.lora_up.weight": up,
            f"{other}.lora_down.weight": np.ones((2, 2048), np.float32),
            f"{other}.lora_up.weight": np.ones((4, 2), np.float32),
        },
        tmp_path / "x.safetensors",
    )
    made = understood(read_lora(tmp_path / "x.safetensors"))
    part = made.layers[Place(DENOISER, "down_blocks.0.resnets.0.conv1")]
    assert np.array_equal(part.down.bits, down) and np.array_equal(part.up.bits, up)
    assert isinstance(part, Layer)


def test_scale_and_shift_change_places_where_the_codes_differ() -> None:
    """The last block of SD 3.5 has a modulation of two parts for its texts, all others one of six; only the former is
    turned round.
    """

    def rows(path: str, out: int) -> tuple[Layer, Layer]:
        part = layer(out, 12, 2, None)
        (name,) = named_layers(Adapter("sd35", {Place(DENOISER, path): part}), Dialect.KOHYA).items()
        return part, name[1]

    part, other = rows("transformer_blocks.23.norm1_context.linear", 24)
    assert np.array_equal(other.up.bits, np.roll(part.up.bits, 12, axis=0))
    part, other = rows("transformer_blocks.2.norm1_context.linear", 72)
    assert other.up.same(part.up)


@pytest.mark.parametrize("family", ["flux", "sdxl", "zimage"])
def test_what_came_back_once_comes_back_byte_for_byte(family: str, tmp_path: Path) -> None:
    """A file of another program, whose tensors lie in another order, without hashes; whatever the time of day."""
    made = adapter(family, 4, 2.0, "F16", encoders=False)
    tensors, _ = written(made, Dialect.KOHYA, {})
    foreign = {name: np.array(raw.values(), np.float32) for name, raw in reversed(tensors.items())}
    foreign |= {name: values.astype(np.float16) for name, values in foreign.items() if not name.endswith(".alpha")}
    save_file(foreign, tmp_path / "ana.safetensors", {"ss_output_name": "other"})
    files = [tmp_path / "ana.safetensors"]
    for number in range(2):
        middle, back = tmp_path / f"{number}" / "middle.safetensors", tmp_path / f"{number}" / "ana.safetensors"
        middle.parent.mkdir()
        convert(files[-1], Dialect.DIFFUSERS, middle)
        convert(middle, Dialect.KOHYA, back)
        files.append(back)
    first, once, twice = (path.read_bytes() for path in files)
    assert first != once == twice
    before, after = (load_file(path) for path in files[:2])
    assert before.keys() == after.keys()
    for name, values in before.items():
        assert np.array_equal(values, after[name]) and (values.dtype == after[name].dtype or name.endswith(".alpha"))
