"""Configurations for other trainers, parsed back: every key is one that the tool documents, every number is the one
that was asked for.
"""

from __future__ import annotations

import dataclasses
import json
import tomllib
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tests.contract.makers import TRAINING, samples
from tests.helpers import foreign_keys as keys
from twinloop.errors import InputError
from twinloop.families import FAMILIES
from twinloop.families.predictions import Prediction
from twinloop.foreign import aitoolkit, kohya, onetrainer, simpletuner
from twinloop.foreign.job import Job
from twinloop.foreign.kohya_dataset import dataset_toml
from twinloop.foreign.kohya_scripts import SCRIPTS, network_module, script
from twinloop.foreign.pictures import folders_of
from twinloop.foreign.program import beyond
from twinloop.foreign.programs import PROGRAMS
from twinloop.foreign.toml import dumps

SETTINGS = dataclasses.replace(
    TRAINING,
    steps=1200,
    rank=32,
    alpha=16.0,
    learning_rate=1e-4,
    batch_size=2,
    resolution=1024,
    warmup_steps=50,
    noise_offset=0.0357,
    caption_dropout=0.05,
    checkpoint_every=250,
    schedule="constant",
)


@pytest.fixture
def job(tmp_path: Path) -> Job:
    folders = folders_of(samples(tmp_path, count=4), "ohwx ana")
    return Job(
        "ana_v1",
        "/models/base.safetensors",
        FAMILIES["sdxl"],
        SETTINGS,
        "ohwx ana",
        PurePosixPath("/data set"),
        PurePosixPath("/out"),
        folders,
    )


def of(job: Job, family: str, **settings: Any) -> Job:
    return dataclasses.replace(job, family=FAMILIES[family], settings=dataclasses.replace(job.settings, **settings))


def test_kohyas_dataset(job: Job) -> None:
    data = tomllib.loads(dataset_toml(job))
    assert data["general"] == {"caption_extension": ".txt", "shuffle_caption": False, "keep_tokens": 1}
    (dataset,) = data["datasets"]
    assert (dataset["resolution"], dataset["batch_size"], dataset["bucket_no_upscale"]) == (1024, 2, True)
    assert (dataset["min_bucket_reso"], dataset["max_bucket_reso"]) == (256, 2048)
    assert [(subset["num_repeats"], subset["image_dir"]) for subset in dataset["subsets"]] == [
        (2, "/data set/2_ohwx ana"),
        (1, "/data set/1_ohwx ana"),
    ]
    assert {subset["caption_dropout_rate"] for subset in dataset["subsets"]} == {0.05}
    assert tomllib.loads(dataset_toml(of(job, "flux")))["datasets"][0]["subsets"][0]["caption_dropout_rate"] == 0.0


def arguments(job: Job) -> dict[str, Any]:
    return {
        key: value
        for section in tomllib.loads(kohya.training_toml(job, "/data.toml")).values()
        for key, value in section.items()
    }


def saving(job: Job, every: int, kept: int = 0) -> Job:
    return dataclasses.replace(
        job, settings=dataclasses.replace(job.settings, save_every=every, max_step_saves_to_keep=kept)
    )


def test_what_is_saved_on_the_way_stays_in_a_package_and_goes_where_this_program_trains(job: Job) -> None:
    toolkit = yaml.safe_load(aitoolkit.job_yaml(job))["config"]["process"][0]["save"]
    assert "save_last_n_steps" not in arguments(job) and toolkit["max_step_saves_to_keep"] >= 1200 // 250
    assert arguments(job)["save_every_n_steps"] == toolkit["save_every"] == 250
    assert json.loads(simpletuner.config_json(job, "/b.json"))["checkpoints_total_limit"] >= 1200 // 250
    assert "save_every" not in json.loads(onetrainer.config_json(job, "/c.json"))
    here = dataclasses.replace(job, run_here=True)
    assert arguments(here)["save_last_n_steps"] == 1
    toolkit = yaml.safe_load(aitoolkit.job_yaml(here))["config"]["process"][0]["save"]
    assert toolkit["max_step_saves_to_keep"] == 2


def test_saves_as_asked_for(job: Job) -> None:
    asked = saving(job, 100, 3)
    toolkit = yaml.safe_load(aitoolkit.job_yaml(asked))["config"]["process"][0]["save"]
    assert (toolkit["save_every"], toolkit["max_step_saves_to_keep"]) == (100, 3)
    tuner = json.loads(simpletuner.config_json(asked, "/b.json"))
    assert (tuner["checkpoint_step_interval"], tuner["checkpoints_total_limit"]) == (100, 3)
    config = json.loads(onetrainer.config_json(asked, "/c.json"))
    assert (config["save_every"], config["save_every_unit"]) == (100, "STEP")
    found = arguments(asked)
    assert found["save_every_n_steps"] == 100
    # sd-scripts deletes the file of this step when it saves that of step 1000 (train_util.get_remove_step_no)
    removed = 1000 - found["save_last_n_steps"] - 1
    assert removed - removed % 100 == 700


def test_kohyas_training(job: Job) -> None:
    found = arguments(job)
    assert (found["network_dim"], found["network_alpha"], found["max_train_steps"], found["learning_rate"]) == (
        32,
        16.0,
        1200,
        1e-4,
    )
    assert (found["lr_scheduler"], found["lr_warmup_steps"], found["optimizer_type"]) == (
        "constant_with_warmup",
        50,
        "AdamW",
    )
    assert (found["min_snr_gamma"], found["noise_offset"], found["network_train_unet_only"]) == (5.0, 0.0357, True)
    # mirrored ones are cached as well
    assert found["cache_latents"] is arguments(of(job, "sdxl", flip=True))["cache_latents"] is True
    assert "cache_text_encoder_outputs" not in found  # captions are dropped
    assert arguments(of(job, "sdxl", caption_dropout=0.0))["cache_text_encoder_outputs"] is True
    flux = arguments(of(job, "flux"))
    assert flux["network_module"] == "networks.lora_flux" and flux["guidance_scale"] == 1.0
    assert not {"min_snr_gamma", "noise_offset"} & flux.keys() and flux["cache_text_encoder_outputs"] is True
    assert (flux["timestep_sampling"], arguments(of(job, "flux", preset="flux-schnell"))["timestep_sampling"]) == (
        "flux_shift",
        "sigmoid",
    )
    assert "captions are not dropped" in kohya.notes(of(job, "flux"))[0]
    assert arguments(of(job, "sd35"))["training_shift"] == 3.0
    # more would never come to the rate that was asked for
    assert arguments(of(job, "sdxl", steps=40))["lr_warmup_steps"] == 39


@pytest.mark.parametrize(("asked", "told"), [(None, True), (True, True), (False, False)])
def test_gradients_are_checkpointed_unless_refused(job: Job, asked: bool | None, told: bool) -> None:
    made = of(job, "sdxl", gradient_checkpointing=asked)
    train = yaml.safe_load(aitoolkit.job_yaml(made))["config"]["process"][0]["train"]
    assert train["gradient_checkpointing"] is arguments(made)["gradient_checkpointing"] is told
    assert json.loads(simpletuner.config_json(made, "b"))["gradient_checkpointing"] is told


def test_optimizers_run_at_the_given_rate(job: Job) -> None:
    """sd-scripts' Adafactor takes a rate of its own unless it is told not to."""
    assert arguments(of(job, "sdxl", optimizer="adafactor"))["optimizer_args"] == [
        "weight_decay=0.01", "relative_step=False", "scale_parameter=False", "warmup_init=False",
    ]  # fmt: skip
    assert "safeguard_warmup=True" in arguments(of(job, "sdxl", optimizer="prodigy"))["optimizer_args"]


def test_arguments_of_the_optimizer_are_told(job: Job) -> None:
    told = of(
        job, "sdxl", optimizer="prodigy", optimizer_args=(("betas", (0.9, 0.99)), ("decouple", False), ("d_coef", 2.0))
    )
    assert arguments(told)["optimizer_args"] == [
        "weight_decay=0.01",
        "use_bias_correction=True",
        "safeguard_warmup=True",
        "betas=(0.9, 0.99)",
        "decouple=False",
        "d_coef=2.0",
    ]
    train = yaml.safe_load(aitoolkit.job_yaml(told))["config"]["process"][0]["train"]
    assert train["optimizer_params"] == {"weight_decay": 0.01, "betas": [0.9, 0.99], "decouple": False, "d_coef": 2.0}
    kept = of(job, "sdxl", optimizer="adafactor", optimizer_args=(("eps", (1e-30, 1e-3)),))
    assert (
        yaml.safe_load(aitoolkit.job_yaml(kept))["config"]["process"][0]["train"]["optimizer_params"]["eps"][1] == 1e-3
    )
    with pytest.raises(
        InputError, match=r"training\.optimizer_args: ai-toolkit has an eps of 1e-6 of its own with adamw"
    ):
        aitoolkit.job_yaml(of(job, "sdxl", optimizer_args=(("eps", 1e-7),)))
    assert beyond(told.settings, onetrainer.ABLE) == ("training.optimizer_args",)
    assert not beyond(told.settings, kohya.ABLE) and not beyond(told.settings, aitoolkit.ABLE)


def test_optimizers_have_the_names_that_programs_know(job: Job) -> None:
    lion, came = (of(job, "sdxl", optimizer=name) for name in ("lion", "came"))
    free = of(job, "sdxl", optimizer="adamw_schedulefree", optimizer_args=(("r", 1.0),))
    names = [arguments(one)["optimizer_type"] for one in (lion, came, free)]
    assert names == ["Lion", "pytorch_optimizer.CAME", "AdamWScheduleFree"]
    told = arguments(free)
    # it makes no schedule for this one
    assert told["optimizer_args"] == ["weight_decay=0.01", "warmup_steps=50", "r=1.0"]
    assert (told["lr_scheduler"], told["lr_warmup_steps"]) == ("constant", 0)
    assert arguments(lion)["optimizer_args"] == ["weight_decay=0.01"] and arguments(lion)["lr_warmup_steps"] == 50
    assert [json.loads(onetrainer.config_json(one, "c"))["optimizer"]["optimizer"] for one in (lion, came, free)] == [
        "LION", "CAME", "SCHEDULE_FREE_ADAMW",
    ]  # fmt: skip
    assert [json.loads(simpletuner.config_json(one, "b"))["optimizer"] for one in (lion, came, free)] == [
        "optimi-lion", "adamw_bf16", "adamw_schedulefree",
    ]  # fmt: skip
    assert "SimpleTuner has no came" in " ".join(simpletuner.notes(came))
    assert yaml.safe_load(aitoolkit.job_yaml(lion))["config"]["process"][0]["train"]["optimizer"] == "lion"
    for one in (came, free):
        with pytest.raises(
            InputError, match=rf'ai-toolkit has no "{one.settings.optimizer}"; it knows adamw, .*, lion'
        ):
            aitoolkit.job_yaml(one)


def test_a_rank_stabilized_alpha_is_told_as_one_that_is_divided_by_the_rank(job: Job) -> None:
    """Rank 32 with alpha 16: no program needs a word for it."""
    told = of(job, "sdxl", rank_stabilized=True, conv_rank=16, conv_alpha=4.0)
    alpha = 16 * 32**0.5
    assert arguments(told)["network_alpha"] == alpha
    assert arguments(told)["network_args"] == ["conv_dim=16", "conv_alpha=16"]
    network = yaml.safe_load(aitoolkit.job_yaml(told))["config"]["process"][0]["network"]
    assert (network["linear_alpha"], network["conv_alpha"]) == (alpha, 16.0)
    assert json.loads(onetrainer.config_json(told, "c"))["lora_alpha"] == alpha
    plain = of(job, "flux", rank_stabilized=True)
    assert "alpha is 32 instead of 90.5097" in " ".join(aitoolkit.notes(plain))


def test_robust_losses_are_told_where_there_is_a_word(job: Job) -> None:
    assert "loss_type" not in arguments(job)
    told = arguments(of(job, "sdxl", loss="huber", huber_c=0.2))
    assert (told["loss_type"], told["huber_schedule"], told["huber_c"]) == ("huber", "snr", 0.2)
    flow = of(job, "flux", loss="smooth_l1")
    assert arguments(flow)["huber_schedule"] == "exponential"
    with pytest.raises(InputError, match=r'training\.huber_schedule: .* has no "snr" for flux'):
        kohya.training_toml(of(job, "flux", loss="huber", huber_schedule="snr"), "d")
    assert beyond(flow.settings, aitoolkit.ABLE) == beyond(flow.settings, onetrainer.ABLE) == ("training.loss",)
    threshold = of(job, "sdxl", loss="huber", huber_c=0.2)
    assert beyond(threshold.settings, aitoolkit.ABLE) == ("training.loss", "training.huber_c")
    assert not beyond(flow.settings, kohya.ABLE)


NOISE: dict[str, Any] = {
    "debiased_estimation_loss": True, "ip_noise_gamma": 0.1, "multires_noise_iterations": 6,
    "multires_noise_discount": 0.4, "min_timestep": 100, "max_timestep": 900,
}  # fmt: skip


def test_noise_weights_and_times_are_told_to_sd_scripts_by_its_own_names(job: Job) -> None:
    assert not NOISE.keys() & arguments(job).keys()
    told = of(job, "sdxl", **NOISE)
    assert {name: arguments(told)[name] for name in NOISE} == NOISE and not beyond(told.settings, kohya.ABLE)
    assert arguments(of(job, "sd35", min_timestep=100))["min_timestep"] == 100
    assert len(beyond(told.settings, aitoolkit.ABLE)) == len(NOISE)
    for wrong, says in (
        ({"max_timestep": 900}, r"training\.max_timestep: .* trains all noise levels of flux"),
        ({"ip_noise_gamma": 0.1}, r"training\.ip_noise_gamma: .* those of flux are flow models"),
    ):
        with pytest.raises(InputError, match=says):
            kohya.training_toml(of(job, "flux", **wrong), "d")


def test_sd_scripts_is_told_which_layer_of_clip_is_read(job: Job) -> None:
    told = of(job, "sd15", clip_skip=2)
    assert "clip_skip" not in arguments(job) and arguments(told)["clip_skip"] == 2
    assert beyond(told.settings, aitoolkit.ABLE) == ("clip_skip",) and not beyond(told.settings, kohya.ABLE)
    with pytest.raises(InputError, match=r"clip_skip: 2 is for SD 1\.5; .*last layer but one"):
        kohya.training_toml(of(job, "sdxl", clip_skip=2), "d")


def test_dropout_is_told_where_there_is_a_word(job: Job) -> None:
    assert not {"network_dropout", "network_args"} & arguments(job).keys()
    told = of(job, "sdxl", network_dropout=0.1, rank_dropout=0.25, module_dropout=0.05)
    found = arguments(told)
    assert (found["network_dropout"], found["network_args"]) == (0.1, ["rank_dropout=0.25", "module_dropout=0.05"])
    network = yaml.safe_load(aitoolkit.job_yaml(told))["config"]["process"][0]["network"]
    assert (network["dropout"], network["network_kwargs"]) == (0.1, {"rank_dropout": 0.25})
    assert beyond(told.settings, aitoolkit.ABLE) == ("training.module_dropout",) and not beyond(
        told.settings, kohya.ABLE
    )
    assert len(beyond(told.settings, onetrainer.ABLE)) == 3


def test_lora_plus_and_the_longest_change_are_told_to_sd_scripts_alone(job: Job) -> None:
    told = of(job, "sdxl", loraplus_lr_ratio=16.0, scale_weight_norms=1.0, conv_rank=8, conv_alpha=4.0)
    found = arguments(told)
    assert found["network_args"] == ["loraplus_lr_ratio=16", "conv_dim=8", "conv_alpha=4"]
    assert found["scale_weight_norms"] == 1.0 and "scale_weight_norms" not in arguments(job)
    both = ("training.loraplus_lr_ratio", "training.scale_weight_norms")
    for able in (aitoolkit.ABLE, onetrainer.ABLE, frozenset[str]()):
        assert set(both) <= set(beyond(told.settings, able))
    assert not beyond(told.settings, kohya.ABLE)


def test_convolutions_are_told_under_the_programs_names(job: Job) -> None:
    told = of(job, "sdxl", conv_rank=8, conv_alpha=4.0, rank_dropout=0.25)
    assert arguments(told)["network_args"] == ["rank_dropout=0.25", "conv_dim=8", "conv_alpha=4"]
    network = yaml.safe_load(aitoolkit.job_yaml(told))["config"]["process"][0]["network"]
    assert (network["conv"], network["conv_alpha"]) == (8, 4.0)
    assert beyond(of(job, "sdxl", conv_rank=8).settings, onetrainer.ABLE) == ("training.conv_rank",)
    for write in (aitoolkit.job_yaml, lambda made: kohya.training_toml(made, "d")):
        with pytest.raises(InputError, match="flux has a transformer"):
            write(of(job, "flux", conv_rank=8))


V, ZERO = Prediction("v_prediction"), Prediction("v_prediction", zero_snr=True)


def test_every_trainer_is_told_that_a_model_predicts_v(job: Job) -> None:
    v, zero = dataclasses.replace(job, prediction=V), dataclasses.replace(job, prediction=ZERO)
    assert arguments(v)["v_parameterization"] is True and "zero_terminal_snr" not in arguments(v)
    assert arguments(zero)["zero_terminal_snr"] is True and "noise_offset" not in arguments(zero)
    model = yaml.safe_load(aitoolkit.job_yaml(zero))["config"]["process"][0]["model"]
    assert model["is_v_pred"] is True and any("without any signal" in note for note in aitoolkit.notes(zero))
    one = json.loads(onetrainer.config_json(zero, "c"))
    assert (
        one["force_v_prediction"] is True
        and one["rescale_noise_scheduler_to_zero_terminal_snr"] is True
        and "offset_noise_weight" not in one
    )
    simple = json.loads(simpletuner.config_json(v, "b"))
    assert (
        simple["prediction_type"] == "v_prediction"
        and simple["rescale_betas_zero_snr"] is False
        and simple["noise_offset"] == 0.0357
    )


SETTINGS_OF_ALL_KINDS: list[dict[str, Any]] = [
    {},
    {"schedule": "linear", "optimizer": "adafactor", "flip": True, "caption_dropout": 0.0},
    {"schedule": "cosine", "clip_norm": 0.0, "warmup_steps": 0},
    {
        "schedule": "cosine_restarts",
        "restarts": 3,
        "optimizer": "prodigy",
        "ema_decay": 0.99,
        "output_preservation": 0.5,
        "gradient_accumulation": 2,
    },
]


@pytest.mark.parametrize("changes", [*SETTINGS_OF_ALL_KINDS, {"optimizer": "adamw_schedulefree"}])
@pytest.mark.parametrize("prediction", [Prediction(), ZERO])
@pytest.mark.parametrize("family", SCRIPTS)
def test_every_key_is_one_that_sd_scripts_reads(
    job: Job, family: str, prediction: Prediction, changes: dict[str, Any]
) -> None:
    made = dataclasses.replace(of(job, family, **changes), prediction=prediction)
    found = arguments(made)
    assert not found.keys() - keys.KOHYA_TRAINING - keys.KOHYA_OF_FAMILY[family]
    assert all(found[name] in allowed for name, allowed in keys.KOHYA_CHOICES.items() if name in found)
    data = tomllib.loads(dataset_toml(made))
    assert data["general"].keys() <= keys.KOHYA_GENERAL
    assert all(
        dataset.keys() <= keys.KOHYA_DATASET and subset.keys() <= keys.KOHYA_SUBSET
        for dataset in data["datasets"]
        for subset in dataset["subsets"]
    )


@pytest.mark.parametrize("changes", SETTINGS_OF_ALL_KINDS)
@pytest.mark.parametrize("family", aitoolkit.ARCHITECTURES)
def test_every_key_is_one_that_ai_toolkit_reads(job: Job, family: str, changes: dict[str, Any]) -> None:
    made = dataclasses.replace(of(job, family, **changes), prediction=ZERO, base="/models/base")
    (process,) = yaml.safe_load(aitoolkit.job_yaml(made))["config"]["process"]
    assert process.keys() <= keys.AI_TOOLKIT["process"]
    for name in ("network", "save", "train", "model", "sample"):
        assert process[name].keys() <= keys.AI_TOOLKIT[name], name
    assert all(dataset.keys() <= keys.AI_TOOLKIT["datasets"] for dataset in process["datasets"])
    assert process["train"]["lr_scheduler"] in keys.AI_TOOLKIT_SCHEDULES and process["train"]["max_grad_norm"] > 0


@pytest.mark.parametrize("changes", SETTINGS_OF_ALL_KINDS)
@pytest.mark.parametrize("family", onetrainer.MODEL_TYPES)
def test_every_key_is_one_that_onetrainer_reads(job: Job, family: str, changes: dict[str, Any]) -> None:
    made = dataclasses.replace(of(job, family, **changes), prediction=ZERO)
    config = json.loads(onetrainer.config_json(made, "c"))
    assert config.keys() <= keys.ONETRAINER and config["learning_rate_scheduler"] in keys.ONETRAINER_SCHEDULES
    parts = [
        config[name] for name in config if name in ("unet", "transformer", "vae") or name.startswith("text_encoder")
    ]
    assert len(parts) >= 3 and all(part.keys() <= keys.ONETRAINER_PART for part in parts)
    assert all(
        part["train"] is False and part["dropout_probability"] == made.settings.caption_dropout
        for name, part in config.items()
        if name.startswith("text_encoder")
    )
    assert all(concept.keys() <= keys.ONETRAINER_CONCEPT for concept in json.loads(onetrainer.concepts_json(made)))


def test_ai_toolkits_steps_and_rates_are_those_asked_for(job: Job) -> None:
    """It counts micro-batches as steps under another key, scales gradients to nothing at 0, lets a linear rate rise."""

    def train(**settings: Any) -> dict[str, Any]:
        return dict(yaml.safe_load(aitoolkit.job_yaml(of(job, "sdxl", **settings)))["config"]["process"][0]["train"])

    assert train(gradient_accumulation=4)["gradient_accumulation"] == 4 and "gradient_accumulation_steps" not in train()
    assert train(clip_norm=0.0)["max_grad_norm"] >= 1e6
    assert train(schedule="linear")["lr_scheduler_params"] == {"start_factor": 1.0, "end_factor": 0.0}
    assert train(schedule="constant", warmup_steps=50)["lr_scheduler_params"] == {"num_warmup_steps": 50}
    assert aitoolkit.notes(of(job, "sdxl", schedule="cosine")) and not aitoolkit.notes(
        of(job, "sdxl", schedule="constant")
    )


def test_pictures_of_others_count_as_much_as_asked(job: Job) -> None:
    prior = tuple(dataclasses.replace(folder, prior=True) for folder in job.folders[:1]) + tuple(job.folders[1:])
    made = dataclasses.replace(of(job, "sdxl", prior_weight=0.5), folders=prior)
    assert arguments(made)["prior_loss_weight"] == 0.5
    assert yaml.safe_load(aitoolkit.job_yaml(made))["config"]["process"][0]["train"]["reg_weight"] == 0.5
    assert [concept["loss_weight"] for concept in json.loads(onetrainer.concepts_json(made))] == [0.5, 1.0]


@pytest.mark.parametrize(
    ("family", "file", "network"),
    [
        ("sd15", "train_network.py", "networks.lora"),
        ("sdxl", "sdxl_train_network.py", "networks.lora"),
        ("sd35", "sd3_train_network.py", "networks.lora_sd3"),
        ("flux", "flux_train_network.py", "networks.lora_flux"),
        ("chroma", "flux_train_network.py", "networks.lora_flux"),
        ("anima", "anima_train_network.py", "networks.lora_anima"),
    ],
)
def test_kohyas_scripts(job: Job, family: str, file: str, network: str) -> None:
    made = of(job, family)
    assert script(made).file == file and any(file in line.split() for line in kohya.PROGRAM.start(made))
    assert arguments(made)["network_module"] == network_module(FAMILIES[family]) == network


def test_sd_scripts_is_told_that_it_is_chroma_and_masks_its_texts(job: Job) -> None:
    """As its docs/flux_train_network.md asks for."""
    found = arguments(of(job, "chroma"))
    told = {"model_type": "chroma", "apply_t5_attn_mask": True, "guidance_scale": 0.0, "timestep_sampling": "sigmoid"}
    assert {name: found[name] for name in told} == told and found["cache_text_encoder_outputs"] is True
    assert found.keys() <= keys.KOHYA_TRAINING | keys.KOHYA_OF_FAMILY["chroma"]
    assert "--t5xxl FILE --ae FILE" in " ".join(kohya.PROGRAM.start(of(job, "chroma")))
    assert "--clip_l" not in " ".join(kohya.PROGRAM.start(of(job, "chroma")))


def test_chromas_times_are_drawn_without_a_shift(job: Job) -> None:
    """By programs that shift FLUX.1's by the size of the pictures."""
    made = of(job, "chroma")
    config = json.loads(onetrainer.config_json(made, "c"))
    assert (config["model_type"], config["timestep_shift"]) == ("CHROMA_1", 1.0)
    assert "dynamic_timestep_shifting" not in config and "text_encoder_2" not in config
    simple = json.loads(simpletuner.config_json(made, "b"))
    assert (simple["model_family"], simple["flow_schedule_shift"]) == ("chroma", 1.0)
    assert "flow_schedule_auto_shift" not in simple


def test_ai_toolkit_takes_chroma_from_one_file(job: Job, tmp_path: Path) -> None:
    (tmp_path / "Chroma1-HD").mkdir()
    with pytest.raises(InputError, match=r"base_model: ai-toolkit trains chroma from a \.safetensors file.*Chroma1-HD"):
        aitoolkit.job_yaml(dataclasses.replace(of(job, "chroma"), base=str(tmp_path / "Chroma1-HD")))
    for base in ("lodestones/Chroma1-HD", str(tmp_path / "Chroma1-HD.safetensors")):
        (process,) = yaml.safe_load(aitoolkit.job_yaml(dataclasses.replace(of(job, "chroma"), base=base)))["config"][
            "process"
        ]
        assert (process["model"]["name_or_path"], process["model"]["arch"]) == (base, "chroma")


def test_anima_in_other_trainers(job: Job) -> None:
    """Its times come without a shift, and sd-scripts keeps its small text encoder, so that captions may change."""
    made = of(job, "anima", caption_dropout=0.1, shuffle_captions=True, blocks_to_swap=6)
    found = arguments(made)
    told = {"timestep_sampling": "sigmoid", "discrete_flow_shift": 1.0, "blocks_to_swap": 6}
    assert {name: found[name] for name in told} == told and "cache_text_encoder_outputs" not in found
    assert "--qwen3 FILE --vae FILE" in " ".join(kohya.PROGRAM.start(made))
    lokr = arguments(of(job, "anima", adapter="lokr", lokr_factor=8))
    assert (lokr["network_module"], lokr["network_args"]) == ("networks.lokr", ["factor=8"])
    with pytest.raises(InputError, match=r"quantization: kohya.*trains anima with the weights as they are"):
        arguments(dataclasses.replace(made, quantization="fp8"))
    (process,) = yaml.safe_load(aitoolkit.job_yaml(dataclasses.replace(made, base="me/Anima")))["config"]["process"]
    assert (process["model"]["arch"], process["model"]["name_or_path"]) == ("anima", "me/Anima")
    with pytest.raises(InputError, match=r"base_model: ai-toolkit trains anima from a folder of diffusers.*-Diffusers"):
        aitoolkit.job_yaml(made)
    config = json.loads(onetrainer.config_json(made, "c"))
    assert (config["model_type"], config["timestep_shift"]) == ("ANIMA", 1.0)
    simple = json.loads(simpletuner.config_json(made, "b"))
    assert (simple["model_family"], simple["flow_schedule_shift"]) == ("anima", 1.0)
    with pytest.raises(InputError, match="musubi-tuner does not train anima LoRAs"):
        PROGRAMS["musubi-tuner"].files(made)


def test_a_family_without_a_script_has_the_first_loras_network_module(job: Job) -> None:
    """For the header of what this program trains itself."""
    assert "zimage" not in SCRIPTS and network_module(FAMILIES["zimage"]) == "networks.lora"


@pytest.mark.parametrize("family", aitoolkit.ARCHITECTURES)
def test_ai_toolkits_job(job: Job, family: str) -> None:
    data = yaml.safe_load(aitoolkit.job_yaml(dataclasses.replace(of(job, family), base="/models/base")))
    (process,) = data["config"]["process"]
    assert data["config"]["name"] == "ana_v1" and process["training_seed"] == SETTINGS.seed
    assert process["network"] == {"type": "lora", "linear": 32, "linear_alpha": 16.0}
    assert [(d["num_repeats"], d["folder_path"]) for d in process["datasets"]] == [
        (2, "/data set/2_ohwx ana"),
        (1, "/data set/1_ohwx ana"),
    ]
    flow = FAMILIES[family].flow
    assert (
        process["train"]["noise_scheduler"] == ("flowmatch" if flow else "ddpm")
        and ("min_snr_gamma" in process["train"]) is not flow
    )
    assert process["model"]["name_or_path"] == "/models/base"


def test_finer_settings_reach_them(job: Job) -> None:
    fine = of(
        job,
        "sdxl",
        schedule="cosine_restarts",
        restarts=3,
        gradient_accumulation=4,
        clip_norm=0.5,
        weight_decay=0.1,
        ema_decay=0.99,
        output_preservation=0.7,
    )
    kohyas = arguments(fine)
    assert (kohyas["lr_scheduler"], kohyas["lr_scheduler_num_cycles"]) == ("cosine_with_restarts", 3)
    assert (kohyas["gradient_accumulation_steps"], kohyas["max_grad_norm"], kohyas["optimizer_args"]) == (
        4,
        0.5,
        ["weight_decay=0.1"],
    )
    train = yaml.safe_load(aitoolkit.job_yaml(fine))["config"]["process"][0]["train"]
    assert train["ema_config"]["ema_decay"] == 0.99 and train["diff_output_preservation_multiplier"] == 0.7
    simple = json.loads(simpletuner.config_json(fine, "b"))
    assert (simple["gradient_accumulation_steps"], simple["max_grad_norm"]) == (4, 0.5)
    trainer = json.loads(onetrainer.config_json(fine, "c"))
    assert (trainer["epochs"], trainer["learning_rate_warmup_steps"], trainer["clip_grad_norm"]) == (1600, 50, 0.5)
    unclipped = json.loads(onetrainer.config_json(of(job, "sdxl", clip_norm=0.0), "c"))
    assert unclipped["clip_grad_norm"] is None  # 0 would scale all gradients to nothing
    assert (
        beyond(fine.settings) == ("training.ema_decay", "training.output_preservation")
        and beyond(fine.settings, aitoolkit.ABLE) == ()
    )


def test_ai_toolkits_special_models(job: Job) -> None:
    def model(made: Job) -> dict[str, Any]:
        return dict(yaml.safe_load(aitoolkit.job_yaml(made))["config"]["process"][0]["model"])

    assert (
        model(dataclasses.replace(of(job, "flux2-klein"), base="me/FLUX.2-klein-base-9B"))["arch"] == "flux2_klein_9b"
    )
    assert "assistant_lora_path" in model(of(job, "zimage", preset="zimage-turbo"))
    assert "assistant_lora_path" not in model(of(job, "zimage", preset="zimage"))
    own = model(of(job, "zimage", preset="zimage-turbo", assistant_lora="mine.safetensors"))
    assert own["assistant_lora_path"] == str(Path("mine.safetensors").absolute()), "it runs in a folder of its own"
    krea = [model(of(job, "krea2", preset=preset)) for preset in ("krea2", "krea2-turbo")]
    assert {one["arch"] for one in krea} == {"krea2"} and "assistant_lora_path" not in krea[0]
    assert krea[1]["assistant_lora_path"].startswith("ostris/krea2_turbo_training_adapter/")
    assert model(of(job, "sd35"))["arch"] == "sd3" and model(of(job, "sd15"))["arch"] == "sd1"


def test_ai_toolkit_reads_krea_2_from_no_diffusers_folder(job: Job, tmp_path: Path) -> None:
    made = of(job, "krea2")
    for base in ("krea/Krea-2-Raw", "/m/raw.safetensors"):
        assert base in aitoolkit.job_yaml(dataclasses.replace(made, base=base))
    with pytest.raises(InputError, match=r"base_model: .*not from a folder\. Name the file, or krea/Krea-2-Raw"):
        aitoolkit.job_yaml(dataclasses.replace(made, base=str(tmp_path)))


def test_onetrainer(job: Job) -> None:
    config = json.loads(onetrainer.config_json(job, "concepts.json"))
    assert (config["model_type"], config["training_method"], config["lora_rank"]) == (
        "STABLE_DIFFUSION_XL_10_BASE",
        "LORA",
        32,
    )
    assert config["epochs"] == 400 and config["resolution"] == "1024"  # 1200 steps x 2 over 2 x 2 + 2 x 1 draws
    assert config["offset_noise_weight"] == 0.0357 and config["concept_file_name"] == "concepts.json"
    assert (config["loss_weight_fn"], config["loss_weight_strength"], config["__version"]) == ("MIN_SNR_GAMMA", 5.0, 10)
    concepts = json.loads(onetrainer.concepts_json(job))
    assert [(c["balancing"], c["balancing_strategy"], c["path"]) for c in concepts] == [
        (2.0, "REPEATS", "/data set/2_ohwx ana"),
        (1.0, "REPEATS", "/data set/1_ohwx ana"),
    ]
    assert all(c["text"]["prompt_source"] == "sample" and c["image"]["enable_random_flip"] is False for c in concepts)
    flow = json.loads(onetrainer.config_json(of(job, "zimage"), "c"))
    assert not {"offset_noise_weight", "loss_weight_fn", "unet"} & flow.keys() and flow["timestep_shift"] == 2.0
    assert json.loads(onetrainer.config_json(of(job, "flux"), "c"))["dynamic_timestep_shifting"] is True
    assert json.loads(onetrainer.config_json(of(job, "krea2"), "c"))["model_type"] == "KREA_2"


def test_shuffled_captions_reach_them(job: Job) -> None:
    mixed = dataclasses.replace(
        job,
        trigger="1girl, ohwx",
        settings=dataclasses.replace(
            job.settings, shuffle_captions=True, caption_dropout=0.0, caption_tag_dropout_rate=0.1
        ),
    )
    general = tomllib.loads(dataset_toml(mixed))["general"]
    assert (general["shuffle_caption"], general["keep_tokens"]) == (True, 2)
    assert general["caption_tag_dropout_rate"] == 0.1
    assert "cache_text_encoder_outputs" not in tomllib.loads(kohya.training_toml(mixed, "d.toml"))["sdxl"]
    dataset = yaml.safe_load(aitoolkit.job_yaml(mixed))["config"]["process"][0]["datasets"][0]
    assert (dataset["shuffle_tokens"], dataset["keep_tokens"]) == (True, 2)
    assert dataset["token_dropout_rate"] == 0.1
    text = json.loads(onetrainer.concepts_json(mixed))[0]["text"]
    assert (text["enable_tag_shuffling"], text["keep_tags_count"]) == (True, 2)
    flux = dataclasses.replace(mixed, family=FAMILIES["flux"])
    assert tomllib.loads(dataset_toml(flux))["general"]["shuffle_caption"] is False
    assert any("keep their order" in line for line in kohya.notes(flux))


def test_the_parts_that_stay_are_as_many_as_asked_for_or_the_subjects_own(job: Job) -> None:
    assert job.keep_tokens == 1 and of(job, "sdxl", keep_tokens=3).keep_tokens == 3
    own, other = job.folders[:2]
    counted = tuple(dataclasses.replace(picture, caption="a woman, 1girl, 2boys") for picture in other.pictures)
    prior = dataclasses.replace(other, pictures=counted, prior=True)
    assert dataclasses.replace(job, folders=(own, dataclasses.replace(prior, prior=False))).keep_tokens == 3
    assert dataclasses.replace(job, folders=(own, prior)).keep_tokens == 1


def test_sizes_layers_and_times_reach_those_who_know_them(job: Job) -> None:
    wanted = dataclasses.replace(
        job.settings,
        smaller_resolutions=(512, 768),
        only_layers=("single_",),
        skip_layers=("ff",),
        flow_sampling="uniform",
        flow_shift=1.5,
    )
    flux = dataclasses.replace(job, family=FAMILIES["flux"], settings=wanted)
    process = yaml.safe_load(aitoolkit.job_yaml(flux))["config"]["process"][0]
    assert process["datasets"][0]["resolution"] == [512, 768, 1024]
    assert process["network"]["network_kwargs"] == {"only_if_contains": ["single_"], "ignore_if_contains": ["ff"]}
    told = json.loads(onetrainer.config_json(flux, "concepts.json"))
    assert (told["resolution"], told["timestep_distribution"], told["timestep_shift"]) == (
        "512,768,1024",
        "UNIFORM",
        1.5,
    )
    fields = {"smaller_resolutions", "only_layers", "skip_layers", "flow_sampling", "flow_shift"}
    assert set(beyond(wanted)) == {f"training.{name}" for name in fields}
    assert set(beyond(wanted, aitoolkit.ABLE)) == {"training.flow_sampling", "training.flow_shift"}
    assert set(beyond(wanted, onetrainer.ABLE)) == {"training.only_layers", "training.skip_layers"}


def test_families_that_a_tool_does_not_train_are_named(job: Job) -> None:
    with pytest.raises(InputError, match=r"SimpleTuner does not train flux-kontext.*it knows sd15, sdxl"):
        simpletuner.config_json(of(job, "flux-kontext"), "x")
    with pytest.raises(InputError, match="sd-scripts does not train qwen-image"):
        script(of(job, "qwen-image"))


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


@pytest.mark.parametrize(("rank", "whole"), [(16, False), (10000, True)])
def test_trainers_that_know_lokr_are_told(rank: int, whole: bool, job: Job) -> None:
    asked = of(job, "sdxl", adapter="lokr", lokr_factor=8, rank=rank)
    assert beyond(asked.settings, kohya.ABLE) == beyond(asked.settings, aitoolkit.ABLE) == () != beyond(asked.settings)
    found = arguments(asked)
    assert (found["network_module"], found["network_dim"]) == ("lycoris.kohya", rank)
    assert found["network_args"] == [
        "algo=lokr",
        "factor=8",
        "preset=attn-mlp",
        *(["full_matrix=True"] if whole else []),
    ]
    network = yaml.safe_load(aitoolkit.job_yaml(asked))["config"]["process"][0]["network"]
    assert network == {"type": "lokr", "linear": rank, "linear_alpha": 16.0, "lokr_factor": 8, "lokr_full_rank": whole}
    assert network.keys() <= keys.AI_TOOLKIT["network"] and arguments(job)["network_module"] == "networks.lora"
    assert (
        yaml.safe_load(aitoolkit.job_yaml(of(job, "sdxl", adapter="dora")))["config"]["process"][0]["network"]["type"]
        == "lora"
    )
    assert beyond(of(job, "sdxl", adapter="dora").settings, kohya.ABLE) == ("training.adapter dora",)


def test_that_ai_toolkit_takes_the_rank_for_alpha_in_transformers_is_said(job: Job) -> None:
    def said(one: Job) -> bool:
        return any("alpha is 32 instead of 16" in note for note in aitoolkit.notes(one))

    assert said(of(job, "flux")) and said(of(job, "zimage"))
    assert not said(of(job, "sdxl")) and not said(of(job, "flux", alpha=32.0))
    assert not said(of(job, "flux", adapter="lokr"))


@pytest.mark.parametrize(
    "text",
    [
        lambda job: script(job).file,
        dataset_toml,
        lambda job: kohya.training_toml(job, "d.toml"),
        aitoolkit.job_yaml,
        lambda job: onetrainer.config_json(job, "c.json"),
        lambda job: simpletuner.config_json(job, "b.json"),
    ],
)
def test_a_family_that_a_program_does_not_know_is_said(job: Job, text: Callable[[Job], str]) -> None:
    """A plug-in's, for one."""
    unknown = dataclasses.replace(job, family=dataclasses.replace(job.family, name="auraflow"))
    with pytest.raises(InputError, match="does not train auraflow LoRAs, as far as this program knows; it knows sd15,"):
        text(unknown)


@pytest.fixture
def with_prior(job: Job, tmp_path: Path) -> Job:
    """Four photos, which come six times in a pass, and nine prior images."""
    prior = [dataclasses.replace(one, prior=True) for one in samples(tmp_path / "reg", count=9)]
    folders = folders_of([*samples(tmp_path / "own", count=4), *prior], "ohwx ana", "woman")
    return dataclasses.replace(of(job, "sdxl", schedule="constant", save_every=100), folders=folders)


def test_prior_images_take_no_steps_from_the_subject(job: Job, with_prior: Job) -> None:
    """A step of the built-in trainer has a batch of both; in other programs every second batch, or picture, is one."""
    found = arguments(with_prior)
    assert (found["max_train_steps"], found["lr_warmup_steps"], found["save_every_n_steps"]) == (2400, 100, 200)
    process = yaml.safe_load(aitoolkit.job_yaml(with_prior))["config"]["process"][0]
    assert process["train"]["steps"] == 2400 and process["train"]["lr_scheduler_params"] == {"num_warmup_steps": 100}
    assert (process["save"]["save_every"], process["sample"]["sample_every"]) == (200, 2401)
    alone, beside = (json.loads(onetrainer.config_json(one, "/c.json")) for one in (job, with_prior))
    assert alone["epochs"] == beside["epochs"] == 1200 * 2 / 6
    assert (beside["learning_rate_warmup_steps"], beside["save_every"]) == (100, 200)
    drawn = [concept["balancing"] for concept in json.loads(onetrainer.concepts_json(with_prior))]
    assert drawn == [2.0, 1.0, pytest.approx(6 / 9, abs=1e-4)]
    for program in (kohya, aitoolkit, onetrainer):
        assert "2400 steps instead of 1200" in program.notes(with_prior)[0]
        assert not any("steps instead of" in note for note in program.notes(job))


def test_sd_scripts_reads_all_prior_images_with_their_whole_captions(with_prior: Job) -> None:
    """It repeats them until they are as many as the others with their repeats, and reads no more than that."""
    (dataset,) = tomllib.loads(dataset_toml(with_prior))["datasets"]
    found = [(one["num_repeats"], one["is_reg"], one["caption_dropout_rate"]) for one in dataset["subsets"]]
    assert found == [(4, False, 0.05), (2, False, 0.05), (1, True, 0.0)]  # 2 x 6 pictures are enough for 9
    assert dataset["subsets"][-1]["class_tokens"] == with_prior.settings.class_word
    process = yaml.safe_load(aitoolkit.job_yaml(with_prior))["config"]["process"][0]
    found = [(one["num_repeats"], one["caption_dropout_rate"]) for one in process["datasets"]]
    assert found == [(2, 0.05), (1, 0.05), (1, 0.0)]
