"""Configurations for other trainers, parsed back: every key is one that the tool documents, every number is the one that was asked for."""

from __future__ import annotations

import dataclasses
import json
import tomllib
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tests.contract.makers import TRAINING, samples
from twinloop.errors import InputError
from twinloop.families import FAMILIES
from twinloop.foreign import aitoolkit, kohya, onetrainer, simpletuner
from twinloop.foreign.job import Job, beyond
from twinloop.foreign.pictures import folders_of
from twinloop.foreign.toml import dumps

SETTINGS = dataclasses.replace(
    TRAINING, steps=1200, rank=32, alpha=16.0, learning_rate=1e-4, batch_size=2, resolution=1024, warmup_steps=50, noise_offset=0.0357,
    caption_dropout=0.05, checkpoint_every=250, schedule="constant",
)  # fmt: skip


@pytest.fixture
def job(tmp_path: Path) -> Job:
    folders = folders_of(samples(tmp_path, count=4), "ohwx ana")
    return Job("ana_v1", "/models/base.safetensors", FAMILIES["sdxl"], SETTINGS, "ohwx ana", PurePosixPath("/data set"), PurePosixPath("/out"), folders)


def of(job: Job, family: str, **settings: Any) -> Job:
    return dataclasses.replace(job, family=FAMILIES[family], settings=dataclasses.replace(job.settings, **settings))


def test_kohyas_dataset(job: Job) -> None:
    data = tomllib.loads(kohya.dataset_toml(job))
    assert data["general"] == {"caption_extension": ".txt", "shuffle_caption": False, "keep_tokens": 1}
    (dataset,) = data["datasets"]
    assert (dataset["resolution"], dataset["batch_size"], dataset["bucket_no_upscale"]) == (1024, 2, True)
    assert (dataset["min_bucket_reso"], dataset["max_bucket_reso"]) == (256, 2048)
    assert [(subset["num_repeats"], subset["image_dir"]) for subset in dataset["subsets"]] == [(2, "/data set/2_ohwx ana"), (1, "/data set/1_ohwx ana")]
    assert {subset["caption_dropout_rate"] for subset in dataset["subsets"]} == {0.05}
    assert tomllib.loads(kohya.dataset_toml(of(job, "flux")))["datasets"][0]["subsets"][0]["caption_dropout_rate"] == 0.0


def arguments(job: Job) -> dict[str, Any]:
    return {key: value for section in tomllib.loads(kohya.training_toml(job, "/data.toml")).values() for key, value in section.items()}


def test_kohyas_training(job: Job) -> None:
    found = arguments(job)
    assert (found["network_dim"], found["network_alpha"], found["max_train_steps"], found["learning_rate"]) == (32, 16.0, 1200, 1e-4)
    assert (found["lr_scheduler"], found["lr_warmup_steps"], found["optimizer_type"]) == ("constant_with_warmup", 50, "AdamW")
    assert (found["min_snr_gamma"], found["noise_offset"], found["network_train_unet_only"]) == (5.0, 0.0357, True)
    assert "cache_text_encoder_outputs" not in found  # captions are dropped
    assert arguments(of(job, "sdxl", caption_dropout=0.0))["cache_text_encoder_outputs"] is True
    flux = arguments(of(job, "flux"))
    assert flux["network_module"] == "networks.lora_flux" and flux["guidance_scale"] == 1.0
    assert not {"min_snr_gamma", "noise_offset"} & flux.keys() and flux["cache_text_encoder_outputs"] is True
    assert kohya.notes(of(job, "flux")) and not kohya.notes(job)


@pytest.mark.parametrize(("family", "script"), kohya.SCRIPTS.items())
def test_kohyas_scripts(job: Job, family: str, script: str) -> None:
    assert kohya.script(of(job, family)) == script and arguments(of(job, family))["network_module"].startswith("networks.lora")


@pytest.mark.parametrize("family", aitoolkit.ARCHITECTURES)
def test_ai_toolkits_job(job: Job, family: str) -> None:
    data = yaml.safe_load(aitoolkit.job_yaml(of(job, family)))
    (process,) = data["config"]["process"]
    assert data["config"]["name"] == "ana_v1" and process["training_seed"] == SETTINGS.seed
    assert process["network"] == {"type": "lora", "linear": 32, "linear_alpha": 16.0}
    assert [(d["num_repeats"], d["folder_path"]) for d in process["datasets"]] == [(2, "/data set/2_ohwx ana"), (1, "/data set/1_ohwx ana")]
    flow = FAMILIES[family].flow
    assert process["train"]["noise_scheduler"] == ("flowmatch" if flow else "ddpm") and ("min_snr_gamma" in process["train"]) is not flow
    assert process["model"]["name_or_path"] == "/models/base.safetensors"


def test_finer_settings_reach_them(job: Job) -> None:
    fine = of(job, "sdxl", schedule="cosine_restarts", restarts=3, gradient_accumulation=4, clip_norm=0.5, weight_decay=0.1, ema_decay=0.99, output_preservation=0.7)
    kohyas = arguments(fine)
    assert (kohyas["lr_scheduler"], kohyas["lr_scheduler_num_cycles"]) == ("cosine_with_restarts", 3)
    assert (kohyas["gradient_accumulation_steps"], kohyas["max_grad_norm"], kohyas["optimizer_args"]) == (4, 0.5, ["weight_decay=0.1"])
    train = yaml.safe_load(aitoolkit.job_yaml(fine))["config"]["process"][0]["train"]
    assert train["ema_config"]["ema_decay"] == 0.99 and train["diff_output_preservation_multiplier"] == 0.7
    assert json.loads(onetrainer.config_json(fine, "c"))["epochs"] == 1600
    assert beyond(fine.settings) == ("training.ema_decay", "training.output_preservation") and beyond(fine.settings, aitoolkit.ABLE) == ()


def test_ai_toolkits_special_models(job: Job) -> None:
    def model(made: Job) -> dict[str, Any]:
        return dict(yaml.safe_load(aitoolkit.job_yaml(made))["config"]["process"][0]["model"])

    assert model(dataclasses.replace(of(job, "flux2-klein"), base="me/FLUX.2-klein-base-9B"))["arch"] == "flux2_klein_9b"
    assert "assistant_lora_path" in model(of(job, "zimage", preset="zimage-turbo"))
    assert "assistant_lora_path" not in model(of(job, "zimage", preset="zimage"))
    assert model(of(job, "sd35"))["is_v3"] is True


def test_onetrainer(job: Job) -> None:
    config = json.loads(onetrainer.config_json(job, "concepts.json"))
    assert (config["model_type"], config["training_method"], config["lora_rank"]) == ("STABLE_DIFFUSION_XL_10_BASE", "LORA", 32)
    assert config["epochs"] == 400 and config["resolution"] == "1024"  # 1200 steps x 2 over 2 x 2 + 2 x 1 draws
    assert config["offset_noise_weight"] == 0.0357 and config["concept_file_name"] == "concepts.json"
    concepts = json.loads(onetrainer.concepts_json(job))
    assert [(c["balancing"], c["balancing_strategy"], c["path"]) for c in concepts] == [(2.0, "REPEATS", "/data set/2_ohwx ana"), (1.0, "REPEATS", "/data set/1_ohwx ana")]
    assert all(c["text"]["prompt_source"] == "sample" and c["image"]["enable_random_flip"] is False for c in concepts)
    assert "offset_noise_weight" not in json.loads(onetrainer.config_json(of(job, "zimage"), "c"))


def test_simpletuner(job: Job) -> None:
    config = json.loads(simpletuner.config_json(job, "multidatabackend.json"))
    assert (config["model_family"], config["lora_rank"], config["max_train_steps"], config["snr_gamma"]) == ("sdxl", 32, 1200, 5.0)
    *pictures, texts = json.loads(simpletuner.backends_json(job))
    assert [(p["repeats"], p["instance_data_dir"], p["caption_strategy"]) for p in pictures] == [(1, "/data set/2_ohwx ana", "textfile"), (0, "/data set/1_ohwx ana", "textfile")]
    assert texts["dataset_type"] == "text_embeds" and texts["default"] is True
    assert len({p["id"] for p in pictures} | {p["cache_dir_vae"] for p in pictures}) == 2 * len(pictures)


def test_families_that_a_tool_does_not_train_are_named(job: Job) -> None:
    with pytest.raises(InputError, match=r"SimpleTuner does not train sd15.*it knows sdxl"):
        simpletuner.config_json(of(job, "sd15"), "x")
    with pytest.raises(InputError, match="sd-scripts does not train qwen-image"):
        kohya.script(of(job, "qwen-image"))


TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=20)
SCALARS = st.one_of(st.booleans(), st.integers(-(2**60), 2**60), st.floats(allow_nan=False, allow_infinity=False), TEXT)
VALUES = st.one_of(SCALARS, st.lists(SCALARS, max_size=3))
TABLES = st.dictionaries(TEXT, VALUES, max_size=4)


@given(st.dictionaries(TEXT, st.one_of(VALUES, TABLES, st.lists(TABLES, min_size=1, max_size=3)), max_size=5))
def test_toml_reads_back(data: dict[str, Any]) -> None:
    assert tomllib.loads(dumps(data)) == data


def test_toml_refuses_what_it_cannot_say() -> None:
    with pytest.raises(ValueError, match="finite"):
        dumps({"a": float("nan")})
    with pytest.raises(TypeError, match="no TOML for NoneType"):
        dumps({"a": None})
