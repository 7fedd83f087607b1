"""``twinloop run`` and ``bootstrap_loop.py``: the whole loop, started or resumed."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twinloop.cli.begun import Begun, last_line, look_into, photos_of
from twinloop.cli.command import Command, Finished, spend, typed
from twinloop.cli.terminal import Terminal
from twinloop.errors import InputError, WaitingForReview
from twinloop.system import shell

if TYPE_CHECKING:
    from collections.abc import Sequence

    from twinloop.config import Settings
    from twinloop.domain.shots import Gap, Shot
    from twinloop.stages.toolbox import Toolbox
    from twinloop.store.run.workspace import Workspace

SHOWN_PROMPTS = 2
"""Of each gap, in a dry run."""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "given",
        type=Path,
        nargs="?",
        metavar="CONFIG",
        help="bootstrap_config.json (write one: twinloop init); the same as --config",
    )
    parser.add_argument("--config", type=Path, metavar="FILE", help="bootstrap_config.json")
    parser.add_argument("--restart", action="store_true", help="start anew; what is there is kept under a new name")
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help=(
            "check configuration, photos and models, show the gaps and the prompts of round 1, write and download"
            " nothing; what of training and images is not here is only warned of: base model, LoRAs, folders of prior"
            " images and masks, a trainer's program, libraries, a GPU"
        ),
    )


def run(args: argparse.Namespace, terminal: Terminal) -> Any:
    from twinloop.config import read_config
    from twinloop.loop import run_loop
    from twinloop.steps import check_restart
    from twinloop.store.atomic import read_json
    from twinloop.store.run.workspace import workspace_of
    from twinloop.wiring import build_toolbox, check_config

    args.config = _config(args)
    settings = check_config(read_config(args.config), str(args.config), wholly=True, planning=args.dry_run)
    toolbox = build_toolbox(settings, terminal, planning=args.dry_run, checked=True, beside=args.config.parent)
    workspace = workspace_of(settings)
    if args.dry_run:
        if args.restart:
            check_restart(settings, workspace, args.config)
        begun = Begun(restart=True) if args.restart else look_into(settings, toolbox, workspace, terminal)
        return _preview(settings, toolbox, workspace, begun, terminal)
    if args.restart:
        make_way(settings, workspace, args.config, terminal)
        spend(args, "--restart")
    try:
        run_loop(settings, toolbox, workspace, args.config)
    except WaitingForReview as waiting:  # not an error: the run has come as far as it can without a person
        terminal.line(f"\n{waiting} Then go on with: {typed(args.parser)} --config {shell.quote(str(args.config))}")
        return Finished(read_json(workspace.history), waiting.exit_code)
    terminal.line(f"Report: {workspace.report}")
    return read_json(workspace.history)


def _config(args: argparse.Namespace) -> Path:
    """The configuration that is meant.

    Raises:
        InputError: none is named, or two different ones.
    """
    named = [path for path in (args.given, args.config) if path is not None]
    if not named:
        raise InputError("Which configuration? Name it: --config bootstrap_config.json (write one: twinloop init).")
    if len({path.resolve() for path in named}) > 1:
        raise InputError(
            f"Two configurations are named: {args.given} and --config {args.config}. Leave one of them out."
        )
    return Path(named[0])


def make_way(settings: Settings, workspace: Workspace, config: Path, terminal: Terminal) -> None:
    """Put the old run aside for a new one; what that starts from must not lie in what is moved away."""
    from twinloop.steps import check_restart
    from twinloop.store.run.put_aside import put_aside

    check_restart(settings, workspace, config)
    for old, new in put_aside(workspace):
        # a folder that is still there holds others' files too
        terminal.line(
            f"Kept: the old run's LoRAs of {old} are now in {new}" if old.is_dir() else f"Kept: {old} is now {new}"
        )


def _preview(settings: Settings, toolbox: Toolbox, workspace: Workspace, begun: Begun, terminal: Terminal) -> Any:
    """What the first round would find and make; nothing is written, the cache of observations is in memory.

    Of a run that has begun and goes on, its own photos are analysed, and its first round is not asked for again.
    """
    from twinloop import manual
    from twinloop.cli.tables import analysis_lines
    from twinloop.stages.caption_style import remarks_on_captions
    from twinloop.stages.preflight import remarks_on_training
    from twinloop.store.run.catalog import Catalog
    from twinloop.wiring import remark_on_photos

    makers, told = toolbox.makers, begun.told
    with Catalog(None) as catalog:
        photos = photos_of(begun, settings, toolbox, workspace, catalog, terminal)
        fresh = begun.anew(photos, settings, toolbox, catalog)
    result, data = manual.find_gaps(photos, settings, toolbox.observer, 1)
    for line in analysis_lines(result, data):
        terminal.line(line)
    shots = _first_shots(result.gaps, settings, toolbox)
    for line in prompt_lines([] if told else shots):
        terminal.line(line)
    folder, trigger = Path(settings.dataset_dir), settings.person_trigger
    for remark in remarks_on_captions(folder, trigger, makers.voice.style, settings.base_model):
        terminal.warn(remark)
    training, images = makers.training(result.images), len(shots)
    for remark in remarks_on_training(settings, training, makers.usual_steps, result.images):
        terminal.warn(remark)
    sizes = [(photo.seen.width, photo.seen.height) for photo in photos.selection.photos]
    if small := remark_on_photos(settings, training, sizes):
        terminal.warn(small)
    plan = {
        "training_steps": training.steps,
        "rank": training.rank,
        "resolution": training.resolution,
        "images_round_1": images,
        "max_iterations": settings.max_iterations,
        "prompts": [
            {
                "type": s.facet,
                "target": s.value,
                "prompt": s.prompt,
                "negative_prompt": s.negative_prompt,
                "seed": s.seed,
            }
            for s in shots
        ],
    }
    terminal.line(f"\n{last_line(begun, fresh, plan, workspace)}")
    anew = None if fresh is None else fresh.to_json()
    return {"gaps": data, "plan": plan, "standing": told or None, "anew": anew}


def _first_shots(gaps: Sequence[Gap], settings: Settings, toolbox: Toolbox) -> list[Shot]:
    """The shots of round 1, word for word; the photos that some of them start from are chosen when the run begins."""
    from twinloop.stages import plan
    from twinloop.steps.stage_options import plan_settings

    wanted = plan_settings(settings, toolbox.makers, 1, ())
    return plan.plan(gaps, toolbox.observer.facets, wanted)


def prompt_lines(shots: Sequence[Shot]) -> list[str]:
    """Gap by gap how many images, and the first prompts."""
    from twinloop.domain.wording import plural

    by_gap: dict[tuple[str, str], list[Shot]] = {}
    for shot in shots:
        by_gap.setdefault((shot.facet, shot.value), []).append(shot)
    lines = ["", f"Prompts of round 1 (the first {SHOWN_PROMPTS} of each gap; --json has all):"] if shots else []
    for (facet, value), asked in by_gap.items():
        lines.append(f"  {facet}: {value}, {plural(len(asked), 'image')}")
        lines += [f"    - {shot.prompt}" for shot in asked[:SHOWN_PROMPTS]]
    return lines


COMMAND = Command("run", "Run the whole loop of a configuration, or go on with one that was stopped.", configure, run)
