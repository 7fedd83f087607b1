"""Flags become settings."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from twinloop.cli.settings_from_flags import add_setting, settings_from, wanted_shares
from twinloop.errors import ConfigError, InputError

FLAGS = {"base_model": "base_model", "steps": "generation.num_inference_steps", "lora_scale": "generation.lora_scale"}
NEEDED = {"person_name": "ana", "person_trigger": "ohwx ana", "dataset_dir": "photos"}


def given(fields: Mapping[str, str] = FLAGS, /, **values: Any) -> argparse.Namespace:
    return argparse.Namespace(**{"fields": fields, **dict.fromkeys(fields), "config": None, **values})


def config(folder: Path, **values: Any) -> Path:
    path = folder / "c.json"
    path.write_text(json.dumps({**NEEDED, **values}))
    return path


def test_flags_alone() -> None:
    settings = settings_from(given(steps=12), NEEDED)
    assert (settings.person_name, settings.generation.num_inference_steps, settings.models_dir) == ("ana", 12, "models")


def test_flags_go_over_the_configuration_and_defaults_under_it(tmp_path: Path) -> None:
    path = config(tmp_path, base_model="mine", generation={"num_inference_steps": 9, "lora_scale": 0.5})
    settings = settings_from(given(config=path, steps=12), {"person_name": "other", "base_model": "default", "seed": 4})
    assert (settings.person_name, settings.base_model, settings.seed) == ("ana", "mine", 4)
    assert (settings.generation.num_inference_steps, settings.generation.lora_scale) == (12, 0.5)


def test_a_flag_stands_for_a_field() -> None:
    parser = argparse.ArgumentParser()
    add_setting(parser, "--seed", type=int)
    add_setting(parser, "--sigma", "--limit", section="validation", field="identity_tolerance", type=float)
    group = parser.add_argument_group("limits")
    add_setting(group, "--max-brightness", section="validation", type=float)
    args = parser.parse_args(["--seed", "4", "--limit", "2", "--max-brightness", "200"])
    settings = settings_from(argparse.Namespace(config=None, **vars(args)), NEEDED)
    assert (settings.seed, settings.validation.identity_tolerance, settings.validation.max_brightness) == (4, 2, 200)


def test_arguments_without_any_flag_for_a_field() -> None:
    assert settings_from(argparse.Namespace(config=None), NEEDED).person_name == "ana"


LENGTHS = {name: f"training.{name}" for name in ("steps", "epochs", "repeats", "max_train_steps")}


@pytest.mark.parametrize(
    ("configured", "flags", "wanted"),
    [
        ({"epochs": 3, "repeats": 4, "max_train_steps": 900}, {"steps": 50}, (50, None, None, 0)),
        ({"steps": 800}, {"epochs": 2, "repeats": 5}, (None, 2, 5, 0)),
        ({"epochs": 3, "repeats": 4, "max_train_steps": 900}, {"epochs": 2}, (None, 2, 4, 900)),
        ({"epochs": 3, "repeats": 4}, {}, (None, 3, 4, 0)),
    ],
)
def test_steps_and_epochs_as_flags_take_the_place_of_the_configured_length(
    tmp_path: Path, configured: dict[str, int], flags: dict[str, int], wanted: tuple[int | None, ...]
) -> None:
    args = given(LENGTHS, config=config(tmp_path, training=configured), **flags)
    training = settings_from(args, {}).training
    assert (training.steps, training.epochs, training.repeats, training.max_train_steps) == wanted


def test_mistakes_are_named_by_the_flag_that_made_them(tmp_path: Path) -> None:
    path = config(tmp_path, max_iterations=0, generation={"guidance_scale": 7})
    with pytest.raises(ConfigError) as caught:
        settings_from(given(config=path, steps=-1, lora_scale=9.0), {})
    fields = sorted(problem.split(":")[0] for problem in caught.value.problems)
    assert fields == ["--lora-scale", "--steps", "max_iterations"]
    assert caught.value.source == str(path)


def test_a_configuration_whose_section_is_no_section(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        settings_from(given(config=config(tmp_path, generation=5), steps=3), {})
    assert [problem.split(":")[0] for problem in caught.value.problems] == ["generation"]


def test_facet_files_join_those_of_the_configuration(tmp_path: Path) -> None:
    path = config(tmp_path, analysis={"plugins": ["a.py"]})
    settings = settings_from(given(config=path, facet=["b.py"]), {})
    assert settings.analysis.plugins == ("a.py", "b.py")


def test_facet_files_where_the_configuration_has_none_or_something_else(tmp_path: Path) -> None:
    for nothing in ({"analysis": {"plugins": None}}, {"analysis": None}, {}):
        settings = settings_from(given(config=config(tmp_path, **nothing), facet=["b.py"]), {})
        assert settings.analysis.plugins == ("b.py",)
    with pytest.raises(ConfigError, match=r"analysis\.plugins: .*given: 'ab.py'"):
        settings_from(given(config=config(tmp_path, analysis={"plugins": "ab.py"}), facet=["b.py"]), {})


def test_a_flag_reaches_a_section_that_is_null(tmp_path: Path) -> None:
    path = config(tmp_path, generation=None)
    assert settings_from(given(config=path, steps=3), {}).generation.num_inference_steps == 3


def test_wanted_shares_go_over_those_of_the_configuration_one_by_one(tmp_path: Path) -> None:
    path = config(
        tmp_path, analysis={"shares": {"face_angle": {"profile": 0.1, "front": 0.5}, "setting": {"studio": 0.3}}}
    )
    args = given(
        {"shares": "analysis.shares"},
        config=path,
        shares={"face_angle": {"profile": 0.25}, "lighting": {"low_key": 0.2}},
    )
    assert settings_from(args, {}).analysis.shares == {
        "face_angle": {"profile": 0.25, "front": 0.5},
        "setting": {"studio": 0.3},
        "lighting": {"low_key": 0.2},
    }


@pytest.mark.parametrize(
    ("configured", "flags", "preset"),
    [
        ({"base_model": "models/mine.safetensors"}, {"base_model": "./models/mine.safetensors"}, "pony"),
        ({"base_model": "models/mine.safetensors"}, {"base_model": "other.safetensors"}, None),
        ({"base_model": "models/mine.safetensors"}, {"base_model": "other.safetensors", "preset": "flux"}, "flux"),
        ({"base_model": "models/mine.safetensors"}, {}, "pony"),
        ({}, {"base_model": "stabilityai/stable-diffusion-xl-base-1.0"}, "pony"),
    ],
)
def test_a_preset_belongs_to_its_base_model(
    tmp_path: Path, configured: dict[str, Any], flags: dict[str, Any], preset: str | None
) -> None:
    path = config(tmp_path, training={"preset": "pony", "steps": 7}, **configured)
    known = {"base_model": "base_model", "preset": "training.preset"}
    found = settings_from(given(known, config=path, **flags), {})
    assert (found.training.preset, found.training.steps) == (preset, 7)


@pytest.mark.parametrize(
    ("configured", "flag"),
    [("~/mine", "{home}/mine"), ("{home}/mine", "~/mine"), ("~/mine", "~/mine"), ("~/mine", "{home}/../home/mine")],
)
def test_a_base_in_the_home_folder_is_the_same_by_either_name(
    configured: str, flag: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("USERPROFILE", str(home))
    base, training = configured.format(home=home), {"preset": "pony"}
    path = config(tmp_path, base_model=base, base_parts={"vae": "a"}, training=training)
    said: list[str] = []
    args = given(config=path, base_model=flag.format(home=home))
    found = settings_from(args, {}, notice=said.append)
    assert found.training.preset == "pony" and found.base_parts.given == (("vae", "a"),) and not said


def test_parts_of_another_base_that_are_left_out_are_told(tmp_path: Path) -> None:
    path = config(tmp_path, base_model="mine", base_parts={"vae": "a", "text_encoder": "b", "text_encoder_2": None})
    flags = {**FLAGS, "base_part": "base_parts"}
    said: list[str] = []
    args = given(flags, config=path, base_model="~nobody/another", base_part={"vae": "c"})
    found = settings_from(args, {}, notice=said.append)
    assert found.base_parts.given == (("vae", "c"),)
    (told,) = said
    assert told.startswith(f"base_parts of {path} (text_encoder): left out") and "--base-model names another" in told
    args.base_part = {"vae": "c", "text_encoder": "d"}
    settings_from(args, {}, notice=said.append)
    args.base_model = None
    settings_from(args, {}, notice=said.append)
    assert said == [told], "nothing is left out"


def test_wanted_shares_from_file_and_flags(tmp_path: Path) -> None:
    targets = tmp_path / "t.json"
    targets.write_text('{"face_angle": {"profile": 0.1, "front": 0.5}}')
    assert wanted_shares(None, None) is None
    assert wanted_shares(["face_angle.profile=25%", "setting.studio=0.2"], targets) == {
        "face_angle": {"profile": 0.25, "front": 0.5},
        "setting": {"studio": 0.2},
    }


@pytest.mark.parametrize(
    "pair", ["profile=0.2", "face_angle.profile", "face_angle.=0.2", ".profile=0.2", "face_angle.profile=much", ""]
)
def test_a_share_of_another_form(pair: str) -> None:
    with pytest.raises(InputError, match=r"expected FACET\.VALUE=SHARE"):
        wanted_shares([pair], None)


def test_targets_that_are_not_there_are_no_configuration(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"--targets .*t.json: there is no such file; expected .*face_angle"):
        wanted_shares(None, tmp_path / "t.json")


@pytest.mark.parametrize("text", ["[]", '{"face_angle": 0.2}'])
def test_targets_of_another_form(text: str, tmp_path: Path) -> None:
    path = tmp_path / "t.json"
    path.write_text(text)
    with pytest.raises(InputError, match="expected"):
        wanted_shares(None, path)
