"""``twinloop train``: one LoRA, from a folder of photos or as the first version of a run."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twinloop.cli import options
from twinloop.cli.command import Command
from twinloop.cli.terminal import Terminal
from twinloop.domain.choices import ADAPTERS, OPTIMIZERS
from twinloop.errors import InputError

if TYPE_CHECKING:
    from twinloop.domain.records import LoRA

FLAGS = {
    "person": "person_trigger",
    "base_model": "base_model",
    "models_dir": "models_dir",
    "preset": "training.preset",
    "epochs": "training.epochs",
    "steps": "training.steps",
    "adapter": "training.adapter",
    "rank": "training.rank",
    "alpha": "training.alpha",
    "learning_rate": "training.learning_rate",
    "optimizer": "training.optimizer",
    "batch_size": "training.batch_size",
    "resolution": "training.resolution",
    "start_from": "training.start_from",
    "assistant_lora": "training.assistant_lora",
    "keep_checkpoints": "training.keep_checkpoints",
    "sample_every": "training.sample_every",
    "sample_prompt": "training.sample_prompts",
    "seed": "seed",
    "device": "device",
    "allow_download": "allow_download",
    **options.COMPUTING,
}


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
    parser.add_argument("--person", metavar="TRIGGER", help="trigger words, as in 'ohwx person'")
    parser.add_argument("--base-model", metavar="NAME", help="hub id, folder or file, or the word 'nano'")
    options.add_models_dir(parser)
    _add_learning(parser)
    _add_looking(parser)
    parser.add_argument("--seed", type=int, metavar="N", help="seed of the training (default: 0)")
    options.add_facets(parser)
    options.add_device(parser)
    options.add_computing(parser)
    options.add_catalog(parser)
    options.add_config(parser)


def _add_learning(parser: argparse.ArgumentParser) -> None:
    """What is trained, how long, and from where."""
    parser.add_argument("--preset", metavar="NAME", help="of the training (default: by the base model)")
    parser.add_argument(
        "--epochs",
        type=options.positive,
        metavar="N",
        help=(
            "passes over the photos, each as often as the preset repeats it, 10 times for sdxl (default: the preset's"
            " steps)"
        ),
    )
    parser.add_argument("--steps", type=options.positive, metavar="N", help="training steps (default: the preset's)")
    parser.add_argument(
        "--adapter",
        choices=ADAPTERS,
        help="dora also learns lengths, lokr is a Kronecker product (default: lora)",
    )
    parser.add_argument("--rank", type=options.positive, metavar="N", help="rank of the LoRA (default: the preset's)")
    parser.add_argument("--alpha", type=float, metavar="X", help="alpha of the LoRA (default: the preset's)")
    parser.add_argument("--learning-rate", type=float, metavar="X", help="peak learning rate (default: the preset's)")
    parser.add_argument(
        "--optimizer",
        choices=OPTIMIZERS,
        help="prodigy finds the rate by itself; adamw8bit (GPU) and adafactor need less memory (default: adamw)",
    )
    parser.add_argument(
        "--batch-size", type=options.positive, metavar="N", help="images at a time (default: the preset's)"
    )
    parser.add_argument(
        "--resolution", type=options.positive, metavar="PX", help="side of the training images (default: the preset's)"
    )
    parser.add_argument(
        "--start-from", metavar="FILE", help="a LoRA that the training begins from (default: from nothing)"
    )
    parser.add_argument(
        "--assistant-lora",
        metavar="FILE",
        help="the training adapter of a distilled base, worn only while it is trained",
    )


def _add_looking(parser: argparse.ArgumentParser) -> None:
    """What is looked at on the way."""
    parser.add_argument(
        "--keep-checkpoints",
        type=options.not_negative,
        metavar="N",
        help="measure N checkpoints of the last half on a small panel and take the best (default: 0, take the last)",
    )
    parser.add_argument(
        "--sample-every",
        type=options.not_negative,
        metavar="N",
        help="draw sample images after every N steps, always from the same prompts and seeds (default: 0, none)",
    )
    parser.add_argument(
        "--sample-prompt",
        action="append",
        metavar="TEXT",
        help=(
            "prompt of a sample image, with the trigger words in it; may be given again (default: four different ones)"
        ),
    )


def run(args: argparse.Namespace, terminal: Terminal) -> Any:
    if args.dataset is None and args.config is None:
        raise InputError("Name the folder of photos to train on, or --config FILE for the first LoRA of a run.")
    lora = _of_run(args, terminal) if args.dataset is None else _of_folder(args, terminal)
    terminal.line(f"LoRA: {lora.path} ({lora.steps} steps, loss {lora.final_loss:.3f})")
    return lora.to_json()


def _of_run(args: argparse.Namespace, terminal: Terminal) -> LoRA:
    from twinloop.loop import train_first, workspace_of
    from twinloop.wiring import build_toolbox, check_config

    if args.output is not None:
        raise InputError(
            "--output goes with a folder of photos; with --config alone the LoRA becomes version 1 of that run."
        )
    settings = options.settings_from(args, FLAGS, {}, check_config)
    return train_first(settings, build_toolbox(settings, terminal), workspace_of(settings))


def _of_folder(args: argparse.Namespace, terminal: Terminal) -> LoRA:
    from twinloop import manual, steps
    from twinloop.domain.wording import plural
    from twinloop.store.sidecar import trigger_of
    from twinloop.wiring import build_toolbox

    name = args.dataset.resolve().name or "person"
    trigger = trigger_of(args.dataset) or f"ohwx {name}"
    given = {"person_name": name, "person_trigger": trigger, "dataset_dir": str(args.dataset)}
    settings = options.settings_from(args, FLAGS, given)
    output = args.output or Path("lora.safetensors")
    if output.suffix != ".safetensors":
        raise InputError(f"--output {output}: LoRAs are written as .safetensors; name such a file.")
    toolbox = build_toolbox(settings, terminal)
    with options.open_catalog(args, settings, terminal) as catalog:
        steps.look_at_masks(settings)
        photos = manual.look_at(args.dataset, settings, toolbox.observer, catalog, terminal)
        used, left_out = photos.selection.photos, photos.selection.left_out
        made = sum(photo.seen.origin != "real" for photo in used)
        terminal.line(f"Trigger: {settings.person_trigger}")
        terminal.line(f"Dataset: {plural(len(used), 'image')} used ({made} synthetic), {len(left_out)} left out")
        if few := steps.few_photos_message(len(used) - made):
            terminal.warn(few)
        return manual.train_folder(photos, output, settings, toolbox, catalog)


COMMAND = Command("train", "Train one LoRA on a folder of photos, or the first LoRA of a run.", configure, run)
