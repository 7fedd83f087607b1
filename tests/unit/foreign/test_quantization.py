"""Quantised bases in other trainers: told in their words, or refused by name."""

from __future__ import annotations

import dataclasses
import json
import tomllib
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
import yaml

from tests.contract.makers import TRAINING, samples
from tests.helpers import external_trainers as stand_ins
from tests.helpers import foreign_keys as keys
from twinloop.adapters.diffusion.base_choice import BaseChoice
from twinloop.adapters.trainers.external.kohya import Kohya
from twinloop.adapters.trainers.external.trainer import ExternalTrainer
from twinloop.errors import InputError
from twinloop.families import FAMILIES
from twinloop.foreign import aitoolkit, kohya, onetrainer, simpletuner
from twinloop.foreign.job import Job
from twinloop.foreign.pictures import folders_of


@pytest.fixture
def job(tmp_path: Path) -> Job:
    folders = folders_of(samples(tmp_path, count=2), "ohwx ana")
    return Job(
        "ana",
        "/base.safetensors",
        FAMILIES["flux"],
        TRAINING,
        "ohwx ana",
        PurePosixPath("/data"),
        PurePosixPath("/out"),
        folders,
    )


def model_of(job: Job) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(aitoolkit.job_yaml(job))["config"]["process"][0]["model"]
    return found


@pytest.mark.parametrize(("how", "word"), [("int8", "qint8"), ("fp8", "qfloat8")])
def test_ai_toolkit_is_told(how: str, word: str, job: Job) -> None:
    assert "qtype" not in model_of(job)
    model = model_of(dataclasses.replace(job, quantization=how))
    assert (model["quantize"], model["qtype"], model["quantize_te"], model["qtype_te"]) == (True, word, True, word)
    sdxl = model_of(dataclasses.replace(job, family=FAMILIES["sdxl"], quantization=how))
    assert (sdxl["quantize"], sdxl["qtype"]) == (True, word) and "qtype_te" not in sdxl
    assert {*model, *sdxl} <= keys.AI_TOOLKIT["model"] | {"qtype", "qtype_te"}


def test_sd_scripts_is_told(job: Job) -> None:
    def arguments(one: Job) -> dict[str, Any]:
        return {
            key: value
            for part in tomllib.loads(kohya.training_toml(one, "/data.toml")).values()
            for key, value in part.items()
        }

    assert "fp8_base" not in arguments(job)
    assert arguments(dataclasses.replace(job, quantization="fp8"))["fp8_base"] is True


@pytest.mark.parametrize(("how", "word"), [(None, "BFLOAT_16"), ("fp8", "FLOAT_8"), ("nf4", "NFLOAT_4")])
def test_onetrainer_is_told(how: str | None, word: str, job: Job) -> None:
    config = json.loads(onetrainer.config_json(dataclasses.replace(job, quantization=how), "c.json"))
    assert (config["transformer"]["weight_dtype"], config["text_encoder"]["weight_dtype"]) == (word, "BFLOAT_16")


@pytest.mark.parametrize(
    ("how", "word"), [(None, None), ("int8", "int8-quanto"), ("fp8", "fp8-torchao"), ("nf4", "nf4-bnb")]
)
def test_simpletuner_is_told(how: str | None, word: str | None, job: Job) -> None:
    config = json.loads(simpletuner.config_json(dataclasses.replace(job, quantization=how), "b.json"))
    assert config.get("base_model_precision") == word and set(config) <= keys.SIMPLETUNER


def test_what_they_do_not_know_is_said_before_anything_starts(tmp_path: Path) -> None:
    installed = stand_ins.installed(Kohya(), stand_ins.sd_scripts(tmp_path))
    with pytest.raises(
        InputError, match=r'quantization: kohya\'s sd-scripts does not know "nf4"; it knows fp8.*"builtin"'
    ):
        ExternalTrainer(Kohya(), installed, BaseChoice("someone/some-sdxl", quantization="nf4"), FAMILIES["sdxl"])
    prints = {
        ExternalTrainer(Kohya(), installed, BaseChoice("a/b", quantization=how), FAMILIES["sdxl"]).fingerprint
        for how in (None, "fp8")
    }
    assert len(prints) == 2
