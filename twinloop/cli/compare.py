"""``twinloop compare``: LoRAs at several strengths on a person's own prompts, side by side."""

from __future__ import annotations

import argparse
import math
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twinloop.cli import lora_base, options
from twinloop.cli.argument_types import positive
from twinloop.cli.command import Command
from twinloop.cli.settings_from_flags import add_setting, settings_from
from twinloop.cli.terminal import Terminal
from twinloop.domain.captions import holds_trigger
from twinloop.domain.choices import SDXL
from twinloop.domain.wording import plural, some
from twinloop.errors import InputError, MissingModel, NothingToDo, TwinLoopError

if TYPE_CHECKING:
    from twinloop.config import Settings
    from twinloop.domain.comparison import AskedPrompt, Comparison
    from twinloop.domain.statistics import Estimate
    from twinloop.manual import PlannedComparison, Ruler, WantedComparison
    from twinloop.stages.observe import Observer
    from twinloop.stages.toolbox import Makers
    from twinloop.store.run.catalog import Catalog

STRENGTHS = "0.6,0.8,1.0,1.2"
STRONGEST = 4.0
UNMEASURED = "Nothing was measured: that takes detectors and photos of the person (--models-dir DIR --dataset DIR)."
NO_LIKENESS = (
    "Likeness was not measured: that takes photos of the person (--dataset DIR) and detectors that tell people apart."
)


def strengths(text: str) -> tuple[float, ...]:
    """``0.6,0.8,1.0`` in the order given, for argparse; 0 is the column without LoRA."""
    found = []
    for part in text.split(","):
        try:
            value = float(part)
        except ValueError:
            value = math.nan
        if not 0 <= value <= STRONGEST:
            raise argparse.ArgumentTypeError(
                f"{part.strip()!r} is no strength: expected numbers from 0 to {STRONGEST:g}, as in {STRENGTHS}"
            )
        found.append(value)
    if len(set(found)) < len(found):
        raise argparse.ArgumentTypeError(f"{text}: a strength stands there twice")
    return tuple(found)


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--lora",
        type=Path,
        nargs="+",
        action="extend",
        metavar="FILE",
        help="trained LoRAs (.safetensors); left out: every version of the run of --config",
    )
    parser.add_argument(
        "--strength",
        type=strengths,
        default=STRENGTHS,
        metavar="LIST",
        help=f"strengths to draw each LoRA with (default: {STRENGTHS})",
    )
    prompts = parser.add_mutually_exclusive_group()
    prompts.add_argument(
        "--prompt", nargs="+", action="extend", metavar="TEXT", help="prompts, with the trigger words in them"
    )
    prompts.add_argument(
        "--prompts",
        type=Path,
        metavar="FILE",
        help=(
            "text file of prompts, one a line, # begins a comment; a line may end with sd-scripts' options: --n"
            " NEGATIVE --w PX --h PX --d SEED --l GUIDANCE --s STEPS"
        ),
    )
    parser.add_argument(
        "--num-per-prompt", type=positive, default=1, metavar="N", help="images of each prompt (default: 1)"
    )
    parser.add_argument("--no-bare", action="store_true", help="leave out the column without any LoRA")
    parser.add_argument(
        "--output", type=Path, default=Path("comparison"), metavar="DIR", help="folder to write (default: comparison)"
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="say what would be drawn, and write and download nothing"
    )
    add_setting(
        parser,
        "--base-model",
        metavar="NAME",
        help=f"hub id, folder or file, or the word 'nano' (default: what the LoRAs were trained on, else {SDXL})",
    )
    add_setting(
        parser, "--person", field="person_trigger", metavar="TRIGGER", help="trigger words (default: the LoRA's own)"
    )
    _add_drawing(parser)
    _add_measuring(parser)
    options.add_device(parser)
    options.add_computing(parser)
    options.add_offload(parser)
    options.add_config(parser)


def _add_drawing(parser: argparse.ArgumentParser) -> None:
    """How images are drawn, where a line of --prompts does not say otherwise."""
    add_setting(parser, "--seed", type=int, metavar="N", help="seed of the whole comparison (default: 0)")
    options.add_steps_and_guidance(parser)
    options.add_negative_prompt(parser)
    options.add_image_size(parser)
    options.add_sampler(parser)


def _add_measuring(parser: argparse.ArgumentParser) -> None:
    """What columns are measured with."""
    add_setting(
        parser,
        "--dataset",
        field="dataset_dir",
        metavar="DIR",
        help="real photos of the person: how like them the images are is measured (default: those of --config)",
    )
    options.add_models_dir(parser)
    options.add_facets(parser)
    options.add_catalog(parser)


def run(args: argparse.Namespace, terminal: Terminal) -> Any:
    from twinloop import manual, wiring
    from twinloop.store.clock import SystemClock

    prompts = _prompts(args)
    loras = _distinct(args.lora or ())
    settings, trigger = _settings(args, loras, terminal)
    wanted = manual.WantedComparison(
        prompts=prompts,
        loras=loras or manual.loras_of_run(settings),
        strengths=tuple(value for value in args.strength if value),
        output=args.output,
        bare=not args.no_bare or 0 in args.strength,
        per_prompt=args.num_per_prompt,
        trigger=trigger,
    )
    makers = wiring.build_makers(settings, terminal.warn)
    facets, _ = wiring.chosen_facets(settings.analysis.plugins, settings.analysis.facets)
    studio = manual.Studio(makers, facets, SystemClock())
    for remark in wiring.lora_remarks(settings, makers, wanted.loras):
        terminal.warn(remark)
    plan = manual.plan_comparison(wanted, settings, studio)
    _say_plan(plan, wanted, settings, terminal)
    if args.dry_run:
        return _preview(plan, wanted, makers, terminal)
    makers.check(wanted.loras)
    observer = _observer(args, settings, terminal)
    with options.open_catalog(args, settings, terminal) if observer is not None else nullcontext() as catalog:
        ruler = None if observer is None else _ruler(args, settings, observer, catalog, terminal)
        found = manual.make_comparison(plan, args.output, settings, studio, ruler, terminal)
    if observer is not None:
        options.say_detectors(observer.pack, terminal)
        for line in observer.pack.missing:
            terminal.warn(line)
    for line in summary(found):
        terminal.line(line)
    terminal.line(f"Page: {args.output / manual.PAGE}. In one picture: {args.output / manual.GRID}")
    return found.to_json()


def _prompts(args: argparse.Namespace) -> tuple[AskedPrompt, ...]:
    from twinloop.foreign.prompt_lines import read_lines, read_prompts

    if args.prompts is not None:
        return read_prompts(args.prompts)
    if not args.prompt:
        raise InputError("What shall be drawn? Give prompts: --prompt TEXT, or --prompts FILE with one a line.")
    return read_lines((f"--prompt {number}", text) for number, text in enumerate(args.prompt, 1))


def _distinct(loras: list[Path] | tuple[()]) -> tuple[Path, ...]:
    """The named LoRAs. Raises InputError for one that is named twice, or is not there."""
    seen = set()
    for lora in loras:
        if not lora.is_file():
            raise InputError(f"No LoRA at {lora}. Correct the path.")
        if lora.resolve() in seen:
            raise InputError(f"--lora {lora} stands there twice.")
        seen.add(lora.resolve())
    return tuple(loras)


def _settings(args: argparse.Namespace, loras: tuple[Path, ...], terminal: Terminal) -> tuple[Settings, str]:
    """The settings, and the trigger words as far as they are known.

    Raises:
        InputError: no LoRA is named, or one for another base than the usual where none is named.
    """
    if not loras and args.config is None:
        raise InputError("Which LoRAs? Name them: --lora FILE, or give --config bootstrap_config.json for those of it.")
    headers = lora_base.headers_of(loras)
    known = lora_base.trigger_of(headers)
    given = {"person_trigger": known or "person", "person_name": args.person or known or "person", "dataset_dir": "."}
    settings = settings_from(args, {**lora_base.base_of(headers), **given}, notice=terminal.warn)
    lora_base.check_base(headers, settings)
    told = args.person or args.config or known
    return settings, settings.person_trigger if told else ""


def _say_plan(plan: PlannedComparison, wanted: WantedComparison, settings: Settings, terminal: Terminal) -> None:
    images = plural(plan.images, "image")
    terminal.line(
        f"{plural(len(plan.rows), 'row')} x {plural(len(plan.columns), 'column')}: {images} with {settings.base_model}"
    )
    without = [
        str(number)
        for number, asked in enumerate(wanted.prompts, 1)
        if wanted.trigger and not holds_trigger(asked.prompt, wanted.trigger)
    ]
    if without:
        terminal.warn(f"the trigger words {wanted.trigger!r} are not in prompt {some(without)}")
    prompts = [asked.prompt for asked in wanted.prompts]
    for name, trained, numbers in lora_base.unheard(lora_base.headers_of(wanted.loras), prompts):
        if trained != wanted.trigger:
            terminal.warn(
                f"{name} was trained with the trigger words {trained!r}, which are not in prompt"
                f" {some([str(number) for number in numbers])}"
            )
    for title in plan.left_off:
        terminal.warn(f"{title} is left off: it is not drawn to the end, and its LoRA is no longer there as it was")


def _preview(plan: PlannedComparison, wanted: WantedComparison, makers: Makers, terminal: Terminal) -> Any:
    """What would be drawn; what the command itself would refuse is warned of."""
    from twinloop import manual

    try:
        makers.check(wanted.loras)
    except TwinLoopError as error:
        terminal.warn(f"Without --dry-run this is refused: {error}")
    for row in plan.rows:
        terminal.line(f"  {row.shot.key}: {row.shot.prompt} (seed {row.shot.seed}, {row.width}x{row.height})")
    terminal.line(f"Columns: {', '.join(column.title for column in plan.columns)}. Nothing was written.")
    return manual.plan_json(plan)


def _observer(args: argparse.Namespace, settings: Settings, terminal: Terminal) -> Observer | None:
    """The detectors; None where none are named, or where only the configuration does and they are not there."""
    from twinloop import wiring

    asked = args.models_dir is not None or args.dataset is not None
    if not asked and args.config is None:
        return None
    try:
        return wiring.observer_of(settings)
    except MissingModel as error:
        if asked:
            raise
        terminal.warn(f"nothing is measured: {error}")
        return None


def _ruler(
    args: argparse.Namespace, settings: Settings, observer: Observer, catalog: Catalog | None, terminal: Terminal
) -> Ruler:
    """Detectors and the person's photos, looked at before anything is drawn."""
    from twinloop import manual
    from twinloop.store.run.workspace import shown_path

    assert catalog is not None
    folder = Path(settings.dataset_dir)
    if args.dataset is None and args.config is None:
        return manual.Ruler(observer, catalog, None, None)
    options.check_outside(args.output, settings.dataset_dir)
    try:
        photos = manual.look_at(folder, settings, observer, catalog, terminal)
    except (InputError, NothingToDo) as error:
        if args.dataset is not None:
            raise
        terminal.warn(f"likeness is not measured: {error}")
        return manual.Ruler(observer, catalog, None, None)
    return manual.Ruler(observer, catalog, manual.learn_person(photos, settings, observer), shown_path(folder))


def summary(found: Comparison) -> list[str]:
    """The figures of every column, and of each LoRA the strength that is most like the photos."""
    from twinloop.cli.tables import columns
    from twinloop.domain.comparison import NO_FACE

    if found.measured_by is None:
        return [UNMEASURED]
    names = [name for name in ("identity", "quality", "diversity") if any(name in c.metrics for c in found.columns)]
    if not names:
        return [NO_LIKENESS]
    titles = {"identity": "Likeness", "quality": "Face quality", "diversity": "Diversity"}
    table = [["", *(text for name in names for text in (titles[name], "95% interval"))]]
    for drawn in found.columns:
        figures = [drawn.metrics.get(name) for name in names]
        cells = [_figure(name, e) for name, e in zip(names, figures, strict=True)]
        table.append([drawn.column.title, *(text for pair in cells for text in pair)])
    lines = ["", *columns(table, right=range(1, len(table[0]))), ""]
    for best in found.best:
        likeness, images = best.likeness, plural(best.likeness.n, "image")
        figure = f"likeness {likeness.value:.3f}, 95% interval {likeness.low:.3f} to {likeness.high:.3f}, {images}"
        lines.append(f"{best.name}: most like the photos at strength {best.strength:g} ({figure}); {best.verdict}")
    lines += [f"{name}: {NO_FACE}" for name in found.faceless]
    return lines if found.best or found.faceless else [*lines, NO_LIKENESS]


def _figure(name: str, estimate: Estimate | None) -> tuple[str, str]:
    """A figure and its interval; "-" = not known."""
    from twinloop.domain.comparison import has_interval

    if estimate is None:
        return "-", "-"
    known = has_interval(name, estimate)
    return f"{estimate.value:.3f}", f"{estimate.low:.3f} to {estimate.high:.3f}" if known else "-"


COMMAND = Command(
    "compare", "Draw the same prompts and seeds with several LoRAs at several strengths, side by side.", configure, run
)
