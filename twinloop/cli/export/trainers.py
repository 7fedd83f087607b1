"""``twinloop export kohya|ai-toolkit|onetrainer|simpletuner|musubi-tuner``: the dataset and a configuration for another
trainer.
"""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path
from typing import Any

from twinloop.cli import options
from twinloop.cli.argument_types import positive
from twinloop.cli.command import Command
from twinloop.cli.export.common import left_out_line
from twinloop.cli.settings_from_flags import add_setting, settings_from
from twinloop.cli.terminal import Terminal
from twinloop.domain.wording import plural
from twinloop.foreign import TITLES


def configure(parser: argparse.ArgumentParser) -> None:
    add_setting(
        parser,
        "--dataset",
        field="dataset_dir",
        metavar="DIR",
        help=(
            "folder of photos with captions (.txt) beside them, or dataset_iterN.json of a run with its captions and"
            " weights"
        ),
    )
    parser.add_argument(
        "--output", type=Path, required=True, metavar="DIR", help="folder for dataset and configuration"
    )
    add_setting(
        parser,
        "--person",
        "--trigger",
        field="person_trigger",
        metavar="TRIGGER",
        help="trigger words, as in 'ohwx person'",
    )
    add_setting(parser, "--base-model", metavar="NAME", help="hub id, folder or file, as that program is to find it")
    add = partial(add_setting, parser, section="training")
    add("--preset", metavar="NAME", help="sdxl, flux, zimage... (docs/families.md; default: by the base model)")
    add("--steps", type=positive, metavar="N", help="training steps (default: the preset's)")
    add("--rank", type=positive, metavar="N", help="rank of the LoRA (default: the preset's)")
    add("--resolution", type=positive, metavar="PX", help="side of the training images (default: the preset's)")
    add_setting(parser, "--seed", type=int, metavar="N", help="seed of the training (default: 0)")
    options.add_config(parser)


def _run(name: str, args: argparse.Namespace, terminal: Terminal) -> Any:
    from twinloop.exporters.captioned import Wanted, gather_captioned
    from twinloop.exporters.package import write_package
    from twinloop.exporters.training_set import export_training_set
    from twinloop.families.predictions import check_asked, prediction_of
    from twinloop.foreign.job import Job
    from twinloop.foreign.pictures import folders_of
    from twinloop.foreign.programs import PROGRAMS
    from twinloop.stages.masks import masks_of
    from twinloop.stages.samples import Beside, training_samples
    from twinloop.stages.words import TAGGED
    from twinloop.steps.stage_options import merge_limits, reading
    from twinloop.store.pictures.dataset_folders import told_trigger
    from twinloop.wiring import asked_prediction, base_family, build_makers, check_export

    person = options.dataset_name(args)
    trigger = (told_trigger(Path(args.dataset)) if args.dataset is not None else None) or f"ohwx {person}"
    given = {"person_name": person, "person_trigger": trigger}
    settings = settings_from(args, given, notice=terminal.warn)
    options.check_outside(args.output, settings.dataset_dir)
    family, prediction = base_family(settings), asked_prediction(settings)
    check_export(settings, TITLES[name], family)
    makers = build_makers(settings)
    asked = settings.training
    wanted = Wanted(
        trigger=settings.person_trigger,
        limits=merge_limits(settings),
        reading=reading(settings, None),
        tags=makers.voice.style in TAGGED,
    )
    gathered = gather_captioned(Path(settings.dataset_dir), wanted)
    photos = [Path(member.path) for member in gathered.dataset.members if member.weight > 0]
    beside = Beside(
        prior=Path(asked.prior_images) if asked.prior_images is not None else None,
        masks=masks_of(Path(asked.masks), gathered.root, photos) if asked.masks is not None else {},
    )
    training = makers.training(gathered.pictures)
    samples = training_samples(gathered.dataset, training, beside, makers.voice.style, terminal)
    root = args.output.resolve()
    here = Path(settings.base_model).expanduser()
    base = str(here.resolve()) if here.exists() else settings.base_model
    check_asked(prediction, prediction_of(base, family), family)
    job = Job(
        name=settings.person_name.replace(" ", "_"),
        base=base,
        family=family,
        settings=training,
        trigger=settings.person_trigger,
        root=root / "dataset",
        output=root / "output",
        folders=folders_of(samples, settings.person_trigger, training.class_word),
        prediction=prediction_of(base, family, prediction),
        quantization=settings.quantization,
        float16=settings.precision == "float16",
        parts={part: str(Path(file).expanduser().absolute()) for part, file in settings.base_parts.given},
    )
    package = export_training_set(PROGRAMS[name], job, gathered)
    manifest, data = write_package(args.output, package)
    for warning in package.warnings:
        terminal.warn(warning)
    terminal.line(f"Trigger: {job.trigger}")
    for folder in job.folders:
        terminal.line(f"dataset/{folder.name}: {plural(len(folder.pictures), 'picture')}, each {folder.repeats} x")
    terminal.line(f"{plural(job.pictures, 'picture')} and a configuration in {args.output}")
    if left := data["left_out"]:
        terminal.line(f"{left_out_line(left, gathered.pictures + len(left))}\nEach with its reason: {manifest}")
    terminal.line(f"How to start: {manifest.with_name('README.txt')}")
    return {**data, "warnings": list(package.warnings)}


COMMANDS = tuple(
    Command(name, f"Dataset and LoRA configuration for {title}.", configure, partial(_run, name))
    for name, title in TITLES.items()
)
