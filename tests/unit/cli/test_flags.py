"""Every flag of ``generate``, ``compare`` and ``train`` that stands for a field reaches it; and flags with choices, of
any command, offer what the field or the part behind them takes.
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

import pytest
from pydantic.fields import FieldInfo
from safetensors.numpy import save

from tests.functional.console import configuration, twinloop
from twinloop import wiring
from twinloop.cli import compare, generate, train
from twinloop.cli.command import Command, script_parser
from twinloop.cli.commandline import build_parser
from twinloop.cli.terminal import Terminal
from twinloop.config import Settings
from twinloop.domain import crops
from twinloop.domain.choices import (
    BASE_PARTS,
    CAPTION_STYLES,
    CAPTIONERS,
    DUPLICATE_KINDS,
    LAYOUTS,
    OWN_CAPTIONS,
    SUBJECTS,
)
from twinloop.domain.vault import Consent
from twinloop.loras.lora import Dialect
from twinloop.loras.tensors import NAMES
from twinloop.store.models.lora_file import with_texts

GENERATE: Mapping[str, tuple[str | None, Any]] = {
    "--base-model": ("fake", "fake"),
    "--person": ("ohwx ana", "ohwx ana"),
    "--num-per-gap": ("3", 3),
    "--steps": ("12", 12),
    "--guidance": ("2.5", 2.5),
    "--guidance-rescale": ("0.7", 0.7),
    "--prompt-prefix": ("score_9", "score_9"),
    "--prompt-suffix": ("newest", "newest"),
    "--negative-prompt": ("mist", "mist"),
    "--lora-scale": ("0.5", 0.5),
    "--width": ("128", 128),
    "--height": ("192", 192),
    "--batch-size": ("2", 2),
    "--style": ("tags", "tags"),
    "--strength": ("0.25", 0.25),
    "--references": ("3", 3),
    "--early-reject": ("0.5", 0.5),
    "--face-detail": ("0.4", 0.4),
    "--face-detail-below": ("0.3", 0.3),
    "--scheduler": ("euler", "euler"),
    "--timestep-spacing": ("trailing", "trailing"),
    "--offload": ("model", "model"),
    "--models-dir": ("fake", "fake"),
    "--preset": ("sdxl", "sdxl"),
    "--seed": ("9", 9),
    "--device": ("cpu", "cpu"),
    "--allow-download": (None, True),
    "--precision": ("bfloat16", "bfloat16"),
    "--quantization": ("nf4", "nf4"),
    "--compile": ("off", "off"),
    "--base-prediction": ("v_prediction", "v_prediction"),
    "--zero-terminal-snr": (None, True),
    "--clip-skip": ("2", 2),
    "--base-part": ("vae=ae.safetensors", {"vae": "ae.safetensors", **dict.fromkeys(BASE_PARTS[1:])}),
}
ONLY_OF_GENERATE = {
    "--num-per-gap", "--prompt-prefix", "--prompt-suffix", "--lora-scale", "--style", "--strength", "--references",
    "--early-reject", "--face-detail", "--face-detail-below",
}  # fmt: skip
COMPARE: Mapping[str, tuple[str | None, Any]] = {
    "--dataset": ("photos", "photos"),
    **{flag: value for flag, value in GENERATE.items() if flag not in ONLY_OF_GENERATE},
}
TRAIN: Mapping[str, tuple[str | None, Any]] = {
    "--base-model": ("fake", "fake"),
    "--person": ("ohwx ana", "ohwx ana"),
    "--subject": ("character", "character"),
    "--keep-all": (None, True),
    "--models-dir": ("fake", "fake"),
    "--preset": ("sdxl", "sdxl"),
    "--epochs": ("4", 4),
    "--repeats": ("3", 3),
    "--max-train-steps": ("900", 900),
    "--steps": ("12", 12),
    "--adapter": ("dora", "dora"),
    "--rank": ("6", 6),
    "--alpha": ("3.5", 3.5),
    "--rank-stabilized": (None, True),
    "--learning-rate": ("2e-4", 2e-4),
    "--optimizer": ("adafactor", "adafactor"),
    "--batch-size": ("2", 2),
    "--blocks-to-swap": ("3", 3),
    "--resolution": ("256", 256),
    "--start-from": ("first.safetensors", "first.safetensors"),
    "--assistant-lora": ("undistilled.safetensors", "undistilled.safetensors"),
    "--keep-checkpoints": ("4", 4),
    "--sample-every": ("5", 5),
    "--sample-prompt": ("ohwx ana at sea", ("ohwx ana at sea",)),
    "--loraplus-lr-ratio": ("4", 4.0),
    "--scale-weight-norms": ("1", 1.0),
    "--save-every": ("250", 250),
    "--max-step-saves-to-keep": ("3", 3),
    "--validate-every": ("100", 100),
    "--validation-times": ("6", 6),
    "--seed": ("9", 9),
    "--device": ("cpu", "cpu"),
    "--allow-download": (None, True),
    "--precision": ("float16", "float16"),
    "--quantization": ("int8", "int8"),
    "--compile": ("regional", "regional"),
    "--base-prediction": ("epsilon", "epsilon"),
    "--zero-terminal-snr": (None, True),
    "--clip-skip": ("2", 2),
    "--base-part": ("vae=ae.safetensors", {"vae": "ae.safetensors", **dict.fromkeys(BASE_PARTS[1:])}),
}
TOGETHER = {
    "--sample-prompt": ("--sample-every", "2"),
    "--max-step-saves-to-keep": ("--save-every", "2"),
    "--repeats": ("--epochs", "2"),
    "--max-train-steps": ("--epochs", "2"),
}
"""Flags that mean nothing alone, with the ones that they go with."""
KNOWN = (
    pytest.param(generate.COMMAND, GENERATE, id="generate"),
    pytest.param(compare.COMMAND, COMPARE, id="compare"),
    pytest.param(train.COMMAND, TRAIN, id="train"),
)


NEEDED = {
    "generate": ("gaps.json",),
    "compare": ("--lora", "a.safetensors", "--prompt", "ohwx ana"),
    "train": ("photos",),
}
"""What each command cannot do without."""


class Reached(Exception):
    """The settings that came out of a command line."""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with what the commands read, in which they go no further than to their settings."""

    def stop(settings: Settings, *_: Any) -> None:
        raise Reached(settings)

    monkeypatch.chdir(tmp_path)
    Path("photos").mkdir()
    Path("a.safetensors").write_bytes(with_texts(save({}), {}))
    Path("gaps.json").write_text(
        '{"recommendations": [{"type": "face_angle", "target": "profile", "count": 3, "reason": "r"}]}'
    )
    monkeypatch.setattr(wiring, "build_observer", lambda *_: None)  # for --early-reject
    monkeypatch.setattr("twinloop.steps.stage_options.early_judge", lambda *_: None)
    monkeypatch.setattr(wiring, "build_makers", stop)
    monkeypatch.setattr(wiring, "build_toolbox", stop)
    return tmp_path


def reached(command: Command, *argv: str) -> Settings:
    """The settings that a command works with."""
    args = script_parser(command, "x").parse_args([*NEEDED[command.name], *argv])
    with pytest.raises(Reached) as caught:
        command.run(args, Terminal(io.StringIO(), io.StringIO()))
    settings: Settings = caught.value.args[0]
    return settings


def fields_of(parser: argparse.ArgumentParser) -> Mapping[str, str]:
    """The flags of a command that stand for a field, by their name in its arguments."""
    return parser.get_default("fields") or {}


@pytest.mark.parametrize(("command", "given"), KNOWN)
def test_every_flag_is_tried(command: Command, given: Mapping[str, Any]) -> None:
    assert {f"--{name.replace('_', '-')}" for name in fields_of(script_parser(command, "x"))} == set(given)


@pytest.mark.parametrize(("command", "given"), KNOWN)
def test_every_flag_reaches_its_field(home: Path, command: Command, given: Mapping[str, Any]) -> None:
    flags = fields_of(script_parser(command, "x"))
    needed = ["--person", "ohwx ana"]
    plain = reached(command, *needed).model_dump()
    for flag, (text, value) in given.items():
        path = flags[flag.removeprefix("--").replace("-", "_")]
        more = [] if flag == "--person" else needed
        more += TOGETHER.get(flag, ())
        settings = reached(command, *more, flag, *([] if text is None else [text])).model_dump()
        assert field(settings, path) == value, flag
        assert flag == "--person" or field(plain, path) != value, f"{flag}: the default, which proves nothing"


def field(dumped: Mapping[str, Any], path: str) -> Any:
    value: Any = dumped
    for part in path.split("."):
        value = value[part]
    return value


@pytest.mark.parametrize("command", [generate.COMMAND, train.COMMAND], ids=lambda command: str(command.name))
def test_a_preset_stays_with_the_base_model_of_the_configuration(home: Path, command: Command) -> None:
    training = {"preset": "pony"}
    path = configuration(home, base_model="models/mine.safetensors", training=training)
    same = reached(command, "--config", str(path), "--base-model", "models/mine.safetensors")
    other = reached(command, "--config", str(path), "--base-model", "models/another.safetensors")
    assert (same.training.preset, other.training.preset) == ("pony", None)


@pytest.mark.parametrize("command", [generate.COMMAND, train.COMMAND], ids=lambda command: str(command.name))
def test_files_of_parts_stay_with_the_base_model_of_the_configuration(home: Path, command: Command) -> None:
    path = configuration(home, base_model="models/mine.safetensors", base_parts={"vae": "a", "text_encoder": "b"})
    given = ("--base-part", "vae=c=d", "--base-part", "text_encoder_2=e")
    same = reached(command, "--config", str(path), "--base-model", "models/mine.safetensors", *given)
    other = reached(command, "--config", str(path), "--base-model", "models/another.safetensors", *given)
    assert same.base_parts.given == (("vae", "c=d"), ("text_encoder", "b"), ("text_encoder_2", "e"))
    assert other.base_parts.given == (("vae", "c=d"), ("text_encoder_2", "e"))


@pytest.mark.parametrize("wrong", ["ae.safetensors", "ae=ae.safetensors", "vae="])
def test_a_part_is_named_as_diffusers_does(wrong: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        script_parser(train.COMMAND, "x").parse_args(["photos", "--base-part", wrong])
    assert "NAME one of vae, text_encoder, text_encoder_2, text_encoder_3" in capsys.readouterr().err


COMPUTES = ("device", "precision", "quantization", "compile", "base_prediction")
OF_FIELDS = {
    *(("generate", name) for name in ("style", "offload", "timestep_spacing", *COMPUTES)),
    *(("compare", name) for name in ("offload", "timestep_spacing", *COMPUTES)),
    *(("train", name) for name in ("adapter", "optimizer", *COMPUTES)),
    ("validate", "sharpness"),
    *((name, "subject") for name in ("analyze", "masks", "train", "validate")),
    *((f"vault {name}", "device") for name in ("run", "caption", "prep")),
}
"""Flags with choices that stand for a field: their command, and their name in its arguments."""
OF_PARTS: Mapping[str, Collection[str]] = {
    "framing": {*crops.HEIGHTS, "keep"},
    "style": CAPTION_STYLES,
    "captioner": CAPTIONERS,
    "own_captions": OWN_CAPTIONS,
    "layout": LAYOUTS,
    "consent": {*Consent.KINDS, "none"},
    "kind": DUPLICATE_KINDS,
    "to": {dialect.value for dialect in Dialect if dialect is not Dialect.LORA_DIFFUSION},
    "dtype": NAMES,
    "subject": SUBJECTS,
    "origin": {"prefer-real", "any", "real-only"},
}
"""The others, by name -> what the part that carries them out knows."""


def parsers(parser: argparse.ArgumentParser, command: str = "") -> Iterator[tuple[str, argparse.ArgumentParser]]:
    yield command, parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, inner in action.choices.items():
                yield from parsers(inner, f"{command} {name}".strip())


def flags_with_choices() -> Iterator[tuple[str, argparse.ArgumentParser, argparse.Action]]:
    for command, parser in parsers(build_parser()):
        for action in parser._actions:
            if action.choices and not isinstance(action, argparse._SubParsersAction):
                yield command, parser, action


def test_flags_offer_what_their_field_takes() -> None:
    tried = set()
    for command, parser, action in flags_with_choices():
        flags = fields_of(parser)
        if action.dest in flags:
            taken = list(literals(field_info(flags[action.dest]).annotation))
            assert list(action.choices or ()) == taken, (command, action.dest)
            tried.add((command, action.dest))
    assert tried == OF_FIELDS


def field_info(path: str) -> FieldInfo:
    section, _, last = path.rpartition(".")
    model: Any = Settings.model_fields[section].annotation if section else Settings
    info: FieldInfo = model.model_fields[last]
    return info


def test_flags_stand_for_fields_that_there_are() -> None:
    found = {name: fields_of(parser) for name, parser in parsers(build_parser())}
    for path in {path for flags in found.values() for path in flags.values()}:
        assert field_info(path), path
    assert {"analyze", "compare", "generate", "train", "validate", "export kohya", "export did"} <= {
        name for name, flags in found.items() if flags
    }


def test_the_other_flags_offer_what_their_part_knows() -> None:
    tried = set()
    for command, _, action in flags_with_choices():
        if (command, action.dest) not in OF_FIELDS:
            more = {"lora"} if command == "lora convert" and action.dest == "to" else set()
            assert set(action.choices or ()) == {*OF_PARTS[action.dest], *more}, (command, action.dest)
            tried.add(action.dest)
    assert tried == set(OF_PARTS)


def literals(kind: Any) -> Iterator[Any]:
    if get_origin(kind) is Literal:
        yield from get_args(kind)
    elif get_origin(kind) in (Union, UnionType):
        for part in get_args(kind):
            yield from literals(part)


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (("generate", "gaps.json", "--references", "11"), "--references: input should be less than or equal to 10"),
        (("generate", "gaps.json", "--references", "some"), "argument --references: expected a whole number"),
        (("generate", "gaps.json", "--quantization", "int4"), "argument --quantization: invalid choice"),
        (("generate", "gaps.json", "--quantization", "nf4", "--offload", "sequential"), "do not go together"),
        (("train", "photos", "--learning-rate", "-1"), "--learning-rate: input should be greater than 0"),
        (("train", "photos", "--learning-rate", "fast"), "argument --learning-rate: invalid float value"),
        (("train", "photos", "--batch-size", "0"), "argument --batch-size: expected a whole number of 1 or more"),
        (("train", "photos", "--adapter", "loha"), "argument --adapter: invalid choice"),
        (("train", "photos", "--adapter", "dora", "--rank", "2000"), "rank 2000 is more than 1024"),
        (("train", "photos", "--optimizer", "sgd"), "argument --optimizer: invalid choice"),
        (("train", "photos", "--precision", "half"), "argument --precision: invalid choice"),
        (("train", "photos", "--compile", "all"), "argument --compile: invalid choice"),
    ],
)
def test_an_unsuitable_value_is_one_error(
    home: Path, capsys: pytest.CaptureFixture[str], argv: tuple[str, ...], words: str
) -> None:
    said = twinloop(capsys, *argv, "--person", "ohwx ana")
    assert said.code == 2 and words in said.err and said.err.count("error:") == 1
    assert "mistake" not in said.err or ": 1 mistake\n" in said.err
