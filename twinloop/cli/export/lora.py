"""``twinloop export a1111`` and ``comfyui``: a LoRA with its preview and trigger words, where those programs look for
them.
"""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twinloop.cli import options
from twinloop.cli.argument_types import between
from twinloop.cli.command import Command
from twinloop.cli.settings_from_flags import settings_from
from twinloop.cli.terminal import Terminal
from twinloop.errors import InputError, StateError

if TYPE_CHECKING:
    from twinloop.config import Settings


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--lora", type=Path, metavar="FILE", help="the LoRA, in any dialect (or the final one of the run of --config)"
    )
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder for the package")
    parser.add_argument(
        "--name", metavar="NAME", help="what that program calls the LoRA (default: as the person or the file)"
    )
    parser.add_argument(
        "--trigger", "--person", metavar="WORDS", help="trigger words (default: as the file or the configuration says)"
    )
    strength = parser.add_mutually_exclusive_group()
    strength.add_argument(
        "--weight",
        type=between(0, 2, "a number from 0 to 2"),
        default=1.0,
        metavar="X",
        help="strength to start with, 0-2 (default: 1)",
    )
    strength.add_argument(
        "--strength-from",
        type=Path,
        metavar="FILE",
        help="compare.json of 'twinloop compare': the strength at which it found this LoRA most like the photos",
    )
    parser.add_argument(
        "--preview", type=Path, metavar="IMAGE", help="picture for its card (default: the run's best panel image)"
    )
    options.add_config(parser)


def _run(target: str, args: argparse.Namespace, terminal: Terminal) -> Any:
    from twinloop.exporters.drop_in import DropIn, export_drop_in
    from twinloop.exporters.package import write_package
    from twinloop.loras.lora import read_lora

    if args.lora is None and args.config is None:
        raise InputError(
            "Which LoRA? Name it: --lora FILE, or give --config bootstrap_config.json for the final one of that run."
        )
    settings = settings_from(args, {}) if args.config else None
    lora = args.lora or _final(settings)
    trigger = args.trigger or ("" if settings is None else settings.person_trigger)
    name = args.name or (lora.stem if settings is None else settings.person_name)
    preview = args.preview or (None if settings is None else _best_image(settings, lora))
    strength = args.weight if args.strength_from is None else _measured_strength(args.strength_from, lora, terminal)
    drop_in = DropIn(_file_name(name), trigger, strength, preview)
    package = export_drop_in(target, read_lora(lora), drop_in)
    manifest, data = write_package(args.output, package)
    for warning in package.warnings:
        terminal.warn(warning)
    terminal.line(
        f"{len(package.files) + 1} files in {args.output}. How to use them: {manifest.with_name('README.txt')}"
    )
    return {**data, "warnings": list(package.warnings)}


def _measured_strength(record: Path, lora: Path, terminal: Terminal) -> float:
    """The best strength of a LoRA in a compare.json; says so where no other one is measurably worse.

    Raises:
        InputError: that file is none, or does not know the LoRA's best strength.
    """
    from twinloop.domain.comparison import NO_FACE, has_no_face, strengths_from_json
    from twinloop.store.atomic import read_json, sha256_file

    try:
        data = read_json(record)
        found, digest = strengths_from_json(data), sha256_file(lora)
        faceless = has_no_face(data, digest)
    except (AttributeError, KeyError, TypeError, ValueError, StateError) as error:
        raise InputError(f"--strength-from {record} is no compare.json of 'twinloop compare' ({error}).") from error
    best = next((one for one in found if one.sha256 == digest), None)
    if best is None:
        known = ", ".join(one.name for one in found)
        why = f"it knows that of {known}" if known else "likeness was not measured there"
        why = f"its images have {NO_FACE}" if faceless else why
        raise InputError(f"--strength-from {record} does not tell the best strength of {lora}: {why}. Use --weight X.")
    if best.as_good:
        also = ", ".join(f"{strength:g}" for strength in best.as_good)
        terminal.line(f"Strength {best.strength:g}: most like the photos; {also} may be as good.")
    return best.strength


def _file_name(name: str) -> str:
    made = "".join(sign if sign.isalnum() or sign in "-_ ." else "_" for sign in name).strip(" .")
    if not made:
        raise InputError(f"--name {name!r}: nothing in it can be part of a file name.")
    return made


def _final(settings: Settings | None) -> Path:
    assert settings is not None
    from twinloop.store.run.owner import check_reads_own
    from twinloop.store.run.workspace import workspace_of

    check_reads_own(workspace_of(settings), "name the LoRA with --lora FILE")
    final = settings.lora_dir / "lora.safetensors"
    if not final.is_file():
        raise InputError(
            f"The run of this configuration has no final LoRA yet ({final}). Run it, or name one with --lora FILE."
        )
    return final


def _best_image(settings: Settings, lora: Path) -> Path | None:
    """The panel image of that LoRA's version on which identity was measured highest; None where there is none."""
    from twinloop.exporters.run_preview import best_panel_image
    from twinloop.store.run.workspace import Workspace

    try:
        return best_panel_image(Workspace(Path(settings.output_dir), settings.lora_dir), lora)
    except StateError:
        return None


COMMANDS = (
    Command(
        "a1111",
        "A LoRA for A1111 and Forge: kohya's names, preview, trigger words on its card.",
        configure,
        partial(_run, "a1111"),
    ),
    Command("comfyui", "A LoRA for ComfyUI: its names, preview, trigger words.", configure, partial(_run, "comfyui")),
)
