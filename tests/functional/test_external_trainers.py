"""``twinloop train`` with another program behind it, as the configuration says; here the stand-in for sd-scripts."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from tests.functional.console import configuration, twinloop
from tests.helpers.external_trainers import sd_scripts
from tests.helpers.fake_photos import fake_photo
from twinloop.loras.lora import Dialect, read_lora


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    for number in range(4):
        fake_photo(tmp_path / "photos" / f"{number}.png", seed=number)
    return tmp_path


@pytest.fixture
def base(tiny_base: Path) -> str:
    return str(tiny_base)


def train(here: Path, capsys: pytest.CaptureFixture[str], base: str, **training: object) -> tuple[int, str, str]:
    asked = {
        "trainer": "kohya",
        "trainer_python": sys.executable,
        "steps": 4,
        "rank": 2,
        "checkpoint_every": 2,
        **training,
    }
    config = configuration(here, base_model=base, training=asked)
    said = twinloop(capsys, "train", "photos", "--config", config, "--output", "ana.safetensors")
    return said.code, said.out, said.err


def test_a_lora_by_sd_scripts(
    here: Path, base: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STAND_IN", "crash")
    code, _, err = train(here, capsys, base, trainer_path=str(sd_scripts(here / "sd-scripts")))
    assert code == 2 and "CUDA out of memory" in err and "trainer.log" in err and not Path("ana.safetensors").exists()
    monkeypatch.delenv("STAND_IN")
    code, _, err = train(here, capsys, base, trainer_path="sd-scripts")
    assert code == 0, err
    file = read_lora(Path("ana.safetensors"))
    assert file.dialect is Dialect.DIFFUSERS and file.texts["modelspec.trigger_phrase"] == "ohwx ana"
    assert file.texts["twinloop.trainer"].startswith("kohya") and file.texts["ss_network_dim"] == "2"


def test_a_trainer_that_is_not_there(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = train(here, capsys, "someone/some-sdxl")
    assert code == 2 and "training.trainer_path" in err and "git clone" in err and err.count("error:") == 1


def test_an_unknown_trainer_is_a_mistake_of_the_configuration(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = train(here, capsys, "me/sdxl", trainer="onetrainer")
    assert code == 2 and "training.trainer" in err and "builtin" in err


def test_a_file_in_scaled_fp8_is_trained_here_only(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tensors = {"img_in.weight": np.zeros((2, 2), np.int8), "img_in.weight_scale": np.ones(1, np.float32)}
    save_file(tensors, here / "flux.safetensors")
    code, _, err = train(here, capsys, "flux.safetensors", preset="flux")
    assert code == 2 and "kohya trains on no files whose weights have 8 bits and factors beside them" in err


def test_the_embedded_base_is_trained_here_only(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = configuration(here, base_model="nano", training={"trainer": "kohya"})
    said = twinloop(capsys, "train", "photos", "--config", config, "--output", "ana.safetensors", "--json")
    assert said.code == 2 and "cannot train the embedded base" in said.err
    assert json.loads(config.read_text())["base_model"] == "nano"
