"""A single file of one of several models of a family: the right configuration, the right repository in the message, or
one clear error.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")

from safetensors.torch import load_file  # noqa: E402
from safetensors.torch import save_file as save_tensors  # noqa: E402

from tests.helpers.tiny_families import build_tiny  # noqa: E402
from tests.unit.adapters.diffusion.hubs import Hub  # noqa: E402
from tests.unit.families.sized_folders import GUIDED, HERE, NORM, flux, sd3  # noqa: E402
from twinloop.adapters.diffusion.base_choice import BaseChoice  # noqa: E402
from twinloop.adapters.diffusion.base_files import find_base  # noqa: E402
from twinloop.adapters.diffusion.base_model import open_base  # noqa: E402
from twinloop.errors import InputError, MissingModel  # noqa: E402
from twinloop.families import FAMILIES  # noqa: E402
from twinloop.families.sizes import Size  # noqa: E402

JOINT, STREAM = "joint_blocks.0.context_block.adaLN_modulation.1.bias", "single_stream_modulation.lin.weight"


def written(path: Path, shapes: Mapping[str, tuple[int, ...]], *marks: str) -> Path:
    """A file with these tensors, hardly any of which holds a number."""
    names = {**shapes, **dict.fromkeys(marks, (1,))}
    save_file({name: np.zeros((0, *shape[1:]), np.int8) for name, shape in names.items()}, path)
    return path


def config(folder: Path, *others: str, **settings: object) -> Path:
    """A folder with all that such a file lacks; ``others``: text encoders beyond the first."""
    (folder / "transformer").mkdir(parents=True)
    encoders = ("text_encoder", *others)
    tokenizers = tuple(name.replace("text_encoder", "tokenizer") for name in encoders)
    index = {"_class_name": "any", **{name: ["a", "b"] for name in (*encoders, *tokenizers)}}
    (folder / "model_index.json").write_text(json.dumps(index))
    for part, file in (
        ("vae", "x.safetensors"),
        *((name, "x.safetensors") for name in encoders),
        *((name, "x.json") for name in tokenizers),
    ):
        (folder / part).mkdir()
        (folder / part / file).touch()
    (folder / "transformer" / "config.json").write_text(json.dumps(settings))
    return folder


@pytest.mark.parametrize("what", ["SD 3.5 Large", "FLUX.1 schnell", "Klein 9B", "2511 by its name", "Z-Image-Turbo"])
def test_the_message_says_what_to_fetch_for_this_very_model(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    family, name, shapes, reference = HERE[what]
    path = written(tmp_path / f"{name}.safetensors", shapes)
    with pytest.raises(MissingModel, match=rf"(?s)come from {reference} or.*hf download {reference} ") as caught:
        find_base(BaseChoice(str(path)), FAMILIES[family])
    assert FAMILIES[family].reference not in str(caught.value).replace(reference, "")


def test_a_build_that_nobody_knows_is_said_before_anything_is_fetched(tmp_path: Path) -> None:
    path = written(tmp_path / "pruned.safetensors", sd3(30, NORM), JOINT)
    with pytest.raises(
        InputError, match=r"num_layers 30.*3\.5 Large \(.*num_layers 38.*diffusers folder of this model at"
    ):
        find_base(BaseChoice(str(path), allow_download=True), FAMILIES["sd35"])


def test_the_folder_of_another_size_beside_a_file_is_said_before_it_is_loaded(tmp_path: Path) -> None:
    path = written(tmp_path / "klein.safetensors", flux(8, 24, 128), STREAM)
    folder = config(tmp_path / "klein", num_layers=5, num_single_layers=20, in_channels=128, guidance_embeds=False)
    with pytest.raises(
        InputError, match=r"has num_layers 8, num_single_layers 24, and the configuration in .* has num_layers 5"
    ):
        find_base(BaseChoice(str(path)), FAMILIES["flux2-klein"])
    shutil.rmtree(folder)
    config(folder, num_layers=8, num_single_layers=24, in_channels=128, guidance_embeds=False)
    assert find_base(BaseChoice(str(path)), FAMILIES["flux2-klein"]).config == folder


def test_a_build_of_its_own_loads_with_its_own_folder_beside(tmp_path: Path) -> None:
    path = written(tmp_path / "pruned.safetensors", flux(8, 24, 128), STREAM)
    folder = config(tmp_path / "pruned", num_layers=8, num_single_layers=24, in_channels=128, guidance_embeds=False)
    family = replace(FAMILIES["flux2-klein"], sizes=FAMILIES["flux2-klein"].sizes[:1])
    assert find_base(BaseChoice(str(path)), family).config == folder


def test_guidance_that_the_configuration_wants_and_the_file_lacks(tmp_path: Path) -> None:
    shapes = flux(19, 38, 64)
    path = written(tmp_path / "mine.safetensors", shapes, "double_blocks.0.img_attn.norm.key_norm.scale")
    settings = {"num_layers": 19, "num_single_layers": 38, "guidance_embeds": True}
    folder = config(tmp_path / "mine", "text_encoder_2", **settings)
    with pytest.raises(InputError, match=r"has guidance_embeds no, and the configuration"):
        find_base(BaseChoice(str(path)), FAMILIES["flux"])
    written(path, {**shapes, GUIDED: (4, 4)}, "double_blocks.0.img_attn.norm.key_norm.scale")
    assert find_base(BaseChoice(str(path)), FAMILIES["flux"]).config == folder


@pytest.mark.parametrize(
    ("shapes", "words"),
    [
        ({"model.diffusion_model.input_blocks.0.0.weight": (320, 9, 3, 3)}, "is an inpainting model"),
        ({"conditioner.embedders.0.model.transformer.resblocks.9.mlp.c_proj.bias": (4,)}, "is an SDXL refiner"),
        ({"encoder.conv_in.weight": (4, 4), "decoder.conv_in.weight": (4, 4)}, "is an autoencoder"),
        ({"lora_unet_mid_block.lora_down.weight": (4, 4)}, "is a LoRA, which belongs into generation.extra_loras"),
        (
            {"a.weight.quant_state.bitsandbytes__nf4": (80,)},
            "packed in 4 bits by bitsandbytes.* in 16 bits or as .gguf",
        ),
    ],
)
@pytest.mark.parametrize("family", ["sd15", "sdxl"])
def test_files_that_are_something_else(
    shapes: Mapping[str, tuple[int, ...]], words: str, family: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=words):
        find_base(BaseChoice(str(written(tmp_path / "x.safetensors", shapes)), allow_download=True), FAMILIES[family])


def larger(folder: Path, layers: int) -> Path:
    """The model in this folder with another denoiser, of more blocks."""
    from diffusers import SD3Transformer2DModel

    make: Any = SD3Transformer2DModel
    settings = make.load_config(folder / "transformer") | {"num_layers": layers}
    make.from_config(settings).save_pretrained(folder / "transformer")
    return folder


def test_each_of_two_sizes_loads_with_its_own_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in life: neither folder beside the file, both in the cache of the hub."""
    small, large = build_tiny("sd35", tmp_path / "small"), build_tiny("sd35", tmp_path / "large")
    layers = json.loads((small / "transformer" / "config.json").read_text())["num_layers"]
    larger(large, layers + 2)
    family = replace(
        FAMILIES["sd35"], reference="maker/small",
        sizes=(Size("small", {"num_layers": layers}), Size("large", {"num_layers": layers + 2}, "maker/large")),
    )  # fmt: skip
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    for name, folder in (("small", small), ("large", large)):
        Hub(folder, tmp_path / "cache").fetch(f"maker/{name}", None, ["transformer/*.safetensors"])
        shutil.move(next((folder / "transformer").glob("*.safetensors")), tmp_path / f"{name}.safetensors")
    for name in ("small", "large"):
        base = open_base(BaseChoice(str(tmp_path / f"{name}.safetensors"), "cpu", "float32"), family)
        kept, state = load_file(tmp_path / f"{name}.safetensors"), base.denoiser.state_dict()
        assert kept.keys() == state.keys() and all(torch.equal(state[key], value) for key, value in kept.items())


def test_comfyuis_mark_of_2511_does_not_keep_a_file_from_loading(tmp_path: Path) -> None:
    folder = build_tiny("qwen-image-edit", tmp_path / "mine")
    weights = next((folder / "transformer").glob("*.safetensors"))
    kept = load_file(weights)
    weights.unlink()
    settings = json.loads((folder / "transformer" / "config.json").read_text())
    (folder / "transformer" / "config.json").write_text(json.dumps({**settings, "zero_cond_t": True}))
    save_tensors({**kept, "__index_timestep_zero__": torch.zeros(0)}, tmp_path / "mine.safetensors")
    base = open_base(BaseChoice(str(tmp_path / "mine.safetensors"), "cpu", "float32"), FAMILIES["qwen-image-edit"])
    assert base.denoiser.config.zero_cond_t and base.denoiser.state_dict().keys() == kept.keys()


def test_a_family_that_somebody_added_reads_what_it_says_it_reads(tmp_path: Path) -> None:
    """Its own marks outweigh the list of what is not read here."""
    mark = "double_layers.0.attn.w2q.weight"
    path = written(tmp_path / "mine.safetensors", {mark: (4, 4)})
    added = replace(
        FAMILIES["flux"], sizes=(), encoders=(),
        single_file=replace(FAMILIES["flux"].single_file, marks=((mark,),)),
    )  # fmt: skip
    config(tmp_path / "mine")
    assert find_base(BaseChoice(str(path)), added).config == tmp_path / "mine"
    with pytest.raises(InputError, match="is an AuraFlow model"):
        find_base(BaseChoice(str(path)), FAMILIES["flux"])


def test_a_family_that_somebody_added_is_told_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the list of what is not read here has another word for such files."""
    mark = "double_layers.0.attn.w2q.weight"
    path = written(tmp_path / "mine.safetensors", {mark: (4, 4)})
    single = replace(FAMILIES["flux"].single_file, marks=((mark,),))
    monkeypatch.setitem(FAMILIES, "mine", replace(FAMILIES["flux"], name="mine", sizes=(), single_file=single))
    with pytest.raises(InputError, match="is a model of the family 'mine'"):
        find_base(BaseChoice(str(path)), FAMILIES["flux"])
