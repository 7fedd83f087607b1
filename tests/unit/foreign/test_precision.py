"""Other programs train in bfloat16, or in float16 where that is asked for or the card has no other."""

from __future__ import annotations

import dataclasses
import json
import tomllib
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
import yaml

from tests.contract.makers import TRAINING, samples
from tests.helpers.external_trainers import ai_toolkit, installed, kohya_trainer, sd_scripts
from twinloop.adapters.diffusion.base_choice import BaseChoice
from twinloop.adapters.trainers.external.aitoolkit import AiToolkit
from twinloop.adapters.trainers.external.kohya import Kohya
from twinloop.adapters.trainers.external.trainer import ExternalTrainer
from twinloop.families import FAMILIES
from twinloop.foreign import aitoolkit, kohya, onetrainer, simpletuner
from twinloop.foreign.job import Job
from twinloop.foreign.pictures import folders_of
from twinloop.wiring.machine import trains_in_float16

SETTINGS = dataclasses.replace(TRAINING, caption_dropout=0.0)


@pytest.mark.parametrize(("half", "word"), [(False, "bf16"), (True, "fp16")])
def test_they_are_told(half: bool, word: str, tmp_path: Path) -> None:
    folders = folders_of(samples(tmp_path, count=2), "ohwx ana")
    where = PurePosixPath("/data"), PurePosixPath("/out")
    job = Job("ana", "/base.safetensors", FAMILIES["sdxl"], TRAINING, "ohwx ana", *where, folders, float16=half)
    assert tomllib.loads(kohya.training_toml(job, "/data.toml"))["training"]["mixed_precision"] == word
    assert yaml.safe_load(aitoolkit.job_yaml(job))["config"]["process"][0]["train"]["dtype"] == word
    simple = json.loads(simpletuner.config_json(job, "b.json"))
    assert simple["mixed_precision"] == word
    assert (simple["optimizer"] == "adamw_bf16") is not half  # that one takes bfloat16 only
    assert ("SimpleTuner is made for bfloat16" in " ".join(simpletuner.notes(job))) is half
    one = json.loads(onetrainer.config_json(job, "c.json"))
    kind = "FLOAT_16" if half else "BFLOAT_16"
    assert {one["train_dtype"], one["unet"]["weight_dtype"], one["text_encoder"]["weight_dtype"]} == {kind}


def trained(trainer: ExternalTrainer, home: Path) -> Path:
    photos = samples(home / "photos", count=2)
    trainer.train(photos, SETTINGS, home / "lora.safetensors", home / "work", {}, lambda *_: None)
    return home / "work"


def test_sd_scripts_runs_in_it(tmp_path: Path) -> None:
    """Asked when the training starts, not before: the answer takes an import of PyTorch."""
    tool, asked = Kohya(), list[int]()
    trainer = ExternalTrainer(
        tool,
        installed(tool, sd_scripts(tmp_path / "sd-scripts")),
        BaseChoice("a/b"),
        FAMILIES["sdxl"],
        float16=lambda: not asked.append(1),
    )
    trainer.check(SETTINGS)
    assert not asked
    work = trained(trainer, tmp_path / "one")
    assert tomllib.loads((work / "training.toml").read_text())["training"]["mixed_precision"] == "fp16"
    before = (work / "external.json").read_bytes()
    trained(kohya_trainer(tmp_path / "sd-scripts", "a/b"), tmp_path / "one")  # in bfloat16: another training
    assert (work / "external.json").read_bytes() != before


def test_ai_toolkit_runs_in_it(tmp_path: Path) -> None:
    tool = AiToolkit()
    trainer = ExternalTrainer(
        tool,
        installed(tool, ai_toolkit(tmp_path / "ai-toolkit")),
        BaseChoice("someone/some-flux"),
        FAMILIES["flux"],
        float16=lambda: True,
    )
    job = yaml.safe_load((trained(trainer, tmp_path / "one") / "job.yaml").read_text())
    assert job["config"]["process"][0]["train"]["dtype"] == "fp16"


@pytest.mark.parametrize(("precision", "wanted"), [("float16", True), ("bfloat16", False), ("float32", False)])
def test_what_is_asked_for_counts(precision: str, wanted: bool) -> None:
    assert trains_in_float16(BaseChoice("a/b", "no such device", precision), overflows=False) == wanted


def test_else_the_card_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    torch: Any = pytest.importorskip("torch")
    pytest.importorskip("diffusers")
    monkeypatch.setattr("twinloop.adapters.diffusion.compute._check_kernels", lambda: None)
    for there, bfloat16, wanted in ((True, False, True), (True, True, False), (False, False, False)):
        monkeypatch.setattr(torch.cuda, "is_available", lambda there=there: there)
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda bfloat16=bfloat16, **_: bfloat16)
        assert trains_in_float16(BaseChoice("a/b", "cuda"), overflows=False) == wanted
        assert not trains_in_float16(BaseChoice("a/b", "cuda"), overflows=True)
