"""``twinloop train``: one LoRA, from a folder of photos or as the first version of a run."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twinloop.cli import options
from twinloop.cli.argument_types import not_negative, positive
from twinloop.cli.command import Command, spend
from twinloop.cli.settings_from_flags import add_setting, settings_from
from twinloop.cli.terminal import Terminal
from twinloop.domain.choices import ADAPTERS, OPTIMIZERS
from twinloop.errors import InputError
from twinloop.system import shell

if TYPE_CHECKING:
    from twinloop.config import Settings
    from twinloop.domain.records import LoRA


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "dataset",
        type=Path,
        nargs="?",
        metavar="DATASET",
        help=(
            "folder of photos, and of approved images copied into it; left out: version 1 of the run of --config, from"
            " which 'twinloop run' goes on"
        ),
    )
    parser.add_argument("--output", type=Path, metavar="FILE", help="the LoRA to write (default: lora.safetensors)")
    add_setting(
        parser, "--person", field="person_trigger", metavar="TRIGGER", help="trigger words, as in 'ohwx person'"
    )
    add_setting(parser, "--base-model", metavar="NAME", help="hub id, folder or file, or the word 'nano'")
    parser.add_argument(
        "--restart",
        action="store_true",
        help="with --config alone: start the run anew; what is there is kept under a new name",
    )
    options.add_subject(parser)
    options.add_keep_all(parser)
    options.add_models_dir(parser)
    _add_length(parser)
    _add_adapter(parser)
    _add_optimization(parser)
    _add_images(parser)
    _add_beginning(parser)
    _add_looking(parser)
    add_setting(parser, "--seed", type=int, metavar="N", help="seed of the training (default: 0)")
    options.add_facets(parser)
    options.add_device(parser)
    options.add_computing(parser)
    options.add_catalog(parser)
    options.add_config(parser)


def _add_length(parser: argparse.ArgumentParser) -> None:
    """The preset, and how long is trained."""
    add = partial(add_setting, parser, section="training")
    add("--preset", metavar="NAME", help="sdxl, flux, zimage... (docs/families.md; default: by the base model)")
    add(
        "--epochs",
        type=positive,
        metavar="N",
        help=(
            "passes over the photos, each as often as the preset repeats it, 10 times for sdxl (default: the preset's"
            " steps)"
        ),
    )
    add(
        "--repeats",
        type=positive,
        metavar="N",
        help="with --epochs: how often each photo is seen in one epoch (default: the preset's)",
    )
    add(
        "--max-train-steps",
        type=not_negative,
        metavar="N",
        help="with --epochs: train N steps at most (default: 0, as many as the epochs ask for)",
    )
    add("--steps", type=positive, metavar="N", help="training steps (default: the preset's)")


def _add_adapter(parser: argparse.ArgumentParser) -> None:
    """What is trained."""
    add = partial(add_setting, parser, section="training")
    add(
        "--adapter",
        choices=ADAPTERS,
        help="dora also learns magnitudes, lokr is a Kronecker product (default: lora)",
    )
    add("--rank", type=positive, metavar="N", help="rank of the LoRA (default: the preset's)")
    add("--alpha", type=float, metavar="X", help="alpha of the LoRA (default: the preset's)")
    add(
        "--rank-stabilized",
        action="store_true",
        default=None,
        help="rsLoRA: scale the LoRA by alpha / root of rank instead of alpha / rank",
    )


def _add_optimization(parser: argparse.ArgumentParser) -> None:
    """How it learns."""
    add = partial(add_setting, parser, section="training")
    add("--learning-rate", type=float, metavar="X", help="peak learning rate (default: the preset's)")
    add(
        "--loraplus-lr-ratio",
        type=float,
        metavar="X",
        help="LoRA+: the matrices that start at zero learn X times faster, 4 to 16 (default: 0, as fast as the rest)",
    )
    add(
        "--scale-weight-norms",
        type=float,
        metavar="X",
        help="shorten the LoRA of a layer that changes it by more than X, 1 for example (default: 0, never)",
    )
    add(
        "--optimizer",
        choices=OPTIMIZERS,
        help=(
            "prodigy finds the rate by itself; adamw8bit (GPU), adafactor, lion and came need less memory;"
            " adamw_schedulefree needs no schedule (default: adamw)"
        ),
    )


def _add_images(parser: argparse.ArgumentParser) -> None:
    """The images of a step, and the memory that they leave to the model."""
    add = partial(add_setting, parser, section="training")
    add("--batch-size", type=positive, metavar="N", help="images per training step (default: the preset's)")
    add(
        "--blocks-to-swap",
        type=not_negative,
        metavar="N",
        help=(
            "keep N of the model's blocks in main memory, each on the GPU only while it computes, which is slower"
            " (default: as many as it takes where the training does not fit otherwise; 0 = never)"
        ),
    )
    add("--resolution", type=positive, metavar="PX", help="side of the training images (default: the preset's)")


def _add_beginning(parser: argparse.ArgumentParser) -> None:
    """What the training begins from."""
    add = partial(add_setting, parser, section="training")
    add("--start-from", metavar="FILE", help="a LoRA that the training begins from (default: from nothing)")
    add(
        "--assistant-lora",
        metavar="FILE",
        help="the training adapter of a distilled base, applied during training only",
    )


def _add_looking(parser: argparse.ArgumentParser) -> None:
    """What is looked at on the way."""
    add = partial(add_setting, parser, section="training")
    add(
        "--keep-checkpoints",
        type=not_negative,
        metavar="N",
        help="measure N checkpoints of the last half on a small panel and take the best (default: 0, take the last)",
    )
    add(
        "--sample-every",
        type=not_negative,
        metavar="N",
        help="draw sample images after every N steps, always from the same prompts and seeds (default: 0, none)",
    )
    add(
        "--sample-prompt",
        field="sample_prompts",
        action="append",
        metavar="TEXT",
        help=(
            "prompt of a sample image, with the trigger words in it; may be given again (default: four different ones)"
        ),
    )
    add(
        "--save-every",
        type=not_negative,
        metavar="N",
        help="also keep the LoRA as it is after every N steps, as lora-step00000750.safetensors (default: 0, do not)",
    )
    add(
        "--max-step-saves-to-keep",
        type=not_negative,
        metavar="N",
        help="of these files, the newest N stay (default: 0, all)",
    )
    add(
        "--validate-every",
        type=not_negative,
        metavar="N",
        help=(
            "hold photos out where there are 20 or more, and measure the loss on them after every N steps, with the"
            " same noise each time (default: where photos are held out anyway, ten times at most, on 12 of them at"
            " most; 0 = never)"
        ),
    )
    add(
        "--validation-times",
        type=positive,
        metavar="N",
        help="measure each held-out photo at N noise levels (default: 4)",
    )


def run(args: argparse.Namespace, terminal: Terminal) -> Any:
    if args.dataset is None and args.config is None:
        raise InputError("Name the folder of photos to train on, or --config FILE for the first LoRA of a run.")
    if args.restart and args.dataset is not None:
        raise InputError("--restart is about a run: it goes with --config alone, without a folder of photos.")
    if args.dataset is None:
        lora = _of_run(args, terminal)
        data = lora.to_json()
    else:
        lora, left_out = _of_folder(args, terminal)
        data = {**lora.to_json(), "left_out": left_out}
    validated = "" if lora.validation is None else f", validation loss {lora.validation.loss:.4f}"
    terminal.line(f"LoRA: {lora.path} ({lora.steps} steps, loss {lora.final_loss:.3f}{validated})")
    return data


def _of_run(args: argparse.Namespace, terminal: Terminal) -> LoRA:
    from twinloop.cli.run import make_way
    from twinloop.loop import train_first
    from twinloop.store.run.workspace import workspace_of
    from twinloop.wiring import build_toolbox, check_config

    if args.output is not None:
        raise InputError(
            "--output goes with a folder of photos; with --config alone the LoRA becomes version 1 of that run."
        )
    settings = settings_from(args, {}, check_config, notice=terminal.warn)
    toolbox, workspace = build_toolbox(settings, terminal), workspace_of(settings)
    if args.restart:
        make_way(settings, workspace, args.config, terminal)
        spend(args, "--restart")
    there = workspace.lora_record(1).exists()
    lora = train_first(settings, toolbox, workspace)
    if there:
        terminal.line(
            "Version 1 was there already, and nothing was trained. The rounds: twinloop run --config"
            f" {shell.quote(str(args.config))}"
        )
    return lora


def _of_folder(args: argparse.Namespace, terminal: Terminal) -> tuple[LoRA, list[dict[str, str]]]:
    """The LoRA of a folder, and which of its pictures were left out."""
    from twinloop import manual, steps
    from twinloop.cli.tables import left_out_lines
    from twinloop.domain.wording import plural
    from twinloop.stages.train import left_out_json
    from twinloop.store.pictures.dataset_folders import told_trigger
    from twinloop.wiring import build_toolbox

    name = args.dataset.resolve().name or "person"
    trigger = told_trigger(args.dataset) or f"ohwx {name}"
    given = {"person_name": name, "person_trigger": trigger, "dataset_dir": str(args.dataset)}
    settings = settings_from(args, given, notice=terminal.warn)
    for remark in _of_rounds_alone(settings):
        terminal.warn(remark)
    output = args.output or Path("lora.safetensors")
    if output.suffix != ".safetensors":
        raise InputError(f"--output {output}: LoRAs are written as .safetensors; name such a file.")
    toolbox = build_toolbox(settings, terminal)
    with options.open_catalog(args, settings, terminal) as catalog:
        steps.look_beside_photos(settings)
        photos = manual.look_at(args.dataset, settings, toolbox.observer, catalog, terminal)
        chosen = manual.training_set(photos, settings, toolbox)
        made, left_out = len(chosen.dataset.synthetic), left_out_json(chosen.left_out)
        terminal.line(f"Trigger: {settings.person_trigger}")
        used = plural(len(chosen.dataset.members), "image")
        held_out = steps.told_held_out(chosen.dataset)
        terminal.line(f"Dataset: {used} used ({made} synthetic){held_out}, {len(left_out)} left out")
        for line in left_out_lines(left_out):
            terminal.line(line)
        if few := steps.few_photos_message(len(chosen.dataset.real), settings.subject):
            terminal.warn(few)
        if none := steps.no_validation_message(chosen.dataset, settings):
            terminal.warn(none)
        return manual.train_folder(chosen, output, settings, toolbox, catalog), left_out


def _of_rounds_alone(settings: Settings) -> Iterator[str]:
    """What of a configuration says which LoRA a round begins with; by hand nobody knows that unless it is named."""
    training = settings.training
    if training.start_from:
        return
    if training.initial_lora:
        yield (
            "training.initial_lora takes the place of version 1 of a run; from a folder this LoRA is trained from the"
            f" base model. To go on from that file: --start-from {shell.quote(training.initial_lora)}"
        )
    if training.warm_start:
        yield (
            "training.warm_start is about the rounds of a run; from a folder this LoRA is trained from the base model."
            " To begin from the best one so far, name it: --start-from FILE"
        )


COMMAND = Command("train", "Train one LoRA on a folder of photos, or the first LoRA of a run.", configure, run)
