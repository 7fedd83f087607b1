"""Files of parts of the base model, as other trainers are told of them."""

from __future__ import annotations

import dataclasses
import tomllib
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from tests.contract.makers import TRAINING, samples
from tests.functional.loops import settings
from tests.helpers.external_trainers import ai_toolkit, installed, sd_scripts
from tests.helpers.foreign_keys import KOHYA_OF_FAMILY, KOHYA_TRAINING
from twinloop.adapters.diffusion.base_choice import BaseChoice
from twinloop.adapters.trainers.external.aitoolkit import AiToolkit
from twinloop.adapters.trainers.external.kohya import Kohya
from twinloop.adapters.trainers.external.trainer import ExternalTrainer
from twinloop.errors import InputError, StateError
from twinloop.families import FAMILIES
from twinloop.foreign import kohya
from twinloop.foreign.job import Job
from twinloop.foreign.kohya_scripts import SCRIPTS
from twinloop.foreign.pictures import folders_of
from twinloop.foreign.programs import PROGRAMS
from twinloop.store.atomic import sha256_file
from twinloop.store.models.lora_file import header_texts
from twinloop.store.models.part_hashes import parts_in
from twinloop.wiring import build_makers

SETTINGS = dataclasses.replace(TRAINING, caption_dropout=0.0)
TOLD = {
    "sd15": {"vae": "vae"},
    "sdxl": {"vae": "vae"},
    "flux": {"text_encoder": "clip_l", "text_encoder_2": "t5xxl", "vae": "ae"},
    "chroma": {"text_encoder": "t5xxl", "vae": "ae"},
    "anima": {"text_encoder": "qwen3", "vae": "vae"},
    "sd35": {"text_encoder": "clip_l", "text_encoder_2": "clip_g", "text_encoder_3": "t5xxl", "vae": "vae"},
}


def job(family: str, home: Path, **parts: str) -> Job:
    folders = folders_of(samples(home, count=2), "ohwx ana")
    where = PurePosixPath("/data"), PurePosixPath("/out")
    base, known = "/base.safetensors", FAMILIES[family]
    return Job("ana", base, known, SETTINGS, "ohwx ana", *where, folders, parts=parts)


@pytest.mark.parametrize("family", TOLD)
def test_sd_scripts_gets_them_by_its_own_names(family: str, tmp_path: Path) -> None:
    made = job(family, tmp_path, **{part: f"/files/{part}.safetensors" for part in TOLD[family]})
    model = tomllib.loads(kohya.training_toml(made, "/data.toml"))["model"]
    assert {name: model[name] for name in TOLD[family].values()} == {
        name: f"/files/{part}.safetensors" for part, name in TOLD[family].items()
    }
    assert model.keys() <= KOHYA_TRAINING | KOHYA_OF_FAMILY[family]
    kohya.check_parts(made, ())
    assert not [line for line in kohya.PROGRAM.start(made) if "FILE" in line]


def test_what_is_still_missing_is_named(tmp_path: Path) -> None:
    made = job("flux", tmp_path, vae="/ae.safetensors", text_encoder="/clip_l.safetensors")
    with pytest.raises(InputError, match=r"base_parts, or in training\.extra_args: --t5xxl=FILE; base_model"):
        kohya.check_parts(made, ())
    kohya.check_parts(made, ("--t5xxl=x",))
    (command,) = [line for line in kohya.PROGRAM.start(made) if "accelerate" in line]
    assert "--t5xxl FILE" in command and "--ae" not in command


@pytest.mark.parametrize("base", ["circlestone-labs/Anima-Base-v1.0-Diffusers", "/models/anima"])
def test_sd_scripts_reads_anima_from_a_file_alone(base: str, tmp_path: Path) -> None:
    made = job("anima", tmp_path, text_encoder="/qwen_3_06b_base.safetensors", vae="/qwen_image_vae.safetensors")
    kohya.check_parts(made, ())
    with pytest.raises(InputError, match=r"base_model: kohya.* trains anima from the denoiser's \.safetensors file"):
        kohya.check_parts(dataclasses.replace(made, base=base), ())


def test_a_file_that_may_hold_all_parts_needs_no_others(tmp_path: Path) -> None:
    made = job("sd35", tmp_path)
    kohya.check_parts(made, ())
    with pytest.raises(InputError, match="--clip_l=FILE, --clip_g=FILE, --t5xxl=FILE"):
        kohya.check_parts(dataclasses.replace(made, base="/base"), ())


@pytest.mark.parametrize("family", SCRIPTS)
def test_every_file_that_a_script_wants_can_be_named(family: str) -> None:
    script = SCRIPTS[family]
    assert {*script.parts} <= {*script.arguments.values()} and TOLD[family] == script.arguments


def test_a_part_that_sd_scripts_takes_no_file_for(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"base_parts\.text_encoder: .* takes no file for it with sdxl; it takes vae"):
        kohya.training_toml(job("sdxl", tmp_path, text_encoder="/clip_l.safetensors"), "/data.toml")


@pytest.mark.parametrize("name", sorted({*PROGRAMS} - {"kohya", "musubi-tuner"}))
def test_the_others_take_no_such_files(name: str, tmp_path: Path) -> None:
    assert PROGRAMS[name].files(job("flux", tmp_path))
    with pytest.raises(InputError, match=r"base_parts\.vae: .* is told of the base model as a whole here"):
        PROGRAMS[name].files(job("flux", tmp_path, vae="/ae.safetensors"))


def test_a_training_by_sd_scripts_depends_on_the_content(tmp_path: Path) -> None:
    file = tmp_path / "vae.safetensors"
    tool = Kohya()
    where = installed(tool, sd_scripts(tmp_path / "sd-scripts"))

    def trainer(*parts: tuple[str, str]) -> ExternalTrainer:
        return ExternalTrainer(tool, where, BaseChoice("a/b", parts=parts), FAMILIES["sdxl"])

    made = []
    for value in (1.0, 2.0):
        save_file({"a": np.full(2, value)}, file)
        made.append(trainer(("vae", str(file))).fingerprint)
    assert len({*made, trainer().fingerprint}) == 3
    home = tmp_path / "home"
    trainer(("vae", str(file))).train(
        samples(tmp_path / "photos", count=2), SETTINGS, home / "lora.safetensors", home / "work", {}, lambda *_: None
    )
    assert tomllib.loads((home / "work" / "training.toml").read_text())["model"]["vae"] == str(file)
    assert parts_in(header_texts(home / "lora.safetensors")) == {"vae": sha256_file(file)}
    choice = BaseChoice("a/b", parts=(("vae", str(file)),), part_hashes=(("vae", "0" * 64),))
    changed = ExternalTrainer(tool, where, choice, FAMILIES["sdxl"])
    with pytest.raises(StateError, match=r"base_parts\.vae: .*was changed after this program began with it"):
        changed.train(
            samples(tmp_path / "photos", count=2), SETTINGS, home / "b.safetensors", home / "b", {}, lambda *_: None
        )
    assert not (home / "b").exists()
    with pytest.raises(InputError, match=r"base_parts\.vae: ai-toolkit"):
        toolkit = AiToolkit()
        parts = (("vae", str(file)),)
        program = installed(toolkit, ai_toolkit(tmp_path / "ai-toolkit"))
        ExternalTrainer(toolkit, program, BaseChoice("a/b", parts=parts), FAMILIES["flux"]).check(SETTINGS)


def test_scaled_files_are_not_handed_on(tmp_path: Path) -> None:
    file = tmp_path / "t5xxl_fp8_scaled.safetensors"
    save_file({"a.scale_weight": np.ones(1)}, file)
    asked: dict[str, Any] = {"base_model": "someone/some-flux", "base_parts": {"text_encoder_2": str(file)}}
    chosen = settings(**asked, training={"preset": "flux", "trainer": "kohya", "trainer_path": str(tmp_path)})
    with pytest.raises(InputError, match=r"base_parts\.text_encoder_2: kohya gets no files .*scaled fp8"):
        build_makers(chosen).trainer()
