"""``twinloop export musubi-tuner``: dataset, configurations and script, as the command writes them."""

from __future__ import annotations

import json
import shlex
import tomllib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.functional.console import configuration, twinloop
from twinloop.domain.records import Dataset, Member
from twinloop.store.atomic import sha256_file, write_json

PIXELS = np.random.default_rng(0).integers(0, 255, (64, 48, 3), np.uint8)
CALL = ("export", "musubi-tuner", "--output", "out", "--person", "ohwx ana")


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "ana"
    folder.mkdir()
    for number, name in enumerate("ab"):
        Image.fromarray(np.roll(PIXELS, number)).save(folder / f"{name}.png")
        (folder / f"{name}.txt").write_text(f"ohwx ana, picture {name}")
    return folder


def commands() -> list[list[str]]:
    lines = Path("out/train.sh").read_text().splitlines()
    return [shlex.split(line) for line in lines if line.startswith(("python ", "accelerate "))]


@pytest.mark.parametrize(
    ("base", "script"),
    [
        ("Tongyi-MAI/Z-Image", "zimage"),
        ("Qwen/Qwen-Image", "qwen_image"),
        ("Qwen/Qwen-Image-Edit-2509", "qwen_image"),
        ("black-forest-labs/FLUX.2-dev", "flux_2"),
        ("black-forest-labs/FLUX.2-klein-base-4B", "flux_2"),
    ],
)
def test_everything_that_is_named_is_there(
    base: str, script: str, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = twinloop(capsys, *CALL, "--dataset", "ana", "--base-model", base, "--steps", "700", "--json")
    assert said.code == 0, said.err
    assert {item["name"] for item in said.data["files"]} >= {"dataset.toml", "training.toml", "train.sh", "README.txt"}
    (dataset,) = tomllib.loads(Path("out/dataset.toml").read_text())["datasets"]
    assert len(list(Path(dataset["image_directory"]).glob("*.png"))) == 2
    assert len(list(Path(dataset["image_directory"]).glob("*.txt"))) == 2
    training = tomllib.loads(Path("out/training.toml").read_text())
    assert Path(training["dataset"]["dataset_config"]).samefile("out/dataset.toml")
    assert training["training"]["max_train_steps"] == 700
    for words, step in zip(commands(), ("cache_latents", "cache_text_encoder_outputs", "train_network"), strict=True):
        assert f"src/musubi_tuner/{script}_{step}.py" in words
        assert all(Path(word).is_file() for word in words if word.endswith(".toml"))
    readme = Path("out/README.txt").read_text()
    assert "train.sh" in readme and "DIT, VAE, TEXT_ENCODER" in readme and "not tried with it" in readme
    assert json.loads(Path("out/manifest.json").read_text())["export"] == "musubi-tuner"


def test_weights_become_repeats(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    members = [
        Member(str(photos / name), sha256_file(photos / name), f"ohwx ana {name}", "real", 1, weight)
        for name, weight in (("a.png", 1.0), ("b.png", 0.5))
    ]
    write_json(Path("dataset_iter1.json"), Dataset(tuple(members)).to_json())
    said = twinloop(capsys, *CALL, "--dataset", "dataset_iter1.json", "--base-model", "Tongyi-MAI/Z-Image")
    assert said.code == 0, said.err
    datasets = tomllib.loads(Path("out/dataset.toml").read_text())["datasets"]
    assert [one["num_repeats"] for one in datasets] == [2, 1]


def test_what_has_no_argument_there_is_one_notice(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (photos.parent / "masks").mkdir()
    Image.new("L", (48, 64), 100).save(photos.parent / "masks" / "a.png")
    training = {"masks": "masks", "ema_decay": 0.99, "shuffle_captions": True, "blocks_to_swap": 8}
    config = configuration(
        photos.parent, dataset_dir="ana", base_model="Tongyi-MAI/Z-Image", quantization="nf4", training=training
    )
    said = twinloop(capsys, *CALL, "--config", config)
    assert said.code == 0, said.err
    (told,) = [line for line in said.err.splitlines() if "cannot be said to musubi-tuner" in line]
    assert all(
        name in told
        for name in ("training.masks", "training.ema_decay", "training.shuffle_captions", "quantization nf4")
    )
    assert "blocks_to_swap" not in told and not list(Path("out").rglob("masks"))
    found = tomllib.loads(Path("out/training.toml").read_text())["training"]
    assert found["blocks_to_swap"] == 8 and "fp8_base" not in found


@pytest.mark.parametrize(
    ("base", "words"),
    [
        ("stabilityai/stable-diffusion-xl-base-1.0", "does not train sdxl LoRAs"),
        ("black-forest-labs/FLUX.1-dev", "with kohya's sd-scripts, ai-toolkit, OneTrainer, SimpleTuner"),
        ("black-forest-labs/FLUX.1-Kontext-dev", "trains flux-kontext with a reference beside each picture only"),
    ],
)
def test_other_families_are_one_clear_error(
    base: str, words: str, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = twinloop(capsys, *CALL, "--dataset", "ana", "--base-model", base)
    assert said.code == 2 and words in said.err and not Path("out").exists()


def test_a_folder_of_the_base_model_gives_its_files(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (photos.parent / "base").mkdir()
    Path("base/model_index.json").write_text(json.dumps({"_class_name": "ZImagePipeline"}))
    for file in ("transformer/diffusion_pytorch_model", "vae/diffusion_pytorch_model", "text_encoder/model"):
        Path("base", file).parent.mkdir()
        Path("base", f"{file}.safetensors").write_bytes(b"")
    said = twinloop(capsys, *CALL, "--dataset", "ana", "--base-model", "base")
    assert said.code == 0, said.err
    lines = [line.partition("=") for line in Path("out/train.sh").read_text().splitlines()]
    named = {name: file for name, _, file in lines if name in ("DIT", "VAE", "TEXT_ENCODER")}
    assert len(named) == 3
    assert all(Path(*shlex.split(file)).is_file() for file in named.values())
    assert "not known here" not in Path("out/README.txt").read_text()
