"""What a base model is called in files that are passed on, and where its LoRA's record says it lies."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from twinloop.store.models.base_name import BASE_NAME, base_name, base_title, is_hub_id, recorded_base


@pytest.mark.parametrize(
    ("base", "name", "title"),
    [
        ("/home/ana/models/sd_xl_1.0.safetensors", "sd_xl_1.0.safetensors", "sd_xl_1.0"),
        (r"C:\Users\ana\sd_xl_1.0.safetensors", "sd_xl_1.0.safetensors", "sd_xl_1.0"),
        ("~/models/sd_xl_1.0", "sd_xl_1.0", "sd_xl_1.0"),
        ("../models/juggernaut.ckpt", "juggernaut.ckpt", "juggernaut"),
        ("stabilityai/stable-diffusion-xl-base-1.0",) * 3,
        ("nano", "nano", "nano"),
        ("", "", ""),
    ],
)
def test_paths_lose_their_folders_and_ids_stay_whole(base: str, name: str, title: str) -> None:
    assert (base_name(base), base_title(base)) == (name, title)


def test_a_path_from_here_is_one_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models" / "flux.1").mkdir(parents=True)
    assert base_name("models/flux.1") == base_name("models/flux.1/") == base_title("models/flux.1") == "flux.1"


@pytest.mark.parametrize(
    ("name", "could"),
    [
        ("stabilityai/stable-diffusion-xl-base-1.0", True),
        ("_/_", True),
        ("a/" + "b" * 96, True),
        ("a/" + "b" * 97, False),
        ("../models", False),
        ("models/..", False),
        ("models/-sdxl", False),
        ("models./sdxl", False),
        ("my--models/sdxl", False),
        ("models/sdxl.git", False),
        ("modèles/sdxl", False),
        ("models/sdxl\n", False),
        ("sdxl", False),
        ("a/b/c", False),
    ],
)
def test_names_that_the_hub_can_have_are_those_of_its_library(name: str, could: bool) -> None:
    validators = pytest.importorskip("huggingface_hub.utils._validators")
    try:
        validators.validate_repo_id(name)
        refused = False
    except ValueError:
        refused = True
    assert is_hub_id(name) is could
    assert could is (not refused and "/" in name)


@pytest.mark.parametrize(
    "name",
    ["ana.safetensors", "ana_kohya.safetensors", "ana-step00000050.safetensors", "ana-step00000050_kohya.safetensors"],
)
def test_the_record_beside_it_knows_where_the_base_lies(name: str, tmp_path: Path) -> None:
    (tmp_path / "ana.json").write_text(json.dumps({"base_model": "/models/base.safetensors"}))
    texts = {BASE_NAME: "base.safetensors", "ss_output_name": "ana"}
    assert recorded_base(tmp_path / name, texts) == "/models/base.safetensors"
    assert recorded_base(tmp_path / name, {BASE_NAME: "other.safetensors"}) == ""
    assert recorded_base(tmp_path / "lora.safetensors", texts) == "/models/base.safetensors"
    renamed = {BASE_NAME: "base.safetensors", "ss_output_name": "small", "twinloop.trained_as": "ana"}
    assert recorded_base(tmp_path / "small.safetensors", renamed) == "/models/base.safetensors"
    assert recorded_base(tmp_path / "lora.safetensors", {BASE_NAME: "base.safetensors"}) == ""


@pytest.mark.parametrize("text", ["", "[1]", '{"base_model": 3}', '{"description": "of a web interface"}'])
def test_what_is_no_record_says_nothing(text: str, tmp_path: Path) -> None:
    (tmp_path / "ana.json").write_text(text)
    assert recorded_base(tmp_path / "ana.safetensors", {BASE_NAME: "base.safetensors"}) == ""
