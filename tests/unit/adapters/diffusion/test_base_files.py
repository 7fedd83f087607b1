"""A base model that is not there, or not what it should be, is one clear message with the next step."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")

from safetensors.torch import load_file, save_file  # noqa: E402

from tests.helpers.krea2_names import original_krea2  # noqa: E402
from tests.helpers.part_files import as_comfyui_has_it, without_weights  # noqa: E402
from tests.helpers.single_file import write_single_file  # noqa: E402
from tests.helpers.tiny_families import build_tiny  # noqa: E402
from twinloop.adapters.diffusion.base_choice import BaseChoice  # noqa: E402
from twinloop.adapters.diffusion.base_files import BaseFiles, find_base  # noqa: E402
from twinloop.adapters.diffusion.base_model import open_base  # noqa: E402
from twinloop.adapters.diffusion.model_folder import variant_of  # noqa: E402
from twinloop.adapters.diffusion.unscaling import unscaled  # noqa: E402
from twinloop.errors import InputError, MissingModel, ModelFileError  # noqa: E402
from twinloop.families import FAMILIES, preset_for  # noqa: E402

SDXL = FAMILIES["sdxl"]


def copy(base: Path, to: Path) -> Path:
    shutil.copytree(base, to)
    return to


def some_weights(path: Path, *names: str) -> Path:
    """A safetensors file with tensors of these names."""
    save_file({name: torch.zeros(2) for name in names or ("some.weight",)}, path)
    return path


def test_missing_folder() -> None:
    with pytest.raises(MissingModel, match="no folder or file at /nowhere/at/all"):
        find_base(BaseChoice("/nowhere/at/all"), SDXL)


def test_a_hub_id_that_is_not_in_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(MissingModel, match="allow_download") as caught:
        find_base(BaseChoice("someone/some-model"), SDXL)
    assert "hf download someone/some-model" in str(caught.value)


def test_a_folder_that_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=r"no model_index\.json"):
        find_base(BaseChoice(str(tmp_path)), SDXL)


def test_a_model_of_another_family(tmp_path: Path) -> None:
    (tmp_path / "model_index.json").write_text(json.dumps({"_class_name": "FluxPipeline"}))
    with pytest.raises(InputError, match=r"FluxPipeline.*training\.preset"):
        find_base(BaseChoice(str(tmp_path)), SDXL)


def test_damaged_index(tmp_path: Path) -> None:
    (tmp_path / "model_index.json").write_text("{")
    with pytest.raises(ModelFileError, match="not valid JSON"):
        find_base(BaseChoice(str(tmp_path)), SDXL)


@pytest.mark.parametrize("name", ["model.ckpt", "model.pt", "model.bin"])
def test_pickles_are_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"x")
    with pytest.raises(ModelFileError, match="run code"):
        find_base(BaseChoice(str(tmp_path / name)), SDXL)


def test_a_folder_of_pickles_is_refused(tmp_path: Path) -> None:
    (tmp_path / "unet").mkdir()
    (tmp_path / "unet" / "diffusion_pytorch_model.bin").write_bytes(b"x")
    (tmp_path / "model_index.json").write_text(json.dumps({"_class_name": SDXL.pipeline}))
    with pytest.raises(ModelFileError, match="pickles"):
        find_base(BaseChoice(str(tmp_path)), SDXL)


@pytest.mark.parametrize(
    ("family", "missing"),
    [("sdxl", "text_encoder"), ("sdxl", "text_encoder_2"), ("sd35", "text_encoder"), ("flux", "text_encoder_2")],
)
@pytest.mark.parametrize("how", ["null", "no entry", "no folder"])
def test_a_missing_text_encoder_is_said_before_anything_is_loaded(
    family: str, missing: str, how: str, tmp_path: Path
) -> None:
    """People strip text encoders; diffusers' pipelines then fail at the first prompt, or draw from half of it."""
    folder = build_tiny(family, tmp_path / "base")
    shutil.rmtree(folder / missing)
    index = json.loads((folder / "model_index.json").read_text())
    if how == "null":
        index[missing] = [None, None]
    elif how == "no entry":
        del index[missing]
    (folder / "model_index.json").write_text(json.dumps(index))
    with pytest.raises(ModelFileError, match=rf"comes without {missing}, and models of the family '{family}'"):
        find_base(BaseChoice(str(folder)), FAMILIES[family])


@pytest.mark.parametrize("how", ["null", "no entry", "no folder", "empty"])
@pytest.mark.parametrize("base", ["a folder", "a whole checkpoint"])
def test_a_missing_tokenizer_is_said_before_anything_is_loaded(how: str, base: str, tmp_path: Path) -> None:
    folder = build_tiny("sdxl", tmp_path / "mine")
    shutil.rmtree(folder / "tokenizer_2")
    index = json.loads((folder / "model_index.json").read_text())
    if how == "null":
        index["tokenizer_2"] = [None, None]
    elif how == "no entry":
        del index["tokenizer_2"]
    elif how == "empty":
        (folder / "tokenizer_2").mkdir()
    (folder / "model_index.json").write_text(json.dumps(index))
    if base == "a whole checkpoint":
        write_single_file(folder, tmp_path / "mine.safetensors")
        folder = tmp_path / "mine.safetensors"
    with pytest.raises(ModelFileError, match="mine comes without tokenizer_2, and its text encoders read no prompt"):
        find_base(BaseChoice(str(folder)), SDXL)


def test_a_third_encoder_wants_its_tokenizer_where_it_is(tmp_path: Path) -> None:
    folder = build_tiny("sd35", tmp_path / "base")
    shutil.rmtree(folder / "tokenizer_3")
    with pytest.raises(ModelFileError, match="comes without tokenizer_3"):
        find_base(BaseChoice(str(folder)), FAMILIES["sd35"])


@pytest.mark.parametrize("lost", [("vae",), ("text_encoder", "vae")])
def test_a_folder_beside_a_denoiser_without_weights(lost: tuple[str, ...], tmp_path: Path) -> None:
    folder = build_tiny("zimage", tmp_path / "mine")
    shutil.copy(next((folder / "transformer").glob("*.safetensors")), tmp_path / "mine.safetensors")
    family = replace(FAMILIES["zimage"], sizes=())
    given = tuple(
        (part, str(as_comfyui_has_it(folder, part, tmp_path / f"{part}.safetensors")))
        for part in ("text_encoder", "vae")
    )
    without_weights(folder, *lost)
    fields = " and ".join(f"base_parts.{part}" for part in lost)
    choice = BaseChoice(str(tmp_path / "mine.safetensors"), "cpu")
    with pytest.raises(
        MissingModel, match=rf"holds no weights .* of {' and '.join(lost)}.* name their files: {fields}"
    ):
        find_base(choice, family)
    assert find_base(replace(choice, parts=given), family).borrows


def test_sd35_reads_prompts_without_t5(tmp_path: Path) -> None:
    """Its makers left it out in half of the training; with zeros in its place prompts and captions are read by the two
    CLIPs.
    """
    folder = build_tiny("sd35", tmp_path / "base")
    shutil.rmtree(folder / "text_encoder_3")
    index = json.loads((folder / "model_index.json").read_text()) | {"text_encoder_3": [None, None]}
    (folder / "model_index.json").write_text(json.dumps(index))
    base = open_base(BaseChoice(str(folder), "cpu", "float32"), FAMILIES["sd35"])
    words = base.prompts.embed("photo of ohwx ana")["prompt_embeds"]
    length = base.pipeline.tokenizer_max_length
    assert bool(words[:, :length].any()) and not bool(words[:, length:].any())


def test_a_folder_without_weights(tmp_path: Path) -> None:
    (tmp_path / "model_index.json").write_text(json.dumps({"_class_name": SDXL.pipeline}))
    with pytest.raises(MissingModel, match="no weights"):
        find_base(BaseChoice(str(tmp_path)), SDXL)


def test_a_truncated_weight_file(tiny_base: Path, tmp_path: Path) -> None:
    broken = copy(tiny_base, tmp_path / "broken")
    weights = next((broken / "unet").glob("*.safetensors"))
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(ModelFileError, match="cannot be loaded"):
        open_base(BaseChoice(str(broken), "cpu"), SDXL)


def test_a_single_file_without_its_configuration_asks_before_it_fetches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    some_weights(tmp_path / "model.safetensors")
    with pytest.raises(MissingModel, match=r"(?s)model\.safetensors is a single file.*allow_download"):
        find_base(BaseChoice(str(tmp_path / "model.safetensors")), SDXL)


def test_a_single_file_is_the_model_of_its_folder(full_base: Path, tmp_path: Path) -> None:
    """As checkpoints are shared on the web: one file in the original names, the configuration beside it."""
    copy(full_base, tmp_path / "model")
    write_single_file(full_base, tmp_path / "model.safetensors")
    whole, single = (
        open_base(BaseChoice(str(path), "cpu"), SDXL) for path in (full_base, tmp_path / "model.safetensors")
    )
    for part in ("unet", "vae", "text_encoder", "text_encoder_2"):
        ours, theirs = getattr(whole.pipeline, part).state_dict(), getattr(single.pipeline, part).state_dict()
        assert ours.keys() == theirs.keys(), part
        assert all((ours[name] == theirs[name]).all() for name in ours), part
    assert single.pipeline.tokenizer("photo of ohwx").input_ids == whole.pipeline.tokenizer("photo of ohwx").input_ids


def test_a_single_file_that_is_something_else(full_base: Path, tmp_path: Path) -> None:
    copy(full_base, tmp_path / "model")
    some_weights(tmp_path / "model.safetensors")
    with pytest.raises(ModelFileError, match="cannot be loaded as a StableDiffusionXLPipeline"):
        open_base(BaseChoice(str(tmp_path / "model.safetensors"), "cpu"), SDXL)


@pytest.mark.parametrize("name", ["sd35", "flux", "chroma", "flux2", "flux2-klein", "krea2", "zimage", "qwen-image"])
def test_a_single_file_is_the_denoiser_and_the_folder_beside_it_the_rest(name: str, tmp_path: Path) -> None:
    """As transformers are shared: the denoiser alone, here under diffusers' own names."""
    family = FAMILIES[name]
    folder = build_tiny(name, tmp_path / "model")
    shutil.move(str(next((folder / "transformer").glob("*.safetensors"))), tmp_path / "model.safetensors")
    single = open_base(BaseChoice(str(tmp_path / "model.safetensors"), "cpu"), family)
    state = {key.replace(".base_layer", ""): value for key, value in single.denoiser.state_dict().items()}
    kept = load_file(tmp_path / "model.safetensors")
    assert kept.keys() == state.keys() and all(torch.equal(state[key], value) for key, value in kept.items())
    assert single.pipeline.tokenizer is not None and single.pipeline.vae is not None


def test_a_z_image_file_in_the_original_names(tmp_path: Path) -> None:
    family = FAMILIES["zimage"]
    folder = build_tiny("zimage", tmp_path / "model")
    kept = load_file(next((folder / "transformer").glob("*.safetensors")))
    save_file(original_zimage(kept), tmp_path / "model.safetensors")
    assert preset_for(str(tmp_path / "model.safetensors")) == "zimage"
    single = open_base(BaseChoice(str(tmp_path / "model.safetensors"), "cpu"), family)
    state = single.denoiser.state_dict()
    assert kept.keys() == state.keys() and all(torch.equal(state[key], value) for key, value in kept.items())


@pytest.mark.parametrize("form", ["", "newer"])
@pytest.mark.parametrize("prefix", ["", "model.diffusion_model."])
def test_a_krea_2_file_in_the_original_names(form: str, prefix: str, tmp_path: Path) -> None:
    """As its makers have it, whole and, as ComfyUI's, in 8 bits."""
    family = FAMILIES["krea2"]
    folder = build_tiny("krea2", tmp_path / "model")
    kept = load_file(next((folder / "transformer").glob("*.safetensors")))
    original = original_krea2(kept)
    held = in_8_bits(original, form) if form else original
    assert not form or any(value.dtype == torch.float8_e4m3fn for value in held.values())
    save_file({prefix + name: value for name, value in held.items()}, tmp_path / "model.safetensors")
    assert preset_for(str(tmp_path / "model.safetensors")) == "krea2"
    single = open_base(BaseChoice(str(tmp_path / "model.safetensors"), "cpu"), family)
    state = single.denoiser.state_dict()
    assert kept.keys() == state.keys()
    for name, value in kept.items():
        assert torch.allclose(state[name], value, rtol=1 / 16, atol=1e-3) if form else torch.equal(state[name], value)


def test_layers_that_a_model_wants_in_float32_are_so_in_a_single_file_as_well(tmp_path: Path) -> None:
    """Krea 2's norms add one to their weights, of which bfloat16 would leave little."""
    folder = build_tiny("krea2", tmp_path / "model")
    kept = load_file(next((folder / "transformer").glob("*.safetensors")))
    save_file(original_krea2(kept), tmp_path / "file.safetensors")
    shutil.copytree(folder, tmp_path / "file")
    whole, single = (
        open_base(BaseChoice(str(base), "cpu", "bfloat16"), FAMILIES["krea2"]).denoiser.state_dict()
        for base in (folder, tmp_path / "file.safetensors")
    )
    kinds = {name: value.dtype for name, value in whole.items()}
    assert kinds == {name: value.dtype for name, value in single.items()} and len({*kinds.values()}) == 2
    assert all(torch.allclose(single[name], value, rtol=1 / 128) for name, value in whole.items())


def in_8_bits(kept: dict[str, Any], form: str) -> dict[str, Any]:
    """Blocks as ComfyUI's users share them: older and newer names of the factors, one by row, or none at all."""
    made = {}
    for name, value in kept.items():
        made[name] = value
        if value.ndim != 2 or not any(block in name for block in ("layers.", "blocks.")):
            continue
        layer = name.removesuffix(".weight")
        factor = torch.tensor(1.0) if form == "plain" else value.abs().max() / 448
        if form == "by row":
            factor = value.abs().amax(1, keepdim=True) / 448
        made[name] = (value / factor).to(torch.float8_e4m3fn)
        if form == "older":
            made |= {f"{layer}.scale_weight": factor.reshape(1), f"{layer}.scale_input": torch.ones(1)}
        elif form != "plain":
            note = json.dumps({"format": "float8_e4m3fn"}).encode()
            made |= {f"{layer}.weight_scale": factor, f"{layer}.comfy_quant": torch.tensor(list(note)).byte()}
    return made | ({"scaled_fp8": torch.zeros(2).to(torch.float8_e4m3fn)} if form == "older" else {})


@pytest.mark.parametrize("prefix", ["", "model.diffusion_model."])
@pytest.mark.parametrize("form", ["older", "newer", "by row", "plain"])
def test_weights_in_8_bits_are_those_that_are_meant(form: str, prefix: str, tmp_path: Path) -> None:
    folder = build_tiny("zimage", tmp_path / "model")
    kept = load_file(next((folder / "transformer").glob("*.safetensors")))
    held = in_8_bits(original_zimage(kept), form)
    save_file({prefix + name: value for name, value in held.items()}, tmp_path / "model.safetensors")
    for precision, dtype in (("float32", torch.float32), ("bfloat16", torch.bfloat16)):
        single = open_base(BaseChoice(str(tmp_path / "model.safetensors"), "cpu", precision), FAMILIES["zimage"])
        state = single.denoiser.state_dict()
        assert kept.keys() == state.keys()
        for name, value in state.items():
            # four bits of a number are kept, the leading one included
            assert value.dtype == dtype and torch.allclose(value.float(), kept[name], rtol=1 / 16, atol=1e-3), name


def test_a_factor_is_multiplied_before_the_number_is_rounded(tmp_path: Path) -> None:
    weight, factor = torch.tensor([[1.125, -2.25]]).to(torch.float8_e4m3fn), torch.tensor(1.0009765625)
    save_file({"a.weight": weight, "a.scale_weight": factor}, tmp_path / "x.safetensors")
    made = unscaled(tmp_path / "x.safetensors", torch.bfloat16)
    assert made.keys() == {"a.weight"} and torch.equal(made["a.weight"], (weight.float() * factor).bfloat16())


def test_other_packed_forms_are_refused_before_loading(tmp_path: Path) -> None:
    """A loader drops the tensors that it does not know, and draws with weights of another size."""
    config = build_tiny("zimage", tmp_path / "model")
    kept = original_zimage(load_file(next((config / "transformer").glob("*.safetensors"))))
    held = in_8_bits(kept, "newer")
    first = next(name for name in held if name.endswith(".weight_scale"))
    save_file({**held, first: torch.zeros(2, 2, dtype=torch.uint8)}, tmp_path / "model.safetensors")
    with pytest.raises(InputError, match=r"packed in fewer bits.*in 16 bits, as \.gguf or in fp8"):
        find_base(BaseChoice(str(tmp_path / "model.safetensors")), FAMILIES["zimage"])


def test_a_whole_checkpoint_in_scaled_fp8_is_refused(full_base: Path, tmp_path: Path) -> None:
    write_single_file(full_base, tmp_path / "plain.safetensors")
    kept = load_file(tmp_path / "plain.safetensors")
    name = next(name for name, value in kept.items() if name.endswith("attn1.to_q.weight"))
    kept |= {name: kept[name].to(torch.float8_e4m3fn), f"{name.removesuffix('weight')}scale_weight": torch.ones(1)}
    save_file(kept, tmp_path / "scaled.safetensors")
    with pytest.raises(InputError, match=r"(?s)not read from whole checkpoints\..*in 16 bits"):
        find_base(BaseChoice(str(tmp_path / "scaled.safetensors")), SDXL)


def original_zimage(kept: dict[str, Any]) -> dict[str, Any]:
    """Query, key and value in one matrix, and other names for the rest of attention."""
    made = {}
    for name, value in kept.items():
        if name.endswith("attention.to_q.weight"):
            parts = [kept[name.replace("to_q", f"to_{part}")] for part in "qkv"]
            made[name.replace("to_q", "qkv")] = torch.cat(parts)
        elif not name.endswith(("attention.to_k.weight", "attention.to_v.weight")):
            for ours, theirs in (
                ("to_out.0", "out"),
                ("norm_q", "q_norm"),
                ("norm_k", "k_norm"),
                ("all_x_embedder.2-1", "x_embedder"),
                ("all_final_layer.2-1", "final_layer"),
            ):
                name = name.replace(ours, theirs)
            made[name] = value
    return {name: value.contiguous().clone() for name, value in made.items()}


def test_a_single_file_of_another_family(tmp_path: Path) -> None:
    marks = [mark for mark in FAMILIES["flux"].single_file.marks[0] if not mark.startswith("!")]
    with pytest.raises(InputError, match=r"is a model of the family 'flux'.*set it to flux"):
        find_base(BaseChoice(str(some_weights(tmp_path / "model.safetensors", *marks))), SDXL)


def test_a_single_file_that_is_cut_off(tmp_path: Path) -> None:
    path = some_weights(tmp_path / "model.safetensors")
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(ModelFileError, match="cut off, 3 bytes are missing"):
        find_base(BaseChoice(str(path)), SDXL)


def test_the_size_of_a_download_is_named_where_it_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    for family in FAMILIES.values():
        with pytest.raises(
            MissingModel,
            match=(
                rf"(?s)about {re.escape(family.download)}.*hf download {re.escape(family.reference)}.*--allow-download"
            ),
        ):
            find_base(BaseChoice(family.reference), family)


def test_a_v_model_says_so_by_a_tensor(full_base: Path, tmp_path: Path) -> None:
    copy(full_base, tmp_path / "model")
    write_single_file(full_base, tmp_path / "model.safetensors")
    tensors = load_file(tmp_path / "model.safetensors")
    save_file({**tensors, "v_pred": torch.zeros(0), "ztsnr": torch.zeros(0)}, tmp_path / "model.safetensors")
    config = open_base(BaseChoice(str(tmp_path / "model.safetensors"), "cpu"), SDXL).scheduler_config
    assert (
        config.prediction_type == "v_prediction"
        and config.rescale_betas_zero_snr
        and config.timestep_spacing == "trailing"
    )


def test_the_configuration_beside_a_single_file_is_found(tmp_path: Path) -> None:
    some_weights(tmp_path / "model.safetensors")
    names = ("text_encoder", "text_encoder_2", "tokenizer", "tokenizer_2")
    for name in names:
        (tmp_path / "model" / name).mkdir(parents=True)
        (tmp_path / "model" / name / "config.json").touch()
    (tmp_path / "model" / "model_index.json").write_text(json.dumps({name: ["a", "b"] for name in names}))
    assert find_base(BaseChoice(str(tmp_path / "model.safetensors")), SDXL).config == tmp_path / "model"


def test_half_precision_variants(tmp_path: Path) -> None:
    unet = tmp_path / "unet"
    unet.mkdir()
    (unet / "diffusion_pytorch_model.fp16.safetensors").touch()
    assert variant_of(tmp_path, "unet", half=False) == "fp16"  # there is nothing else
    (unet / "diffusion_pytorch_model.safetensors").touch()
    assert variant_of(tmp_path, "unet", half=True) == "fp16"
    assert variant_of(tmp_path, "unet", half=False) is None


def test_the_fingerprint_follows_the_content_not_the_place(tiny_base: Path, full_base: Path, tmp_path: Path) -> None:
    moved = copy(tiny_base, tmp_path / "moved")
    before = find_base(BaseChoice(str(tiny_base)), SDXL).fingerprint()
    assert find_base(BaseChoice(str(moved)), SDXL).fingerprint() == before
    assert find_base(BaseChoice(str(full_base)), SDXL).fingerprint() != before
    weights = next((moved / "unet").glob("*.safetensors"))
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(bytes(data))
    assert find_base(BaseChoice(str(moved)), SDXL).fingerprint() != before


def test_the_fingerprint_of_a_denoiser_alone_follows_what_it_borrows(tmp_path: Path) -> None:
    """Embeddings and latents are kept under it."""
    file, home = tmp_path / "mine.safetensors", tmp_path / "mine"
    file.write_bytes(b"denoiser")
    for name in (
        "model_index.json",
        "text_encoder_2/model.safetensors",
        "vae/model.safetensors",
        "transformer/model.safetensors",
    ):
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_bytes(b"1")

    def changed(name: str, borrows: bool) -> bool:
        before = BaseFiles(file, home, borrows).fingerprint()
        (home / name).write_bytes((home / name).read_bytes() + b"1")
        return BaseFiles(file, home, borrows).fingerprint() != before

    assert all(
        changed(name, True)
        for name in ("model_index.json", "text_encoder_2/model.safetensors", "vae/model.safetensors")
    )
    assert not changed("transformer/model.safetensors", True)
    assert changed("model_index.json", False) and not changed("vae/model.safetensors", False)


def test_generator_and_trainer_share_one_base(tiny_base: Path) -> None:
    assert open_base(BaseChoice(str(tiny_base), "cpu"), SDXL) is open_base(
        BaseChoice(str(tiny_base), "cpu"), replace(SDXL)
    )


def test_a_base_in_memory_serves_its_own_family_only(full_base: Path) -> None:
    other = replace(SDXL, targets=("attn2.to_q",))
    first = open_base(BaseChoice(str(full_base), "cpu"), SDXL)
    assert open_base(BaseChoice(str(full_base), "cpu"), SDXL) is first
    assert open_base(BaseChoice(str(full_base), "cpu"), other).family.targets == ("attn2.to_q",)
    assert open_base(BaseChoice(str(full_base), "cpu"), SDXL).family == SDXL
