"""A file that is to take the place of a part of the base model is looked at before anything is loaded."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")

import transformers  # noqa: E402
from safetensors.torch import load_file, save_file  # noqa: E402

from tests.helpers.part_files import as_comfyui_has_it, tensors_of, write, write_open_clip  # noqa: E402
from tests.helpers.single_file import write_single_file  # noqa: E402
from tests.helpers.tiny_families import build_tiny  # noqa: E402
from twinloop.adapters.diffusion import part_loading  # noqa: E402
from twinloop.adapters.diffusion.base_choice import BaseChoice  # noqa: E402
from twinloop.adapters.diffusion.base_files import check_given, find_base  # noqa: E402
from twinloop.adapters.diffusion.base_model import open_base  # noqa: E402
from twinloop.adapters.diffusion.part_files import whole_parts  # noqa: E402
from twinloop.adapters.diffusion.part_loading import load_parts  # noqa: E402
from twinloop.errors import InputError, MissingModel, ModelFileError, StateError  # noqa: E402
from twinloop.families import FAMILIES  # noqa: E402
from twinloop.store.models.part_hashes import hashes_of_parts  # noqa: E402


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    home = tmp_path_factory.mktemp("folders")
    names = ("sdxl", "sd35", "flux", "zimage", "qwen-image", "qwen-image-edit", "krea2", "flux2")
    return {name: build_tiny(name, home / name) for name in names}


def find(folder: Path, name: str, **parts: Path) -> None:
    given = tuple((part, str(path)) for part, path in parts.items())
    find_base(BaseChoice(str(folder), "cpu", parts=given), FAMILIES[name])


def loaded(folder: Path, part: str, path: Path, dtype: Any = torch.float32) -> Any:
    return load_parts(whole_parts(((part, str(path)),)), folder, dtype)[part]


@pytest.mark.parametrize(
    ("family", "part", "source", "told"),
    [
        ("flux", "vae", ("flux", "text_encoder"), r"is a CLIP text encoder, and the vae .* AutoencoderKL\. It fits"),
        (
            "flux",
            "text_encoder",
            ("flux", "text_encoder_2"),
            r"a T5 text encoder, .*It fits base_parts\.text_encoder_2",
        ),
        ("flux", "text_encoder_2", ("zimage", "text_encoder"), r"a Qwen 3 text encoder, .*Give another file"),
        ("zimage", "text_encoder", ("qwen-image", "text_encoder"), r"a Qwen 2\.5 text encoder, .*qwen3"),
        ("flux2", "text_encoder", ("zimage", "text_encoder"), r"a Qwen 3 text encoder, .*mistral3"),
        ("qwen-image", "vae", ("flux", "vae"), r"is an autoencoder, .*AutoencoderKLQwenImage"),
        ("flux", "vae", ("flux2", "vae"), r"a FLUX\.2 autoencoder, .*AutoencoderKL\."),
        ("flux", "vae", ("sdxl", "vae"), r"latent_channels 4, .*latent_channels 16: they are of two models"),
        ("sd35", "text_encoder_3", ("flux", "text_encoder_2"), r"d_model 16, .*d_model 32: they are of two models"),
    ],
)
def test_a_file_of_another_part_family_or_size(
    family: str, part: str, source: tuple[str, str], told: str, folders: dict[str, Path], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    path = as_comfyui_has_it(folders[source[0]], source[1], tmp_path / "file.safetensors")
    monkeypatch.setattr(torch.nn.Module, "__init__", None)  # nothing is loaded
    with pytest.raises(InputError, match=rf"^base_parts\.{part}: .*{told}"):
        find(folders[family], family, **{part: path})


def test_what_is_no_part_at_all(folders: dict[str, Path], tmp_path: Path) -> None:
    write_single_file(folders["sdxl"], tmp_path / "whole.safetensors")
    save_file({"some.weight": torch.zeros(2)}, tmp_path / "else.safetensors")
    save_file({"lora_te1_text_model.lora_down.weight": torch.zeros(2)}, tmp_path / "lora.safetensors")
    for name, told in (
        ("whole", "a model of the family 'sdxl'.*Give the file of the autoencoder alone"),
        ("else", "no text encoder or autoencoder that is known here"),
        ("lora", "a LoRA"),
    ):
        with pytest.raises(InputError, match=told):
            find(folders["sdxl"], "sdxl", vae=tmp_path / f"{name}.safetensors")


def test_files_that_cannot_be_read(folders: dict[str, Path], tmp_path: Path) -> None:
    file = as_comfyui_has_it(folders["flux"], "vae", tmp_path / "ae.safetensors")
    (tmp_path / "cut.safetensors").write_bytes(file.read_bytes()[:-10])
    (tmp_path / "t5.gguf").write_bytes(b"GGUF")
    (tmp_path / "vae.pt").write_bytes(b"x")
    bits = {**load_file(file), "encoder.mid.block_1.conv1.weight": torch.zeros((8, 8, 3, 3), dtype=torch.int8)}
    write(bits, tmp_path / "int8.safetensors")
    told: tuple[tuple[str, type[Exception], str], ...] = (
        ("missing.safetensors", MissingModel, r"base_parts\.vae: no file at"),
        ("", InputError, "is a folder"),
        ("cut.safetensors", ModelFileError, r"base_parts\.vae: .*cut off, 10 bytes are missing"),
        ("t5.gguf", InputError, r"only denoisers are read from \.gguf"),
        ("vae.pt", ModelFileError, "can run code"),
        ("int8.safetensors", InputError, "packed in a form that is not read here"),
    )
    for name, kind, words in told:
        with pytest.raises(kind, match=words):
            find(folders["flux"], "flux", vae=tmp_path / name)


def test_a_part_that_the_base_does_not_have(folders: dict[str, Path], tmp_path: Path) -> None:
    file = as_comfyui_has_it(folders["sd35"], "text_encoder_3", tmp_path / "t5xxl.safetensors")
    with pytest.raises(ModelFileError, match=r"base_parts\.text_encoder_3: the base model has no text_encoder_3"):
        find(folders["flux"], "flux", text_encoder_3=file)


@pytest.mark.parametrize("entry", [[None, None], None])
def test_a_part_that_the_index_of_the_base_leaves_out(
    entry: list[None] | None, folders: dict[str, Path], tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(folders["sd35"], tmp_path / "sd35"))
    file = as_comfyui_has_it(folder, "text_encoder_3", tmp_path / "t5xxl.safetensors")
    index = json.loads((folder / "model_index.json").read_text()) | {"text_encoder_3": entry}
    (folder / "model_index.json").write_text(json.dumps(index))
    with pytest.raises(ModelFileError, match=r"does without text_encoder_3, because its entry in .*model_index\.json"):
        find(folder, "sd35", text_encoder_3=file)


def test_a_text_encoder_from_a_file_needs_the_tokenizer_of_the_base(folders: dict[str, Path], tmp_path: Path) -> None:
    folder = Path(shutil.copytree(folders["sd35"], tmp_path / "sd35"))
    file = as_comfyui_has_it(folder, "text_encoder_3", tmp_path / "t5xxl.safetensors")
    shutil.rmtree(folder / "tokenizer_3")
    with pytest.raises(ModelFileError, match="comes without tokenizer_3"):
        find(folder, "sd35", text_encoder_3=file)


def test_a_language_model_that_sees_pictures_is_not_taken_for_one_that_sees_none(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    tensors = tensors_of(folders["zimage"], "text_encoder")
    named = {f"model.language_model.{name}": value for name, value in tensors.items()}
    seeing = {**named, "model.visual.blocks.0.attn.qkv.weight": torch.zeros(2, 2)}
    find(folders["zimage"], "zimage", text_encoder=write(named, tmp_path / "qwen3.safetensors"))
    with pytest.raises(InputError, match=r"sees pictures \(Qwen3-VL\), and the text_encoder .* of the kind qwen3"):
        find(folders["zimage"], "zimage", text_encoder=write(seeing, tmp_path / "qwen3vl.safetensors"))
    blind = {n: v for n, v in tensors_of(folders["krea2"], "text_encoder").items() if not n.startswith("visual.")}
    whole = as_comfyui_has_it(folders["krea2"], "text_encoder", tmp_path / "vl.safetensors")
    find(folders["krea2"], "krea2", text_encoder=whole)
    with pytest.raises(InputError, match=r"that sees none, and the text_encoder .* qwen3_vl, which sees pictures"):
        find(folders["krea2"], "krea2", text_encoder=write(blind, tmp_path / "blind.safetensors"))


def test_a_file_that_was_changed_since_the_settings_were_read(folders: dict[str, Path], tmp_path: Path) -> None:
    file = as_comfyui_has_it(folders["flux"], "vae", tmp_path / "ae.safetensors")
    parts = (("vae", str(file)),)
    hashes = tuple(hashes_of_parts(parts).items())
    choice = BaseChoice(str(folders["flux"]), "cpu", "float32", parts=parts, part_hashes=hashes)
    assert open_base(choice, FAMILIES["flux"])
    kept = file.read_bytes()
    write({name: value * 1.01 for name, value in load_file(file).items()}, file)
    with pytest.raises(StateError, match=r"base_parts\.vae: .*ae\.safetensors was changed after this program began"):
        open_base(choice, FAMILIES["flux"])
    file.write_bytes(kept)
    assert open_base(choice, FAMILIES["flux"])


def test_where_no_configuration_is_at_hand_kinds_are_told_apart(folders: dict[str, Path], tmp_path: Path) -> None:
    vae = as_comfyui_has_it(folders["flux"], "vae", tmp_path / "ae.safetensors")
    t5 = as_comfyui_has_it(folders["flux"], "text_encoder_2", tmp_path / "t5.safetensors")
    known = ("text_encoder_2", str(t5)), ("vae", str(vae))
    for base in ("/elsewhere/flux1-dev.safetensors", "someone/not-here", str(vae)):
        check_given(BaseChoice(base, parts=known), FAMILIES["flux"])
        for name, file in (("vae", t5), ("text_encoder", vae)):
            with pytest.raises(InputError, match=rf"^base_parts\.{name}: .*Give the file of the"):
                check_given(BaseChoice(base, parts=((name, str(file)),)), FAMILIES["flux"])


def test_a_text_encoder_that_sees_no_photos_does_not_serve_a_model_that_edits(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    tensors = tensors_of(folders["qwen-image"], "text_encoder")
    blind = write({n: v for n, v in tensors.items() if not n.startswith("visual")}, tmp_path / "qwen.safetensors")
    find(folders["qwen-image"], "qwen-image", text_encoder=blind)
    model = loaded(folders["qwen-image"], "text_encoder", blind)
    assert not [name for name, _ in model.named_parameters() if "visual" in name]
    with pytest.raises(InputError, match="sees no pictures, and models of the family 'qwen-image-edit'"):
        find(folders["qwen-image-edit"], "qwen-image-edit", text_encoder=blind)


def test_a_file_that_lacks_tensors_is_not_filled_up_at_random(folders: dict[str, Path], tmp_path: Path) -> None:
    for part, lost in (
        ("text_encoder_2", "encoder.block.0.layer.1.DenseReluDense.wo.weight"),
        ("vae", "decoder.mid.block_1.conv1.weight"),
    ):
        file = as_comfyui_has_it(folders["flux"], part, tmp_path / f"{part}.safetensors")
        write({name: value for name, value in load_file(file).items() if name != lost}, file)
        given = ((part, str(file)),)
        with pytest.raises(ModelFileError, match=rf"base_parts\.{part}: .*1 of its tensors are missing"):
            open_base(BaseChoice(str(folders["flux"]), "cpu", "float32", parts=given), FAMILIES["flux"])


NAMES = {
    "without": "",
    "of ComfyUI's saved encoders": "clip_l.transformer.text_model.",
    "of transformers": "transformer.text_model.",
}


@pytest.mark.parametrize("prefix", NAMES.values(), ids=NAMES)
def test_names_of_clip(prefix: str, folders: dict[str, Path], tmp_path: Path) -> None:
    tensors = tensors_of(folders["flux"], "text_encoder")
    named = {prefix + name: value for name, value in tensors.items()}
    named |= {"logit_scale": torch.ones(()), f"{prefix}embeddings.position_ids": torch.arange(16)[None]}
    model = loaded(folders["flux"], "text_encoder", write(named, tmp_path / "clip_l.safetensors"))
    assert same(model, tensors)


def test_names_of_t5_and_of_a_whole_t5(folders: dict[str, Path], tmp_path: Path) -> None:
    tensors = tensors_of(folders["flux"], "text_encoder_2")
    named = {f"t5xxl.transformer.{name}": value for name, value in tensors.items()}
    named["t5xxl.transformer.encoder.embed_tokens.weight"] = named.pop("t5xxl.transformer.shared.weight")
    named["t5xxl.transformer.decoder.block.0.layer.0.SelfAttention.q.weight"] = torch.zeros(2, 2)
    model = loaded(folders["flux"], "text_encoder_2", write(named, tmp_path / "t5.safetensors"))
    assert same(model, tensors)


def test_clip_g_in_the_names_of_open_clip(folders: dict[str, Path], tmp_path: Path) -> None:
    path = write_open_clip(folders["sdxl"], "text_encoder_2", tmp_path / "clip_g.safetensors")
    find(folders["sdxl"], "sdxl", text_encoder_2=path)
    assert same(loaded(folders["sdxl"], "text_encoder_2", path), tensors_of(folders["sdxl"], "text_encoder_2"))


def test_clip_l_of_sd35_has_no_projection_in_most_files(
    folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tensors = tensors_of(folders["sd35"], "text_encoder")
    path = write({n: v for n, v in tensors.items() if "projection" not in n}, tmp_path / "clip_l.safetensors")
    with pytest.raises(ModelFileError, match="text_projection"):
        loaded(folders["sd35"], "text_encoder", path)
    monkeypatch.setattr(part_loading, "_CLIP_L", 16)
    assert torch.equal(loaded(folders["sd35"], "text_encoder", path).text_projection.weight, torch.eye(16))


def same(model: Any, tensors: dict[str, Any]) -> bool:
    """Whether a model has just these weights."""
    found = {name.removeprefix("text_model."): value for name, value in model.state_dict().items()}
    wanted = {name.removeprefix("text_model."): value for name, value in tensors.items()}
    return all(torch.equal(found[name], value) for name, value in wanted.items())


@pytest.mark.parametrize("scaled", [False, True], ids=["plain", "scaled"])
def test_fp8_is_unpacked(scaled: bool, folders: dict[str, Path], tmp_path: Path) -> None:
    packed: dict[str, Any] = {}
    expected: dict[str, Any] = {}
    for name, value in tensors_of(folders["zimage"], "text_encoder").items():
        full = f"model.{name}"
        if value.ndim != 2:
            packed[full] = expected[name] = value
        elif scaled:
            factor = value.abs().max() / 448
            packed[full] = (value / factor).to(torch.float8_e4m3fn)
            packed[f"{full.removesuffix('.weight')}.scale_weight"] = factor
            expected[name] = packed[full].float() * factor
        else:
            packed[full] = value.to(torch.float8_e4m3fn)
            expected[name] = packed[full].float()
    if scaled:
        packed["scaled_fp8"] = torch.zeros(2, dtype=torch.float8_e4m3fn)
    path = write(packed, tmp_path / "qwen_3_4b_fp8.safetensors")
    find(folders["zimage"], "zimage", text_encoder=path)
    assert same(loaded(folders["zimage"], "text_encoder", path), expected)
    half = loaded(folders["zimage"], "text_encoder", path, torch.bfloat16)
    assert {value.dtype for value in half.parameters()} == {torch.bfloat16}


def test_four_bits_are_refused(folders: dict[str, Path], tmp_path: Path) -> None:
    tensors = {f"model.{name}": value for name, value in tensors_of(folders["zimage"], "text_encoder").items()}
    layer = "model.layers.0.mlp.down_proj"
    tensors |= {f"{layer}.comfy_quant": torch.zeros(4, dtype=torch.uint8), f"{layer}.weight_scale": torch.ones(16, 1)}
    tensors[f"{layer}.weight"] = torch.zeros((16, 8), dtype=torch.uint8)
    with pytest.raises(InputError, match="packed in a form that is not read here"):
        find(folders["zimage"], "zimage", text_encoder=write(tensors, tmp_path / "qwen_3_4b_fp4.safetensors"))


def test_loading_draws_nothing_from_the_common_random_numbers(folders: dict[str, Path], tmp_path: Path) -> None:
    path = as_comfyui_has_it(folders["flux2"], "text_encoder", tmp_path / "mistral.safetensors")
    torch.manual_seed(3)
    wanted = torch.rand(1)
    torch.manual_seed(3)
    model = loaded(folders["flux2"], "text_encoder", path)
    assert torch.equal(torch.rand(1), wanted)
    assert isinstance(model, transformers.Mistral3ForConditionalGeneration)
    assert not [name for name, _ in model.named_parameters() if "vision" in name or "lm_head" in name]


def test_the_weights_that_a_file_replaces_may_be_missing_or_broken(folders: dict[str, Path], tmp_path: Path) -> None:
    folder = Path(shutil.copytree(folders["flux"], tmp_path / "flux"))
    file = as_comfyui_has_it(folder, "text_encoder_2", tmp_path / "t5.safetensors")
    (weights,) = (folder / "text_encoder_2").glob("*.safetensors")
    weights.write_bytes(b"cut")
    with pytest.raises(ModelFileError):
        find(folder, "flux")
    find(folder, "flux", text_encoder_2=file)
    weights.unlink()
    with pytest.raises(MissingModel):
        find(folder, "flux")
    find(folder, "flux", text_encoder_2=file)
    (folder / "text_encoder_2" / "config.json").unlink()
    with pytest.raises(ModelFileError, match=r"lacks config\.json, which a file needs"):
        find(folder, "flux", text_encoder_2=file)


def test_a_longer_language_model_than_prompts_need_may_be_cut_and_no_other(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(folders["zimage"], tmp_path / "zimage"))
    file = as_comfyui_has_it(folder, "text_encoder", tmp_path / "qwen.safetensors")
    config = json.loads((folder / "text_encoder" / "config.json").read_text()) | {"num_hidden_layers": 36}
    (folder / "text_encoder" / "config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match=r"num_hidden_layers 2, .*num_hidden_layers 36"):
        find(folder, "zimage", text_encoder=file)


def test_the_fingerprint_follows_the_content_of_the_files(folders: dict[str, Path], tmp_path: Path) -> None:
    one = as_comfyui_has_it(folders["flux"], "vae", tmp_path / "one.safetensors")
    two = Path(shutil.copy(one, tmp_path / "two.safetensors"))
    plain = BaseChoice(str(folders["flux"]), "cpu")

    def fingerprint(*parts: tuple[str, str]) -> str:
        return find_base(replace(plain, parts=parts), FAMILIES["flux"]).fingerprint()

    assert fingerprint(("vae", str(one))) == fingerprint(("vae", str(two))) != fingerprint()
    tensors = load_file(two)
    write({name: value * 1.01 for name, value in tensors.items()}, two)
    assert fingerprint(("vae", str(one))) != fingerprint(("vae", str(two)))
