"""``twinloop generate`` and ``generate_synthetic.py``: images that fill exactly the gaps."""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twinloop.cli import lora_base, options
from twinloop.cli.argument_types import fraction, positive
from twinloop.cli.command import Command
from twinloop.cli.idle_flags import idle_flags
from twinloop.cli.run_folders import runs_person
from twinloop.cli.settings_from_flags import add_setting, settings_from
from twinloop.cli.terminal import Terminal
from twinloop.domain.choices import PROMPT_STYLES, SDXL
from twinloop.domain.file_names import round_in
from twinloop.domain.wording import plural
from twinloop.errors import InputError
from twinloop.system import shell

if TYPE_CHECKING:
    from collections.abc import Mapping

    from twinloop.config import Settings
    from twinloop.manual import ImageOrder
    from twinloop.stages.generation_record import MadeImage
    from twinloop.stages.sources import Source


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("gaps", type=Path, metavar="GAPS", help="gaps.json of a gap analysis")
    add_setting(
        parser,
        "--base-model",
        metavar="NAME",
        help=f"hub id, folder or file, or the word 'nano' (default: what the LoRA was trained on, else {SDXL})",
    )
    parser.add_argument(
        "--lora", type=Path, metavar="FILE", help="trained LoRA (.safetensors); left out: the bare base model"
    )
    add_setting(
        parser,
        "--person",
        field="person_trigger",
        metavar="TRIGGER",
        help="trigger words, as in 'ohwx person' (default: the LoRA's own)",
    )
    parser.add_argument(
        "--output", type=Path, metavar="DIR", help="folder for the images (default: synthetic_<iteration>)"
    )
    _add_drawing(parser)
    _add_photos(parser)
    add = partial(add_setting, parser, section="generation")
    add(
        "--early-reject",
        type=fraction,
        metavar="X",
        help=(
            "give up images whose preview fails its target after this share of the steps, such as 0.6 (default: finish"
            " all)"
        ),
    )
    add(
        "--face-detail",
        type=fraction,
        metavar="X",
        help=(
            "redraw small faces, enlarged: how much of each is drawn anew, such as 0.4 (default: 0, they stay as they"
            " are)"
        ),
    )
    add(
        "--face-detail-below",
        type=fraction,
        metavar="X",
        help="with --face-detail: faces lower than this share of the image height are small (default: the preset's)",
    )
    options.add_models_dir(parser)
    options.add_facets(parser)
    options.add_device(parser)
    options.add_computing(parser)
    options.add_offload(parser)
    options.add_config(parser)
    options.add_catalog(parser)


def _add_drawing(parser: argparse.ArgumentParser) -> None:
    """How many images, and how they are drawn."""
    add = partial(add_setting, parser, section="generation")
    add("--num-per-gap", type=int, metavar="N", help="images per gap (default: 5)")
    options.add_steps_and_guidance(parser)
    add("--prompt-prefix", metavar="TEXT", help="before the trigger in every prompt (default: by the preset's style)")
    add("--prompt-suffix", metavar="TEXT", help="at the end of every prompt (default: the preset's quality words)")
    options.add_negative_prompt(parser)
    add("--lora-scale", type=float, metavar="X", help="strength of the LoRA (default: 1.0)")
    add_setting(parser, "--seed", type=int, metavar="N", help="seed of the whole generation (default: 0)")
    parser.add_argument(
        "--iteration",
        type=positive,
        metavar="N",
        help="number of the round; goes into the seeds (default: that in GAPS, else that of its name, else 1)",
    )
    options.add_image_size(parser)
    add("--style", field="prompt_style", choices=PROMPT_STYLES, help="how prompts are written (default: as the preset)")
    options.add_sampler(parser)


def _add_photos(parser: argparse.ArgumentParser) -> None:
    """Real photos to start from, or to look at."""
    parser.add_argument(
        "--from-photos",
        type=Path,
        metavar="DIR",
        help=(
            "start images from the real photos in this folder: with --models-dir from those near in pose to what is"
            " wanted, without it from any"
        ),
    )
    parser.add_argument(
        "--photo-share",
        type=fraction,
        metavar="X",
        help="share of the images that start from a photo (default: 1 with --from-photos)",
    )
    add = partial(add_setting, parser, section="generation")
    add("--strength", type=float, metavar="X", help="how much of a photo is drawn anew, 0-1 (default: 0.6)")
    add(
        "--references",
        type=positive,
        metavar="N",
        help="photos that an editing model looks at for one image, where it takes several (default: the preset's)",
    )


def run(args: argparse.Namespace, terminal: Terminal) -> Any:
    from twinloop import manual
    from twinloop.stages.validate import given_up
    from twinloop.store.run.workspace import GENERATION_METADATA
    from twinloop.wiring import check_libraries

    gaps, found = manual.read_gaps(args.gaps)
    settings = _settings(args, found, terminal)
    iteration = args.iteration or _whole(found.get("iteration")) or round_in(args.gaps) or 1
    output = args.output or Path(f"synthetic_{iteration}")
    if not gaps:
        terminal.line(f"{args.gaps} names no gaps: nothing to generate.")
        return {"images": [], "output": str(output)}
    check_libraries(settings)
    dataset = found.get("dataset")
    order = manual.ImageOrder(
        gaps=gaps, iteration=iteration, output=output, lora=args.lora,
        dataset=dataset if isinstance(dataset, str) and dataset else None,
        photos=_photos(args, settings, dataset, terminal), photo_share=_photo_share(args, settings),
        instead="Choose another --output" if args.output else _another_round(args.gaps, iteration),
    )  # fmt: skip
    if args.lora is None:
        terminal.warn("no --lora: the images come from the bare base model, which does not know the person")
    made = _make(args, order, settings, terminal)
    redrawn = sum(one.face_detail is not None for one in made)
    faces = f", {plural(redrawn, 'face')} redrawn" if redrawn else ""
    terminal.line(f"Generated: {plural(len(made), 'image')}{faces} in {output}")
    early = len(given_up(output))
    if early:
        terminal.line(f"Given up early: {early}, because a preview failed its target ({GENERATION_METADATA} says why)")
    return {
        "output": str(output),
        "images": [{"file": m.path.name, "sha256": m.sha256, **m.shot.to_json()} for m in made],
    }


def _another_round(gaps: Path, taken: int) -> str:
    """What to do where the usual folder of a round holds images of another order."""
    named = round_in(gaps)
    number = taken + 1 if named in (None, taken) else named
    return f"For another round give --iteration {number}, which draws other images; else choose another --output"


def _make(args: argparse.Namespace, order: ImageOrder, settings: Settings, terminal: Terminal) -> list[MadeImage]:
    from twinloop import manual, wiring
    from twinloop.steps.stage_options import early_judge, face_detail
    from twinloop.store.clock import SystemClock

    facets, _ = wiring.chosen_facets(settings.analysis.plugins, settings.analysis.facets, settings.validation.faces)
    starting = settings.generation.model_copy(update={"from_photos": order.photo_share})
    makers = wiring.build_makers(settings.model_copy(update={"generation": starting}), terminal.warn)
    early, detail = None, None
    if settings.generation.early_reject is not None or settings.generation.face_detail:
        observer = wiring.observer_of(settings)
        early = early_judge(settings, observer)
        detail = face_detail(settings, observer, makers.small_face)
    loras = () if order.lora is None else (order.lora,)
    for remark in (
        *wiring.lora_remarks(settings, makers, loras),
        *idle_flags(args, settings, makers.generation, order.photo_share),
    ):
        terminal.warn(remark)
    makers.check(loras)
    studio = manual.Studio(makers, facets, SystemClock(), early, detail)
    shots = manual.plan_shots(order, settings, studio, terminal)
    images = plural(len(shots), "image")
    terminal.line(f"Trigger: {settings.person_trigger}")
    terminal.line(f"{plural(len(order.gaps), 'gap')}, {images} to make with {settings.base_model}")
    return manual.make_images(shots, order, studio, terminal)


def _settings(args: argparse.Namespace, found: Mapping[str, Any], terminal: Terminal) -> Settings:
    headers = lora_base.headers_of(() if args.lora is None else (args.lora,))
    trigger = args.person or lora_base.trigger_of(headers)
    if args.person is None and args.config is None and trigger is None:
        raise InputError("Whose images? Give the trigger words: --person 'ohwx person'.")
    base = lora_base.base_of(headers, found.get("base_model"))
    settings = settings_from(
        args,
        {**base, "person_trigger": trigger, "person_name": trigger, "dataset_dir": "."},
        notice=terminal.warn,
    )
    lora_base.check_base(headers, settings)
    drawn = settings.generation
    words = ", ".join(filter(None, (drawn.prompt_prefix, settings.person_trigger, drawn.prompt_suffix)))
    for name, trained, _ in lora_base.unheard(headers, [words]):
        terminal.warn(
            f"{name} was trained with the trigger words {trained!r}, and the prompts have"
            f" {settings.person_trigger!r}: --person {shell.quote(trained)} calls what it learned"
        )
    return settings


def _whole(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None


def _photos(args: argparse.Namespace, settings: Settings, dataset: Any, terminal: Terminal) -> tuple[Source, ...]:
    """The photos that images start from: those of the flag, else of the configuration's run, else the ones behind the
    gaps.

    Args:
        dataset: the folder that the gap analysis names.

    Raises:
        InputError: there are to be some, and nothing says which.
    """
    from twinloop import manual

    if args.from_photos is not None:
        return _sources(args.from_photos, args, settings, terminal)
    if not _photo_share(args, settings):
        return ()
    if args.config is not None:
        own = runs_person(Path(settings.output_dir)) in ("", settings.person_name)
        found = manual.photos_of_run(settings) if own else ()
        return found or _sources(Path(settings.dataset_dir), args, settings, terminal)
    if isinstance(dataset, str) and dataset and Path(dataset).is_dir():
        return _sources(Path(dataset), args, settings, terminal)
    raise InputError("--photo-share: start from which photos? Name their folder: --from-photos DIR.")


def _sources(folder: Path, args: argparse.Namespace, settings: Settings, terminal: Terminal) -> tuple[Source, ...]:
    """The photos of a folder, with their poses where the flag says what looks at them."""
    from twinloop import manual, wiring

    if args.models_dir is None:
        return manual.usable_sources(folder, terminal)
    observer = wiring.observer_of(settings)
    with options.open_catalog(args, settings, terminal) as catalog:
        return manual.observed_sources(folder, observer, catalog, terminal)


def _photo_share(args: argparse.Namespace, settings: Settings) -> float:
    if args.photo_share is not None:
        return float(args.photo_share)
    return settings.generation.from_photos or (1.0 if args.from_photos is not None else 0.0)


COMMAND = Command("generate", "Make images that fill the gaps of a gap analysis.", configure, run)
