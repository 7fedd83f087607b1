"""musubi-tuner's configurations and commands, parsed back: every key and argument is one that its parsers know, every
number is the one that was asked for.
"""

from __future__ import annotations

import dataclasses
import shlex
import subprocess
import tomllib
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from tests.contract.makers import TRAINING, samples
from tests.helpers import foreign_keys as keys
from twinloop.errors import InputError
from twinloop.families import FAMILIES
from twinloop.foreign import musubi
from twinloop.foreign.job import Job
from twinloop.foreign.musubi_files import model_files, shell_script
from twinloop.foreign.musubi_scripts import SCRIPTS, script
from twinloop.foreign.pictures import folders_of
from twinloop.foreign.program import beyond
from twinloop.system import WINDOWS

SETTINGS = dataclasses.replace(
    TRAINING, steps=1200, rank=32, alpha=16.0, learning_rate=1e-4, batch_size=2, resolution=1024, warmup_steps=50,
    caption_dropout=0.0, checkpoint_every=250, schedule="constant", seed=7,
)  # fmt: skip
KINDS: list[dict[str, Any]] = [
    {},
    {"schedule": "linear", "optimizer": "adafactor", "flip": True, "caption_dropout": 0.1},
    {"schedule": "cosine_restarts", "restarts": 3, "optimizer": "prodigy", "gradient_accumulation": 2},
    {"optimizer": "adamw_schedulefree", "gradient_checkpointing": False, "save_every": 100},
    {"adapter": "lokr", "lokr_factor": 8, "network_dropout": 0.1, "module_dropout": 0.1, "blocks_to_swap": 12},
    {"flow_sampling": "uniform", "flow_shift": 3.0, "rank_dropout": 0.1, "scale_weight_norms": 1.0},
    {"loraplus_lr_ratio": 4.0, "min_timestep": 100, "max_timestep": 900, "assistant_lora": "/adapter.safetensors"},
    {"max_step_saves_to_keep": 3, "smaller_resolutions": (512, 768), "warmup_steps": 0, "clip_norm": 0.0},
]


@pytest.fixture
def job(tmp_path: Path) -> Job:
    folders = folders_of(samples(tmp_path, count=4), "ohwx ana")
    where = PurePosixPath("/data set"), PurePosixPath("/out")
    return Job("ana_v1", "/models/base.safetensors", FAMILIES["zimage"], SETTINGS, "ohwx ana", *where, folders)


def of(job: Job, family: str, **settings: Any) -> Job:
    return dataclasses.replace(job, family=FAMILIES[family], settings=dataclasses.replace(job.settings, **settings))


def arguments(job: Job) -> dict[str, Any]:
    sections = tomllib.loads(musubi.training_toml(job, "/dataset.toml")).values()
    return {key: value for section in sections for key, value in section.items()}


def commands(job: Job) -> list[list[str]]:
    lines = shell_script(job, "/a b/dataset.toml", "/a b/training.toml").splitlines()
    return [shlex.split(line) for line in lines if line.startswith(("python ", "accelerate "))]


def options(words: list[str]) -> dict[str, str]:
    """What follows the script, whose options all take one value here."""
    own = words[next(n for n, word in enumerate(words) if word.startswith("src/")) + 1 :]
    assert all(name.startswith("--") for name in own[::2]) and len(own) % 2 == 0
    return {name.removeprefix("--"): value for name, value in zip(own[::2], own[1::2], strict=True)}


@pytest.mark.parametrize("changes", KINDS)
@pytest.mark.parametrize("family", SCRIPTS)
def test_every_key_is_one_that_it_reads(job: Job, family: str, changes: dict[str, Any]) -> None:
    made = of(job, family, **changes)
    found = arguments(made)
    assert found.keys() <= keys.MUSUBI_TRAINING
    assert all(found[name] in allowed for name, allowed in keys.MUSUBI_CHOICES.items() if name in found)
    given = {one.partition("=")[0] for one in found.get("network_args", ())}
    assert given <= keys.MUSUBI_NETWORK_ARGS and all(one.count("=") == 1 for one in found["optimizer_args"])
    assert found["lr_scheduler"] != "constant" or found["lr_warmup_steps"] == 0, "it refuses to warm that up"
    data = tomllib.loads(musubi.dataset_toml(made))
    assert data.keys() == {"general", "datasets"} and data["general"].keys() <= keys.MUSUBI_GENERAL
    assert all(dataset.keys() <= keys.MUSUBI_DATASET for dataset in data["datasets"])
    caches = [dataset["cache_directory"] for dataset in data["datasets"]]
    assert len(set(caches)) == len(caches), "two datasets in one cache are an error there"


@pytest.mark.parametrize("family", SCRIPTS)
def test_every_argument_of_the_commands_is_one_that_their_parsers_know(job: Job, family: str) -> None:
    made = of(job, family)
    versions = keys.MUSUBI_VERSIONS[script(made).name]
    found = dict(zip(keys.MUSUBI_COMMANDS, commands(made), strict=True))
    for name, words in found.items():
        assert f"src/musubi_tuner/{script(made).name}_{name}.py" in words
        told = options(words)
        known = keys.MUSUBI_COMMANDS[name] | (frozenset() if versions is None else {"model_version"})
        assert told.keys() <= known and ("model_version" in told) is (versions is not None)
        assert versions is None or told["model_version"] in versions
    assert {options(words).get("model_version") for words in found.values()} == {script(made).version(made) or None}
    train = found["train_network"]
    assert train[:2] == ["accelerate", "launch"] and train[train.index("--mixed_precision") + 1] == "bf16"
    assert options(train)["config_file"] == "/a b/training.toml"
    assert {options(train)[name] for name in ("dit", "vae", "text_encoder")} == {"$DIT", "$VAE", "$TEXT_ENCODER"}
    assert options(found["cache_latents"])["dataset_config"] == "/a b/dataset.toml"


def test_the_dataset_has_the_weights(job: Job) -> None:
    data = tomllib.loads(musubi.dataset_toml(job))
    assert data["general"] == {
        "caption_extension": ".txt", "batch_size": 2, "enable_bucket": True, "bucket_no_upscale": True,
    }  # fmt: skip
    assert [(one["num_repeats"], one["image_directory"], one["resolution"]) for one in data["datasets"]] == [
        (2, "/data set/2_ohwx ana", 1024),
        (1, "/data set/1_ohwx ana", 1024),
    ]
    several = tomllib.loads(musubi.dataset_toml(of(job, "zimage", smaller_resolutions=(512,))))["datasets"]
    assert [(one["num_repeats"], one["resolution"]) for one in several] == [(2, 512), (2, 1024), (1, 512), (1, 1024)]


def test_the_numbers_are_those_asked_for(job: Job) -> None:
    found = arguments(job)
    wanted = {
        "network_module": "networks.lora_zimage", "network_dim": 32, "network_alpha": 16.0, "max_train_steps": 1200,
        "learning_rate": 1e-4, "optimizer_type": "AdamW", "lr_scheduler": "constant_with_warmup",
        "lr_warmup_steps": 50, "seed": 7, "mixed_precision": "bf16", "gradient_checkpointing": True,
        "output_name": "ana_v1", "output_dir": "/out", "save_every_n_steps": 250, "dataset_config": "/dataset.toml",
        "timestep_sampling": "shift", "discrete_flow_shift": 2.0, "weighting_scheme": "none",
        "metadata_description": "Trigger words: ohwx ana",
    }  # fmt: skip
    assert {name: found[name] for name in wanted} == wanted
    assert not found.keys() & {"fp8_base", "blocks_to_swap", "save_last_n_steps", "network_args", "base_weights"}


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({"blocks_to_swap": 12}, {"blocks_to_swap": 12}),
        ({"gradient_checkpointing": False}, {"gradient_checkpointing": False}),
        ({"save_every": 100, "max_step_saves_to_keep": 3}, {"save_every_n_steps": 100, "save_last_n_steps": 200}),
        ({"rank_stabilized": True, "rank": 16}, {"network_alpha": 64.0}),
        (
            {"adapter": "lokr", "lokr_factor": 8, "rank": 10_000},
            {"network_module": "networks.lokr", "network_args": ["factor=8"], "network_dim": 10_000},
        ),
        (
            {"loraplus_lr_ratio": 4.0, "rank_dropout": 0.1},
            {"network_args": ["rank_dropout=0.1", "loraplus_lr_ratio=4"]},
        ),
        ({"assistant_lora": "/turbo.safetensors"}, {"base_weights": [str(Path("/turbo.safetensors").absolute())]}),
        (
            {"optimizer": "adamw_schedulefree"},
            {"lr_scheduler": "constant", "lr_warmup_steps": 0, "optimizer_type": "schedulefree.AdamWScheduleFree"},
        ),
        ({"schedule": "cosine_restarts", "restarts": 3}, {"lr_scheduler_num_cycles": 3}),
        ({"min_timestep": 100, "max_timestep": 900}, {"min_timestep": 100, "max_timestep": 900}),
    ],
)
def test_what_is_asked_for_is_told(job: Job, changes: dict[str, Any], wanted: dict[str, Any]) -> None:
    found = arguments(of(job, "zimage", **changes))
    assert {name: found[name] for name in wanted} == wanted
    assert not beyond(dataclasses.replace(job.settings, **changes), musubi.ABLE)


def test_the_usual_arguments_of_an_optimizer_give_way_to_those_that_are_set(job: Job) -> None:
    made = of(job, "zimage", optimizer="adafactor", optimizer_args=(("relative_step", True),))
    assert arguments(made)["optimizer_args"] == [
        "weight_decay=0.01",
        "scale_parameter=False",
        "warmup_init=False",
        "relative_step=True",
    ]
    assert "warmup_steps=50" in arguments(of(job, "zimage", optimizer="adamw_schedulefree"))["optimizer_args"]


@pytest.mark.parametrize(
    ("family", "asked", "wanted"),
    [
        ("zimage", {}, ("shift", 2.0)),
        ("qwen-image", {}, ("qwen_shift", None)),
        ("qwen-image-edit", {}, ("qwen_shift", None)),
        ("krea2", {}, ("krea2_shift", None)),
        ("flux2", {}, ("flux2_shift", None)),
        ("flux2-klein", {"flow_shift": 3.0}, ("shift", 3.0)),
        ("flux2", {"flow_sampling": "uniform"}, ("uniform", None)),
        ("zimage", {"flow_sampling": "uniform"}, ("sigma", 2.0)),
    ],
)
def test_times_are_drawn_as_the_family_has_them(
    job: Job, family: str, asked: dict[str, Any], wanted: tuple[str, float | None]
) -> None:
    found = arguments(of(job, family, **asked))
    assert (found["timestep_sampling"], found.get("discrete_flow_shift")) == wanted


def test_evenly_drawn_and_shifted_times_are_not_limited_there(job: Job) -> None:
    made = of(job, "zimage", flow_sampling="uniform", max_timestep=900)
    with pytest.raises(InputError, match=r"training\.max_timestep: musubi-tuner does not limit times as this program"):
        arguments(made)
    assert arguments(of(job, "flux2", flow_sampling="uniform", max_timestep=900))["max_timestep"] == 900


def test_a_training_adapter_goes_with_a_lora_only(job: Job) -> None:
    with pytest.raises(InputError, match=r"training\.assistant_lora: .* here a LoKr"):
        arguments(of(job, "zimage", adapter="lokr", assistant_lora="/turbo.safetensors"))


@pytest.mark.parametrize("how", ["fp8", "int8"])
def test_eight_bits_are_fp8(job: Job, how: str) -> None:
    made = dataclasses.replace(job, quantization=how)
    found = arguments(made)
    assert (found["fp8_base"], found["fp8_scaled"]) == (True, True)
    assert any("instead of int8" in note for note in musubi.notes(made)) is (how == "int8")


def test_float16_is_only_for_families_that_do_not_overflow_in_it(job: Job) -> None:
    for family, half in (("zimage", "bf16"), ("qwen-image", "bf16"), ("flux2", "fp16")):
        made = dataclasses.replace(of(job, family), float16=True)
        assert arguments(made)["mixed_precision"] == half and half in commands(made)[-1]
        assert any("overflows in float16" in note for note in musubi.notes(made)) is (half == "bf16")


@pytest.mark.parametrize(
    ("base", "preset", "version"),
    [
        ("black-forest-labs/FLUX.2-klein-4B", "flux2-klein", "flux.2-klein-4b"),
        ("black-forest-labs/FLUX.2-klein-9B", "flux2-klein", "flux.2-klein-9b"),
        ("/m/flux-2-klein-base-4b.safetensors", "flux2-klein-base", "flux.2-klein-base-4b"),
        ("/m/flux-2-klein-base-9b.safetensors", "flux2-klein-base", "flux.2-klein-base-9b"),
    ],
)
def test_the_kleins_are_told_apart_and_that_is_said(job: Job, base: str, preset: str, version: str) -> None:
    made = dataclasses.replace(of(job, "flux2-klein", preset=preset), base=base)
    assert {options(words)["model_version"] for words in commands(made)} == {version}
    assert any(f"taken for {version} by its name" in note for note in musubi.notes(made))


def test_qwen_image_edit_is_trained_from_pictures_alone(job: Job) -> None:
    made = of(job, "qwen-image-edit")
    assert {options(words)["model_version"] for words in commands(made)} == {"original"}
    assert "control_directory" not in musubi.dataset_toml(made)
    assert any("trained as Qwen-Image" in note for note in musubi.notes(made))


def test_what_it_cannot_do_is_said(job: Job) -> None:
    assert musubi.notes(job) == ()
    told = " ".join(musubi.notes(of(job, "zimage", caption_dropout=0.1, flip=True, optimizer="lion")))
    assert "captions are not dropped" in told and "not mirrored" in told and "pip install lion-pytorch" in told
    assert "without a shift by the size" in " ".join(musubi.notes(of(job, "qwen-image", flow_sampling="uniform")))
    left = beyond(of(job, "zimage", shuffle_captions=True, text_encoder=True, ema_decay=0.9).settings, musubi.ABLE)
    assert set(left) == {"training.shuffle_captions", "training.text_encoder", "training.ema_decay"}
    assert beyond(of(job, "zimage", adapter="dora").settings, musubi.ABLE) == ("training.adapter dora",)


def test_prior_images_are_a_dataset_that_is_drawn_as_often_as_the_subject(job: Job, tmp_path: Path) -> None:
    """Four photos that come six times in a pass, and nine prior images: two passes are enough for these."""
    prior = [dataclasses.replace(one, prior=True) for one in samples(tmp_path / "reg", count=9)]
    folders = folders_of([*samples(tmp_path / "own", count=4), *prior], "ohwx ana", "woman")
    made = dataclasses.replace(of(job, "zimage", save_every=100), folders=folders)
    data = tomllib.loads(musubi.dataset_toml(made))["datasets"]
    assert [one["num_repeats"] for one in data] == [4, 2, 1] and "prior_1_woman" in data[-1]["image_directory"]
    found = arguments(made)
    assert (found["max_train_steps"], found["lr_warmup_steps"], found["save_every_n_steps"]) == (2400, 100, 200)
    assert "2400 steps instead of 1200" in musubi.notes(made)[0]
    few = dataclasses.replace(made, folders=folders_of([*samples(tmp_path / "own", count=4), *prior[:2]], "a", "b"))
    assert [one["num_repeats"] for one in tomllib.loads(musubi.dataset_toml(few))["datasets"]] == [2, 1, 3]


def test_other_families_are_one_error_that_names_who_trains_them(job: Job) -> None:
    with pytest.raises(
        InputError, match=r"does not train sd35 LoRAs.* knows zimage, .*with kohya's sd-scripts, ai-tool"
    ):
        musubi.PROGRAM.files(of(job, "sd35"))
    with pytest.raises(
        InputError, match=r"trains flux-kontext with a reference beside each .*\"trainer\": \"builtin\""
    ):
        musubi.PROGRAM.files(of(job, "flux-kontext"))
    unknown = dataclasses.replace(job, family=dataclasses.replace(job.family, name="auraflow"))
    with pytest.raises(
        InputError, match=r"does not train auraflow LoRAs, as far .*\. Train it with this program itself"
    ):
        musubi.PROGRAM.files(unknown)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A base model as diffusers has it, in several files."""
    for name in ("transformer/diffusion_pytorch_model-00002-of-00002", "text_encoder/model-00001-of-00002"):
        file = tmp_path / "base" / f"{name}.safetensors"
        file.parent.mkdir(parents=True)
        file.write_bytes(b"")
    for name in ("transformer/diffusion_pytorch_model-00001-of-00002", "vae/diffusion_pytorch_model"):
        file = tmp_path / "base" / f"{name}.safetensors"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"")
    return tmp_path / "base"


def test_model_files_come_from_the_base_and_the_configuration(job: Job, folder: Path) -> None:
    assert model_files(job) == {"dit": "/models/base.safetensors", "vae": "FILE", "text_encoder": "FILE"}
    named = dataclasses.replace(job, parts={"vae": "/ae.safetensors", "text_encoder": "/qwen.safetensors"})
    assert [*model_files(named).values()] == ["/models/base.safetensors", "/ae.safetensors", "/qwen.safetensors"]
    whole = dataclasses.replace(job, base=str(folder))
    assert [Path(file).relative_to(folder).as_posix() for file in model_files(whole).values()] == [
        "transformer/diffusion_pytorch_model-00001-of-00002.safetensors",
        "vae/diffusion_pytorch_model.safetensors",
        "text_encoder/model-00001-of-00002.safetensors",
    ]
    krea = model_files(of(whole, "krea2"))
    assert (krea["dit"], krea["vae"]) == ("FILE", "FILE"), "its layers under the makers' names only"
    assert krea["text_encoder"] == str(folder / "text_encoder" / "model-00001-of-00002.safetensors")
    (folder / "text_encoder" / "model-00002-of-00002.safetensors").write_bytes(b"")
    assert model_files(of(whole, "krea2"))["text_encoder"] == "FILE", "a text encoder in one file only"
    flux = model_files(of(whole, "flux2"))
    assert (flux["dit"], flux["vae"]) == ("FILE", "FILE"), "these it reads in the original form only"
    assert flux["text_encoder"].endswith("text_encoder/model-00001-of-00002.safetensors")
    assert set(model_files(dataclasses.replace(job, base="Tongyi-MAI/Z-Image")).values()) == {"FILE"}


def test_a_part_that_it_takes_no_file_for(job: Job) -> None:
    made = dataclasses.replace(job, parts={"text_encoder_2": "/t5.safetensors"})
    with pytest.raises(InputError, match=r"base_parts\.text_encoder_2: .* with zimage; it takes vae, text_encoder"):
        musubi.PROGRAM.files(made)


def test_files_that_are_not_known_have_a_place_and_a_comment(job: Job) -> None:
    lines = musubi.PROGRAM.files(job)["train.sh"].splitlines()
    assert "DIT=/models/base.safetensors" in lines
    at = lines.index("VAE=FILE")
    assert "put its path in the place of FILE" in lines[at - 1] and "autoencoder" in lines[at - 2]
    assert "are not known here: VAE, TEXT_ENCODER." in musubi.PROGRAM.start(job)[0]
    named = dataclasses.replace(job, parts={"vae": "/ae.safetensors", "text_encoder": "/qwen.safetensors"})
    assert not any("not known" in line for line in musubi.PROGRAM.start(named))
    assert "train.sh" in musubi.PROGRAM.start(named)[1]


@pytest.mark.skipif(WINDOWS, reason="there is no sh")
def test_the_script_stops_at_a_missing_model_file_and_runs_the_three_commands_otherwise(
    job: Job, tmp_path: Path
) -> None:
    work = tmp_path / "it's here"
    work.mkdir()
    for name in ("python", "accelerate"):
        stand_in = work / name
        stand_in.write_text(f'#!/bin/sh\necho {name} "$@" >> "{work}/log"\n')
        stand_in.chmod(0o755)
    weights = work / "model.safetensors"
    made = dataclasses.replace(job, base=str(weights), parts={"vae": str(weights), "text_encoder": str(weights)})
    (work / "train.sh").write_text(shell_script(made, str(work / "dataset.toml"), str(work / "training.toml")))

    def run() -> subprocess.CompletedProcess[str]:
        environment = {"PATH": f"{work}:/usr/bin:/bin"}
        return subprocess.run(
            ["sh", "train.sh"], cwd=work, env=environment, capture_output=True, text=True, check=False
        )

    assert run().returncode == 1 and "There is no model file" in run().stderr and not (work / "log").exists()
    weights.write_bytes(b"")
    assert run().returncode == 0
    cached, texts, trained = (work / "log").read_text().splitlines()
    assert f"zimage_cache_latents.py --dataset_config {work}/dataset.toml --vae {weights}" in cached
    assert f"--text_encoder {weights}" in texts
    assert f"--config_file {work}/training.toml --dit {weights} --vae {weights}" in trained
