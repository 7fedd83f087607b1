"""``twinloop init``: a bootstrap_config.json to start from."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twinloop.cli.command import Command
from twinloop.cli.run_folders import output_dir_for
from twinloop.cli.settings_from_flags import by_flag
from twinloop.cli.terminal import Terminal
from twinloop.domain.choices import SUBJECTS
from twinloop.domain.names import as_folder
from twinloop.errors import ConfigError, InputError
from twinloop.system import shell

if TYPE_CHECKING:
    from twinloop.config import Settings

COMMENT = [
    "Fields that are left out or null take their default; unknown fields are refused.",
    "person_trigger: the words that will stand for the person in prompts. Rare ones work best, as in 'ohwx alice'.",
    (
        "models_dir and base_model take the word 'nano' for the embedded ones. base_model is never downloaded unless"
        " allow_download is true."
    ),
    "All fields with what they mean: twinloop init --full",
]


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--person-name", default="alice", metavar="NAME", help="for folders and reports (default: alice)"
    )
    parser.add_argument(
        "--person-trigger",
        metavar="WORDS",
        help="words for the person in prompts (default: as labelled in the vault, else 'ohwx <name>')",
    )
    parser.add_argument(
        "--subject",
        choices=SUBJECTS,
        help=(
            "character = drawn: expression and eyes, which detectors made for photos cannot read on drawings, are left"
            " out (default: character where the vault's record calls the person fictional, else person)"
        ),
    )
    parser.add_argument("--dataset-dir", metavar="DIR", help="photos (default: outputs/facevault/organized/<name>)")
    parser.add_argument("--base-model", metavar="NAME", help="hub id, folder, or 'nano' (default: SDXL base 1.0)")
    parser.add_argument(
        "--output-dir",
        metavar="DIR",
        help=(
            "folder of the run (default: outputs/bootstrap; where another person's run lies there:"
            " outputs/bootstrap_<name>)"
        ),
    )
    parser.add_argument("--models-dir", default="models", metavar="DIR", help="detectors, or 'nano' (default: models)")
    parser.add_argument("--full", action="store_true", help="all fields with their defaults, and what each means")
    parser.add_argument("--output", type=Path, metavar="FILE", help="write it here instead of printing it")


def run(args: argparse.Namespace, terminal: Terminal) -> Any:
    from twinloop.store.atomic import write_json
    from twinloop.wiring.checking import no_photos

    starter = _starter(args)
    settings = _checked(starter)
    data = _full(settings) if args.full else starter
    if args.output is None or str(args.output) == "-":
        if not args.json:
            # redirected under Windows, stdout is in the code page of the country, and JSON is read as UTF-8
            plain = (sys.stdout.encoding or "").lower() != "utf-8"
            terminal.line(json.dumps(data, indent=2, ensure_ascii=plain))
    elif args.output.exists():
        raise InputError(f"{args.output} exists; nothing was changed. Name another file with --output.")
    else:
        write_json(args.output, data)
        terminal.line(f"Written: {args.output}. Start: twinloop run --config {shell.quote(str(args.output))}")
    if absent := no_photos(settings):
        terminal.warn(f"dataset_dir: {absent}")
    if other := _other_captions(settings):
        terminal.warn(other)
    return data


def _starter(args: argparse.Namespace) -> dict[str, Any]:
    """The fields that people change most."""
    from twinloop.config import Settings
    from twinloop.families import preset_for

    name = args.person_name
    dataset = args.dataset_dir or f"outputs/facevault/organized/{as_folder(name)}"
    subject = args.subject or _of_consent(Path(dataset))
    drawn = subject == "character"
    base = args.base_model or Settings.model_fields["base_model"].default
    return {
        "_comment": COMMENT,
        "person_name": name,
        "person_trigger": args.person_trigger or _of_captions(Path(dataset)) or f"ohwx {name}",
        "base_model": base,
        "dataset_dir": dataset,
        **({"subject": subject} if subject != "person" else {}),
        "models_dir": args.models_dir,
        "output_dir": args.output_dir or output_dir_for(name),
        "lora_output_dir": f"outputs/lora_models/{name}",
        "max_iterations": 5,
        "convergence_threshold": 0.05,
        "generation": {"num_per_gap": 5, "num_inference_steps": None, "guidance_scale": None},
        "validation": {"auto_filter": True, **({"faces": False} if drawn and _faceless(Path(dataset)) else {})},
        "training": {"preset": preset_for(base), "epochs": None},
    }


def _of_captions(dataset: Path) -> str:
    """The trigger that a prepared folder tells; "" where nothing does."""
    from twinloop.errors import StateError
    from twinloop.store.pictures.dataset_folders import told_trigger

    try:
        return told_trigger(dataset) or ""
    except (InputError, StateError):
        return ""


def _of_consent(dataset: Path) -> str:
    """What FaceVault's record of whom a folder shows tells of the subject."""
    from twinloop.errors import StateError
    from twinloop.store.pictures.sidecar import consent_of

    try:
        return "character" if consent_of(dataset).kind == "fictional" else "person"
    except (InputError, StateError):
        return "person"


def _faceless(dataset: Path) -> bool:
    """Whether FaceVault found no face in most pictures of a folder."""
    from twinloop.errors import StateError
    from twinloop.stages.faceless import foreseen

    try:
        return bool(foreseen(dataset))
    except StateError:
        return False


def _other_captions(settings: Settings) -> str:
    """What to say where the captions of the folder are not of the kind that the preset reads."""
    from twinloop.errors import StateError
    from twinloop.families import family_of_preset
    from twinloop.stages.caption_style import mismatch

    preset = settings.training.preset or ""
    try:
        return mismatch(Path(settings.dataset_dir), family_of_preset(preset).preset(preset).style, settings.base_model)
    except StateError:
        return ""


def _checked(starter: dict[str, Any]) -> Settings:
    """Raises ConfigError where it would not be taken, by the flags that made it."""
    from twinloop.config import parse_settings

    try:
        return parse_settings(starter, "command line")
    except ConfigError as error:
        flags = {field: f"--{field.replace('_', '-')}" for field in starter}
        raise ConfigError(error.source, [by_flag(problem, flags) for problem in error.problems]) from None


def _full(settings: Settings) -> dict[str, Any]:
    from twinloop.config import describe_fields

    return {"_comment": COMMENT[:3], "_fields": describe_fields(), **settings.model_dump(mode="json")}


COMMAND = Command("init", "Print a bootstrap_config.json to start from.", configure, run)
