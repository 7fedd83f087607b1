"""SimpleTuner's configuration and backends: every option is one that its parsers (3.1.6 and 4.10.1) take in that form,
and means there what was asked for.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from tests.contract.makers import TRAINING, samples
from tests.helpers import foreign_keys as keys
from twinloop.errors import InputError
from twinloop.families import FAMILIES
from twinloop.families.predictions import Prediction
from twinloop.foreign import simpletuner
from twinloop.foreign.job import Job
from twinloop.foreign.pictures import folders_of

SETTINGS = dataclasses.replace(
    TRAINING, steps=1200, rank=32, alpha=32.0, learning_rate=1e-4, batch_size=2, resolution=1024, warmup_steps=50,
    noise_offset=0.0357, caption_dropout=0.0, checkpoint_every=250, schedule="constant", seed=7,
)  # fmt: skip


@pytest.fixture
def job(tmp_path: Path) -> Job:
    folders = folders_of(samples(tmp_path, count=4), "ohwx ana")
    return Job(
        "ana_v1",
        "/models/sdxl",
        FAMILIES["sdxl"],
        SETTINGS,
        "ohwx ana",
        PurePosixPath("/packed up/data set"),
        PurePosixPath("/out"),
        folders,
    )


@pytest.fixture
def with_prior(job: Job, tmp_path: Path) -> Job:
    """Four photos, which come six times in a pass, and nine prior images."""
    prior = [dataclasses.replace(one, prior=True) for one in samples(tmp_path / "reg", count=9)]
    folders = folders_of([*samples(tmp_path / "own", count=4), *prior], "ohwx ana", "woman")
    return dataclasses.replace(of(job, "sdxl", save_every=100), folders=folders)


def of(job: Job, family: str, **settings: Any) -> Job:
    return dataclasses.replace(job, family=FAMILIES[family], settings=dataclasses.replace(job.settings, **settings))


def config(job: Job) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(simpletuner.config_json(job, "multidatabackend.json"))
    return found


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"schedule": "linear", "optimizer": "adafactor", "flip": True},
        {"schedule": "cosine", "clip_norm": 0.0, "warmup_steps": 0, "min_snr_gamma": 4.6, "seed": 0},
        {"schedule": "cosine_restarts", "restarts": 3, "optimizer": "prodigy", "gradient_accumulation": 2},
    ],
)
@pytest.mark.parametrize("family", simpletuner.FAMILIES)
def test_every_option_is_one_that_it_reads_in_that_form(job: Job, family: str, changes: dict[str, Any]) -> None:
    made = dataclasses.replace(of(job, family, **changes), prediction=Prediction("v_prediction", zero_snr=True))
    found = config(made)
    assert found.keys() <= keys.SIMPLETUNER
    assert {name for name in keys.SIMPLETUNER_WHOLE & found.keys() if type(found[name]) is not int} == set()
    for name, choices in keys.SIMPLETUNER_CHOICES.items():
        assert found.get(name) in choices | {None}, name
    backends = json.loads(simpletuner.backends_json(made))
    assert all(backend.keys() <= keys.SIMPLETUNER_BACKEND for backend in backends)


def test_what_was_asked_for_is_there(job: Job) -> None:
    found = config(job)
    assert (found["model_family"], found["lora_rank"], found["max_train_steps"]) == ("sdxl", 32, 1200)
    assert (found["snr_gamma"], found["seed"], found["resume_from_checkpoint"]) == (5, 7, "latest")
    assert config(of(job, "krea2"))["model_family"] == "krea2"
    *pictures, texts = json.loads(simpletuner.backends_json(job))
    assert {(p["target_downsample_size"], p["maximum_image_size"]) for p in pictures} == {(1024, 2048)}
    assert [(p["instance_data_dir"], p["caption_strategy"]) for p in pictures] == [
        ("/packed up/data set/2_ohwx ana", "textfile"),
        ("/packed up/data set/1_ohwx ana", "textfile"),
    ]
    assert texts["dataset_type"] == "text_embeds" and texts["default"] is True
    assert len({p["id"] for p in pictures} | {p["cache_dir_vae"] for p in pictures}) == 2 * len(pictures)


def test_its_own_defaults_change_nothing(job: Job) -> None:
    """It would drop a tenth of the LoRA's inputs, offset the noise of every fourth step, keep five saves and end at a
    rate of 4e-7. TensorBoard ends 4.10.1 before the first step.
    """
    found = config(job)
    assert (found["lora_dropout"], found["noise_offset"], found["noise_offset_probability"]) == (0.0, 0.0357, 1.0)
    assert found["checkpoints_total_limit"] >= 1200 // 250 and found["lr_end"] == 0 and found["report_to"] == "none"


def test_alpha_is_the_rank(job: Job) -> None:
    """Its last file has no alpha, in the header or beside the matrices, so that readers take the rank."""
    made = of(job, "sdxl", alpha=16.0)
    assert config(made)["lora_alpha"] == config(made)["lora_rank"] == 32
    (told,) = simpletuner.notes(made)
    assert "alpha is 32 instead of 16" in told and "2 times as strong" in told


def test_a_step_finds_enough_pictures_of_every_shape(job: Job) -> None:
    """A bucket with one photo has to fill a batch and its accumulation; 0 repeats means once."""

    def repeats(**settings: Any) -> list[int]:
        backends = json.loads(simpletuner.backends_json(of(job, "sdxl", **settings)))
        return [backend["repeats"] + 1 for backend in backends[:-1]]

    assert repeats(batch_size=1) == [2, 1]
    assert repeats(batch_size=2) == [4, 2]
    assert repeats(batch_size=2, gradient_accumulation=3) == [12, 6]


def test_a_cosine_falls_once_over_all_steps(job: Job) -> None:
    """Its ``lr_warmup_steps`` is the time in which the rate falls; 0 would be 1000."""
    for schedule in ("cosine", "cosine_restarts"):
        made = of(job, "sdxl", schedule=schedule)
        found = config(made)
        assert (found["lr_scheduler"], found["lr_warmup_steps"]) == ("cosine", 1200)
        assert "no warm-up" in " ".join(simpletuner.notes(made))
    assert "no warm-up" not in " ".join(simpletuner.notes(of(job, "sdxl", schedule="cosine", warmup_steps=0)))
    assert any("falls once" in note for note in simpletuner.notes(of(job, "sdxl", schedule="cosine_restarts")))
    constant, linear = config(job), config(of(job, "sdxl", schedule="linear"))
    assert (constant["lr_scheduler"], constant["lr_warmup_steps"]) == ("constant_with_warmup", 50)
    assert (linear["lr_scheduler"], linear["lr_warmup_steps"]) == ("linear", 50)
    free = config(of(job, "sdxl", schedule="cosine", optimizer="adamw_schedulefree"))
    assert free["lr_warmup_steps"] == 50, "it warms up by itself, and has no schedule"


def test_the_autoencoder_of_an_sdxl_folder_is_its_own(job: Job) -> None:
    """Left out, it is one from the hub."""
    assert config(job)["pretrained_vae_model_name_or_path"] == "/models/sdxl"
    of_one_file = dataclasses.replace(job, base="/models/sdxl.safetensors")
    assert "pretrained_vae_model_name_or_path" not in config(of_one_file)
    assert "pretrained_vae_model_name_or_path" not in config(of(job, "flux"))


def test_a_seed_stays_what_it_is(job: Job) -> None:
    """0 would be the clock's time."""
    zero = of(job, "sdxl", seed=0)
    assert config(zero)["seed"] == config(zero)["seed"] > 0
    assert any(f"the seed is {config(zero)['seed']}" in note for note in simpletuner.notes(zero))


def test_a_gamma_is_a_whole_number(job: Job) -> None:
    assert config(of(job, "sdxl", min_snr_gamma=4.6))["snr_gamma"] == 5
    assert config(of(job, "sdxl", min_snr_gamma=0.2))["snr_gamma"] == 1, "0 would switch it off"
    assert any("min_snr_gamma is 5" in note for note in simpletuner.notes(of(job, "sdxl", min_snr_gamma=4.6)))
    assert "snr_gamma" not in config(of(job, "sdxl", min_snr_gamma=0.0))


def test_times_are_shifted_by_the_size_only_without_a_number(job: Job) -> None:
    """Its default shift of 3 would come before that by the size."""
    by_size, by_number = config(of(job, "flux")), config(of(job, "sd35"))
    assert (by_size["flow_schedule_auto_shift"], by_size["flow_schedule_shift"]) == (True, 0.0)
    assert by_number["flow_schedule_shift"] == 3.0 and "flow_schedule_auto_shift" not in by_number


def test_variants_are_named_where_it_matters(job: Job) -> None:
    klein = of(job, "flux2-klein")
    assert config(klein)["model_flavour"] == "klein-4b"
    assert config(dataclasses.replace(klein, base="me/FLUX.2-klein-base-9B"))["model_flavour"] == "klein-9b"
    assert config(of(job, "zimage", preset="zimage-turbo"))["model_flavour"] == "turbo"
    for family in ("sdxl", "flux2", "zimage", "qwen-image"):
        assert "model_flavour" not in config(of(job, family, preset=family))


def test_names_that_changed_with_version_4_are_told(job: Job) -> None:
    assert config(of(job, "zimage"))["model_family"] == "z_image"
    assert any('model_family "z-image"' in note for note in simpletuner.notes(of(job, "zimage")))
    assert any("needs SimpleTuner 4" in note for note in simpletuner.notes(of(job, "flux2-klein")))


def test_it_says_what_it_leaves_out(job: Job) -> None:
    assert simpletuner.notes(job) == ()
    made = of(job, "sdxl", optimizer="adafactor", flip=True, weight_decay=0.1)
    found = config(made)
    assert (found["optimizer"], found["optimizer_config"]) == ("adamw_bf16", "weight_decay=0.1")
    mirrored, optimizer = simpletuner.notes(made)
    assert "not mirrored" in mirrored and "no adafactor" in optimizer
    assert simpletuner.PROGRAM.notes is simpletuner.notes


def test_prior_images_are_regularisation_and_take_no_steps_from_the_subject(job: Job, with_prior: Job) -> None:
    """A step of it has photos or prior images, as often as there are of each with their repeats."""
    found = config(with_prior)
    assert (found["max_train_steps"], found["lr_warmup_steps"]) == (2400, 100)
    assert (found["checkpoint_step_interval"], found["validation_step_interval"]) == (200, 200)
    *pictures, _ = json.loads(simpletuner.backends_json(with_prior))
    assert [p["is_regularisation_data"] for p in pictures] == [False, False, True]
    assert not any("disabled" in p for p in pictures)
    drawn = [len(f.pictures) * (p["repeats"] + 1) for f, p in zip(with_prior.folders, pictures, strict=True)]
    assert drawn[0] + drawn[1] == 24 and drawn[2] == 18
    assert any("2400 steps instead of 1200" in note for note in simpletuner.notes(with_prior))
    dropped = dataclasses.replace(with_prior.settings, caption_dropout=0.1, keep_trigger=False)
    notes = simpletuner.notes(dataclasses.replace(with_prior, settings=dropped))
    assert any("captions of prior images" in note for note in notes)


def test_it_starts_with_the_packages_folder(job: Job) -> None:
    assert simpletuner.PROGRAM.start(job)[-1].strip() == "simpletuner train --env '/packed up'"


def test_families_that_it_does_not_train_are_named(job: Job) -> None:
    with pytest.raises(InputError, match=r"SimpleTuner does not train flux-kontext.*it knows sd15, sdxl"):
        config(of(job, "flux-kontext"))
