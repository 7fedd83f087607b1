"""LoRA files in both dialects: plain diffusers reads them to the same pixels, scale included; wrong ones are named."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("diffusers")

from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load, load_file, save, save_file

from tests.helpers.lora_files import write_lora
from tests.helpers.tiny_models import WIDTH, WIDTH_2
from tests.unit.adapters.diffusion.loras.random_loras import SDXL, random_lora, torch
from twinloop.adapters.diffusion.base_choice import BaseChoice
from twinloop.adapters.diffusion.base_model import BaseModel, open_base
from twinloop.adapters.diffusion.loras import writing
from twinloop.adapters.diffusion.loras.writing import (
    LoraWeights,
    adapter_text,
    copy_tensors,
    diffusers_tensors,
)
from twinloop.errors import ModelFileError
from twinloop.store.models.lora_file import header_texts, kohya_path


@pytest.fixture(scope="module")
def plain(tiny_base: Path) -> Any:
    """The base in diffusers' own pipeline, without anything of ours."""
    from diffusers import StableDiffusionXLPipeline

    made = StableDiffusionXLPipeline.from_pretrained(tiny_base, use_safetensors=True)
    made.set_progress_bar_config(disable=True)
    return made


@pytest.fixture(scope="module")
def files(plain: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("lora") / "ana.safetensors"
    write_lora(path, random_lora(plain.unet), SDXL, {"modelspec.title": "ana"})
    return path


def picture(pipeline: Any) -> np.ndarray[Any, Any]:
    generator = torch.Generator().manual_seed(5)
    return np.asarray(
        pipeline(
            "photo of ohwx ana", num_inference_steps=2, height=64, width=64, generator=generator, output_type="np"
        ).images[0]
    )


def test_plain_diffusers_reads_both_to_the_same_pixels(plain: Any, files: Path) -> None:
    bare = picture(plain)
    made = []
    for path in (files, kohya_path(files)):
        plain.load_lora_weights(str(path), adapter_name="ana")
        made.append(picture(plain))
        plain.unload_lora_weights()
    assert np.array_equal(made[0], made[1])
    assert np.abs(made[0] - bare).max() > 1 / 255
    assert np.array_equal(picture(plain), bare)


def test_the_scale_is_alpha_over_rank(plain: Any, files: Path, tmp_path: Path) -> None:
    """The same LoRA with its scale multiplied into the weights gives the same pixels: alpha was neither lost nor
    doubled.
    """
    lora = random_lora(plain.unet)
    folded = LoraWeights({name: (down, up * 0.25) for name, (down, up) in lora.layers.items()}, 4, 4.0)
    write_lora(tmp_path / "folded.safetensors", folded, SDXL, {})
    made = []
    for path in (files, tmp_path / "folded.safetensors"):
        plain.load_lora_weights(str(path), adapter_name="ana")
        made.append(picture(plain))
        plain.unload_lora_weights()
    assert np.abs(made[0] - made[1]).max() < 1e-3


def test_every_target_layer_is_in_both_files(plain: Any, files: Path) -> None:
    layers = len(random_lora(plain.unet).layers)
    assert layers == 48
    ours, theirs = load_file(files), load_file(kohya_path(files))
    assert len(ours) == 2 * layers and len(theirs) == 3 * layers
    assert all(key.startswith("unet.") and ".lora_" in key for key in ours)
    assert all(value == 1.0 for key, value in theirs.items() if key.endswith(".alpha"))


def test_header(files: Path) -> None:
    for path in (files, kohya_path(files)):
        texts = header_texts(path)
        # as sd-scripts counts it: of the tensors as the library saves them
        whole = save(load_file(path))
        digest = hashlib.sha256(whole[8 + int.from_bytes(whole[:8], "little") :]).hexdigest()
        assert (texts["modelspec.hash_sha256"], texts["sshs_model_hash"]) == (f"0x{digest}", digest)
        assert texts["sshs_legacy_hash"] == hashlib.sha256(b"").hexdigest()[:8]
        assert texts["modelspec.title"] == "ana"
    adapter = json.loads(header_texts(files)["lora_adapter_metadata"])
    assert adapter["unet.r"] == 4 and adapter["unet.lora_alpha"] == 1.0


def test_the_library_makes_the_bytes_once_for_each_file(
    plain: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second time for the hash alone would take as much memory again."""
    made: list[int] = []
    monkeypatch.setattr(writing, "save", lambda tensors: made.append(len(tensors)) or save(tensors))
    write_lora(tmp_path / "lora.safetensors", random_lora(plain.unet), SDXL, {"modelspec.title": "ana"})
    assert made == [3 * 48, 2 * 48]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_a_file_is_the_librarys_with_its_texts_in_order(dtype: torch.dtype, tmp_path: Path) -> None:
    pair = (torch.randn(4, 8).to(dtype), torch.randn(8, 4).to(dtype))
    # no half of that size: it is kept in float32
    lora = LoraWeights({"mid_block.attentions.0.proj_in": pair}, 4, 70_001.0)
    path = tmp_path / "lora.safetensors"
    for data in (write_lora(path, lora, SDXL, {"z": "1", "a": "ü"}), kohya_path(path).read_bytes()):
        size = int.from_bytes(data[:8], "little")
        header = json.loads(data[8 : 8 + size])
        texts = header.pop("__metadata__")
        assert list(texts) == sorted(texts) and texts["a"] == "ü"
        library = save(load(data))
        rest = int.from_bytes(library[:8], "little")
        assert data[8 + size :] == library[8 + rest :], "tensors lie where the library puts them"
        assert header == json.loads(library[8 : 8 + rest])
    assert float(load_file(kohya_path(path))["lora_unet_mid_block_attentions_0_proj_in.alpha"]) == 70_001.0


NAMES = st.lists(
    st.from_regex(r"(down|mid|up)_blocks(\.[a-z]{1,6}_?[0-9]?){1,4}", fullmatch=True),
    min_size=1,
    max_size=6,
    unique=True,
)


@given(NAMES, st.integers(1, 8), st.floats(0.5, 64))
@settings(max_examples=40, deadline=None)
def test_the_dialects_hold_the_same_numbers(names: list[str], rank: int, alpha: float) -> None:
    lora = LoraWeights({name: (torch.randn(rank, 3), torch.randn(5, rank)) for name in names}, rank, alpha)
    ours, theirs = diffusers_tensors(lora, "unet"), copy_tensors(lora, SDXL.lora_names)
    for name, (down, up) in lora.layers.items():
        other = f"lora_unet_{name.replace('.', '_')}"
        assert torch.equal(ours[f"unet.{name}.lora_A.weight"], down) and torch.equal(
            theirs[f"{other}.lora_down.weight"], down
        )
        assert torch.equal(ours[f"unet.{name}.lora_B.weight"], up) and torch.equal(
            theirs[f"{other}.lora_up.weight"], up
        )
        assert float(theirs[f"{other}.alpha"]) == pytest.approx(alpha)
    assert json.loads(adapter_text(lora, "unet"))["unet.lora_alpha"] == alpha


@pytest.fixture
def base(tiny_base: Path) -> BaseModel:
    made = open_base(BaseChoice(str(tiny_base), "cpu"), SDXL)
    made.lora.use(None)
    return made


def test_the_slot_wears_takes_off_and_exchanges(base: BaseModel, files: Path) -> None:
    weight = base.pipeline.unet.mid_block.attentions[0].proj_in.weight
    before = weight.clone()
    base.lora.use(files)
    base.lora.use(kohya_path(files), 0.5)
    base.lora.use(None)
    assert base.pipeline.unet.mid_block.attentions[0].proj_in.weight is weight
    assert torch.equal(weight, before)


def test_a_file_that_was_written_anew_is_read_anew(base: BaseModel, tmp_path: Path) -> None:
    path = tmp_path / "ana.safetensors"
    loras = [random_lora(base.pipeline.unet, rank) for rank in (4, 2)]
    for lora in loras:
        write_lora(path, lora, SDXL, {})
        base.lora.use(path)
    worn = next(p for name, p in base.pipeline.unet.named_parameters() if "lora_A" in name)
    base.lora.use(None)
    assert worn.shape[0] == 2


def test_a_lora_for_another_base_is_named(base: BaseModel, full_base: Path, tmp_path: Path) -> None:
    lora = random_lora(base.pipeline.unet)
    wide = LoraWeights(
        {name: (torch.zeros(4, down.shape[1] + 8), up) for name, (down, up) in lora.layers.items()}, 4, 4.0
    )
    write_lora(tmp_path / "wide.safetensors", wide, SDXL, {})
    strange = LoraWeights({"single_blocks.0.attn.to_q": (torch.zeros(4, 8), torch.zeros(8, 4))}, 4, 4.0)
    write_lora(tmp_path / "strange.safetensors", strange, SDXL, {})
    for name in ("wide", "strange", "wide_kohya"):
        with pytest.raises(ModelFileError, match=r"does not fit this base model.*Use the base model"):
            base.lora.use(tmp_path / f"{name}.safetensors")
    base.lora.use(None)


def test_files_that_are_no_lora(base: BaseModel, tmp_path: Path) -> None:
    (tmp_path / "junk.safetensors").write_bytes(b"not a model")
    save_file({"some.weight": torch.zeros(3)}, tmp_path / "other.safetensors")
    (tmp_path / "old.pt").write_bytes(b"x")
    for name, words in (
        ("junk.safetensors", "damaged"),
        ("other.safetensors", "no LoRA"),
        ("old.pt", r"read as \.safetensors .*only"),
        ("none.safetensors", "No LoRA at"),
    ):
        with pytest.raises(ModelFileError, match=words):
            base.lora.use(tmp_path / name)


def test_a_kohya_lora_with_text_encoders(base: BaseModel, tmp_path: Path) -> None:
    """As the web is full of them: the prompts are embedded anew with it, and anew without it."""
    tensors = copy_tensors(random_lora(base.pipeline.unet), SDXL.lora_names)
    for number, width in ((1, WIDTH), (2, WIDTH_2)):
        for layer in ("self_attn_q_proj", "self_attn_v_proj", "mlp_fc1"):
            name = f"lora_te{number}_text_model_encoder_layers_0_{layer}"
            tensors[f"{name}.lora_down.weight"] = torch.randn(4, width)
            tensors[f"{name}.lora_up.weight"] = torch.randn(2 * width if layer == "mlp_fc1" else width, 4)
            tensors[f"{name}.alpha"] = torch.tensor(4.0)
    save_file(tensors, tmp_path / "web.safetensors")
    bare = base.prompts.embed("photo of ohwx ana")
    base.lora.use(tmp_path / "web.safetensors")
    worn = base.prompts.embed("photo of ohwx ana")
    assert not any(torch.equal(worn[name], bare[name]) for name in ("prompt_embeds", "pooled_prompt_embeds"))
    base.lora.use(tmp_path / "web.safetensors", 0.5)
    assert not torch.equal(base.prompts.embed("photo of ohwx ana")["prompt_embeds"], worn["prompt_embeds"])
    base.lora.use(None)
    assert torch.equal(base.prompts.embed("photo of ohwx ana")["prompt_embeds"], bare["prompt_embeds"])


def test_several_loras_add_up_and_come_off_one_by_one(base: BaseModel, plain: Any, files: Path, tmp_path: Path) -> None:
    style = tmp_path / "style.safetensors"
    write_lora(style, random_lora(plain.unet, seed=9), SDXL, {})
    layer = base.pipeline.unet.mid_block.attentions[0].proj_in
    inputs = torch.ones(1, layer.in_features)
    bare = layer(inputs)
    effects = []
    for worn in ([(files, 1.0)], [(style, 0.5)], [(files, 1.0), (style, 0.5)], [(files, 1.0)]):
        base.lora.wear(worn)
        adapted = base.pipeline.unet.mid_block.attentions[0].proj_in
        effects.append(adapted(inputs) - bare)
    assert torch.allclose(effects[0] + effects[1], effects[2], atol=1e-4)
    assert torch.equal(effects[0], effects[3]) and bool(effects[1].any())
    base.lora.use(None)
    assert base.pipeline.unet.mid_block.attentions[0].proj_in is layer


def test_a_worn_lora_stays_in_place_when_another_comes(
    base: BaseModel, plain: Any, files: Path, tmp_path: Path
) -> None:
    style = tmp_path / "style.safetensors"
    write_lora(style, random_lora(plain.unet, seed=9), SDXL, {})
    base.lora.use(files)
    weight = base.pipeline.unet.mid_block.attentions[0].proj_in.lora_A["twinloop"].weight
    base.lora.wear([(files, 0.7), (style, 0.5)])
    base.lora.wear([(files, 0.7)])
    assert base.pipeline.unet.mid_block.attentions[0].proj_in.lora_A["twinloop"].weight is weight
    base.lora.use(None)
