"""A base model that is not there, or not what it should be, is one clear message with the next step."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("diffusers")

from tests.single_file import write_single_file
from twinloop.adapters.diffusion.base_files import find_base, variant_of
from twinloop.adapters.diffusion.base_model import open_base
from twinloop.adapters.diffusion.compute import choose_compute
from twinloop.errors import InputError, MissingModel, ModelFileError
from twinloop.families import FAMILIES

SDXL = FAMILIES["sdxl"]


def copy(base: Path, to: Path) -> Path:
    shutil.copytree(base, to)
    return to


def test_missing_folder() -> None:
    with pytest.raises(MissingModel, match="no folder or file at /nowhere/at/all"):
        find_base("/nowhere/at/all", SDXL, False)


def test_a_hub_id_that_is_not_in_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(MissingModel, match="allow_download") as caught:
        find_base("someone/some-model", SDXL, False)
    assert "hf download someone/some-model" in str(caught.value)


def test_a_folder_that_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=r"no model_index\.json"):
        find_base(str(tmp_path), SDXL, False)


def test_a_model_of_another_family(tmp_path: Path) -> None:
    (tmp_path / "model_index.json").write_text(json.dumps({"_class_name": "FluxPipeline"}))
    with pytest.raises(InputError, match=r"FluxPipeline.*training\.preset"):
        find_base(str(tmp_path), SDXL, False)


def test_damaged_index(tmp_path: Path) -> None:
    (tmp_path / "model_index.json").write_text("{")
    with pytest.raises(ModelFileError, match="not valid JSON"):
        find_base(str(tmp_path), SDXL, False)


@pytest.mark.parametrize("name", ["model.ckpt", "model.pt", "model.bin"])
def test_pickles_are_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"x")
    with pytest.raises(ModelFileError, match="run code"):
        find_base(str(tmp_path / name), SDXL, False)


def test_a_folder_of_pickles_is_refused(tmp_path: Path) -> None:
    (tmp_path / "unet").mkdir()
    (tmp_path / "unet" / "diffusion_pytorch_model.bin").write_bytes(b"x")
    (tmp_path / "model_index.json").write_text(json.dumps({"_class_name": SDXL.pipeline}))
    with pytest.raises(ModelFileError, match="pickles"):
        find_base(str(tmp_path), SDXL, False)


def test_a_folder_without_weights(tmp_path: Path) -> None:
    (tmp_path / "model_index.json").write_text(json.dumps({"_class_name": SDXL.pipeline}))
    with pytest.raises(MissingModel, match="no weights"):
        find_base(str(tmp_path), SDXL, False)


def test_a_truncated_weight_file(tiny_base: Path, tmp_path: Path) -> None:
    broken = copy(tiny_base, tmp_path / "broken")
    weights = next((broken / "unet").glob("*.safetensors"))
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(ModelFileError, match="cannot be loaded"):
        open_base(str(broken), SDXL, "cpu", False)


def test_a_single_file_without_its_configuration_asks_before_it_fetches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    (tmp_path / "model.safetensors").write_bytes(b"x")
    with pytest.raises(MissingModel, match=r"model\.safetensors is a single file.*allow_download"):
        find_base(str(tmp_path / "model.safetensors"), SDXL, False)


def test_a_single_file_is_the_model_of_its_folder(full_base: Path, tmp_path: Path) -> None:
    """As checkpoints are shared on the web: one file in the original names, the configuration beside it."""
    copy(full_base, tmp_path / "model")
    write_single_file(full_base, tmp_path / "model.safetensors")
    whole, single = (open_base(str(path), SDXL, "cpu", False) for path in (full_base, tmp_path / "model.safetensors"))
    for part in ("unet", "vae", "text_encoder", "text_encoder_2"):
        ours, theirs = getattr(whole.pipeline, part).state_dict(), getattr(single.pipeline, part).state_dict()
        assert ours.keys() == theirs.keys(), part
        assert all((ours[name] == theirs[name]).all() for name in ours), part
    assert single.pipeline.tokenizer("photo of ohwx").input_ids == whole.pipeline.tokenizer("photo of ohwx").input_ids


def test_a_single_file_that_is_something_else(full_base: Path, tmp_path: Path) -> None:
    copy(full_base, tmp_path / "model")
    shutil.copy(next((full_base / "vae").glob("*.safetensors")), tmp_path / "model.safetensors")
    with pytest.raises(ModelFileError, match="cannot be loaded as a StableDiffusionXLPipeline"):
        open_base(str(tmp_path / "model.safetensors"), SDXL, "cpu", False)


def test_the_configuration_beside_a_single_file_is_found(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"x")
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "model_index.json").write_text("{}")
    assert find_base(str(tmp_path / "model.safetensors"), SDXL, False).config == tmp_path / "model"


def test_half_precision_variants(tmp_path: Path) -> None:
    unet = tmp_path / "unet"
    unet.mkdir()
    (unet / "diffusion_pytorch_model.fp16.safetensors").touch()
    assert variant_of(tmp_path, half=False) == "fp16"  # there is nothing else
    (unet / "diffusion_pytorch_model.safetensors").touch()
    assert variant_of(tmp_path, half=True) == "fp16"
    assert variant_of(tmp_path, half=False) is None


def test_the_fingerprint_follows_the_content_not_the_place(tiny_base: Path, full_base: Path, tmp_path: Path) -> None:
    moved = copy(tiny_base, tmp_path / "moved")
    before = find_base(str(tiny_base), SDXL, False).fingerprint()
    assert find_base(str(moved), SDXL, False).fingerprint() == before
    assert find_base(str(full_base), SDXL, False).fingerprint() != before
    weights = next((moved / "unet").glob("*.safetensors"))
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(bytes(data))
    assert find_base(str(moved), SDXL, False).fingerprint() != before


def test_generator_and_trainer_share_one_base(tiny_base: Path) -> None:
    assert open_base(str(tiny_base), SDXL, "cpu", False) is open_base(str(tiny_base), SDXL, "cpu", False)
    assert open_base(str(tiny_base), replace(SDXL, targets=("to_q",)), "cpu", False) is open_base(
        str(tiny_base), SDXL, "cpu", False
    )


def test_a_device_that_is_not_there() -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    with pytest.raises(InputError, match='"device": "auto"'):
        choose_compute("cuda")
    assert choose_compute("auto").dtype in (torch.float32, torch.float16)
