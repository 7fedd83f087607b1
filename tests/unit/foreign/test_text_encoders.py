"""What other trainers are told of training text encoders."""

from __future__ import annotations

import dataclasses
import json
import tomllib
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
import yaml

from tests.contract.makers import TRAINING, samples
from twinloop.errors import InputError
from twinloop.families import FAMILIES
from twinloop.foreign import aitoolkit, kohya, onetrainer
from twinloop.foreign.job import Job
from twinloop.foreign.pictures import folders_of
from twinloop.foreign.program import beyond
from twinloop.foreign.programs import PROGRAMS

ON = dataclasses.replace(
    TRAINING, learning_rate=1e-4, caption_dropout=0.0, text_encoder=True, text_encoder_learning_rate=2e-5
)
OFF = dataclasses.replace(ON, text_encoder=False)


def job(folder: Path, family: str, **settings: Any) -> Job:
    photos = folders_of(samples(folder, count=2), "ana")
    return Job(
        "ana",
        "/base",
        FAMILIES[family],
        dataclasses.replace(ON, **settings),
        "ana",
        PurePosixPath("/data"),
        PurePosixPath("/out"),
        photos,
    )


def kohyas(made: Job) -> dict[str, Any]:
    return {
        key: value
        for section in tomllib.loads(kohya.training_toml(made, "/data.toml")).values()
        for key, value in section.items()
    }


@pytest.mark.parametrize(("family", "cached"), [("sd15", False), ("sdxl", False), ("flux", True), ("sd35", True)])
def test_kohya(tmp_path: Path, family: str, cached: bool) -> None:
    """What CLIP says cannot be kept; what T5 says is, in the families that have it beside CLIP."""
    found = kohyas(job(tmp_path, family))
    assert "network_train_unet_only" not in found and found["text_encoder_lr"] == 2e-5
    assert ("cache_text_encoder_outputs" in found) is cached
    alone = kohyas(job(tmp_path, family, text_encoder=False))
    assert alone["network_train_unet_only"] is True and "text_encoder_lr" not in alone
    assert ("cache_text_encoder_outputs" in alone) is (family != "sd15")


def test_ai_toolkit(tmp_path: Path) -> None:
    def train(made: Job) -> dict[str, Any]:
        return dict(yaml.safe_load(aitoolkit.job_yaml(made))["config"]["process"][0]["train"])

    found = train(job(tmp_path, "sdxl"))
    assert found["train_text_encoder"] is True and (found["unet_lr"], found["text_encoder_lr"]) == (1e-4, 2e-5)
    assert train(job(tmp_path, "zimage", text_encoder=False))["train_text_encoder"] is False
    with pytest.raises(
        InputError,
        match=r"training\.text_encoder: ai-toolkit trains the text encoders of sd15 and sdxl only, not of flux",
    ):
        aitoolkit.job_yaml(job(tmp_path, "flux"))
    with pytest.raises(InputError, match=r"training\.output_preservation: ai-toolkit stops where it is to train text"):
        aitoolkit.job_yaml(job(tmp_path, "sdxl", output_preservation=0.5))
    assert train(job(tmp_path, "sdxl", output_preservation=0.5, text_encoder=False))["diff_output_preservation"] is True


@pytest.mark.parametrize(
    ("family", "wanted"),
    [("sd15", [True]), ("sdxl", [True, True]), ("sd35", [True, True, False]), ("flux", [True, False])],
)
def test_onetrainer(tmp_path: Path, family: str, wanted: list[bool]) -> None:
    config = json.loads(onetrainer.config_json(job(tmp_path, family), "c"))
    parts = [config[name] for name in ("text_encoder", "text_encoder_2", "text_encoder_3") if name in config]
    assert [part["train"] for part in parts] == wanted
    assert {part.get("learning_rate") for part in parts} == ({2e-5} if all(wanted) else {2e-5, None})
    assert (
        json.loads(onetrainer.config_json(job(tmp_path, family, text_encoder=False), "c"))["text_encoder"]["train"]
        is False
    )


def test_who_cannot_do_it_says_so() -> None:
    part = dataclasses.replace(ON, text_encoder_share=0.5)
    both = ("training.text_encoder", "training.text_encoder_learning_rate")
    assert beyond(OFF) == both[1:] and beyond(ON) == both
    assert {name for name, program in PROGRAMS.items() if beyond(ON, program.able)} == {"simpletuner", "musubi-tuner"}
    assert beyond(part, kohya.ABLE) == ("training.text_encoder_share",)
