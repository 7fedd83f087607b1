"""``twinloop export a1111`` and ``comfyui``: a LoRA with its preview and trigger words, where those programs look for
them.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twinloop.cli import options
from twinloop.cli.command import Command
from twinloop.cli.terminal import Terminal
from twinloop.errors import InputError, StateError

if TYPE_CHECKING:
    from twinloop.config import Settings

HEAVIEST = 2.0


def weight(text: str) -> float:
    """A strength from 0 to 2, for argparse."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= HEAVIEST:
        raise argparse.ArgumentTypeError(f"expected a number from 0 to {HEAVIEST:g}, got {text!r}")
    return value


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--lora", type=Path, metavar="FILE", help="the LoRA, in any dialect (or the final one of the run of --config)"
    )
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder for the package")
    parser.add_argument(
        "--name", metavar="NAME", help="of the LoRA in that program (default: of the person, or of the file)"
    )
    parser.add_argument(
        "--trigger", "--person", metavar="WORDS", help="trigger words (default: as the file or the configuration says)"
    )
    parser.add_argument(
        "--weight", type=weight, default=1.0, metavar="X", help="strength to start with, 0-2 (default: 1)"
    )
    parser.add_argument(
        "--preview", type=Path, metavar="IMAGE", help="picture for its card (default: the run's best panel image)"
    )
    options.add_config(parser)


def _run(target: str, args: argparse.Namespace, terminal: Terminal) -> Any:
    from twinloop.exporters.drop_in import Wish, export_drop_in
    from twinloop.exporters.package import write_package
    from twinloop.loras.lora import read_lora

    if args.lora is None and args.config is None:
        raise InputError(
            "Which LoRA? Name it: --lora FILE, or give --config bootstrap_config.json for the final one of that run."
        )
    settings = options.settings_from(args, {}, {}) if args.config else None
    lora = args.lora or _final(settings)
    trigger = args.trigger or ("" if settings is None else settings.person_trigger)
    name = args.name or (lora.stem if settings is None else settings.person_name)
    preview = args.preview or (None if settings is None else _best_image(settings, lora))
    wish = Wish(_file_name(name), trigger, args.weight, preview)
    package = export_drop_in(target, read_lora(lora), wish)
    manifest, data = write_package(args.output, package)
    for warning in package.warnings:
        terminal.warn(warning)
    terminal.line(
        f"{len(package.files) + 1} files in {args.output}. How to use them: {manifest.with_name('README.txt')}"
    )
    return {**data, "warnings": list(package.warnings)}


def _file_name(name: str) -> str:
    made = "".join(sign if sign.isalnum() or sign in "-_ ." else "_" for sign in name).strip(" .")
    if not made:
        raise InputError(f"--name {name!r}: nothing in it can be part of a file name.")
    return made


def _final(settings: Settings | None) -> Path:
    assert settings is not None
    final = settings.lora_dir / "lora.safetensors"
    if not final.is_file():
        raise InputError(
            f"The run of this configuration has no final LoRA yet ({final}). Run it, or name one with --lora FILE."
        )
    return final


def _best_image(settings: Settings, lora: Path) -> Path | None:
    """The panel image of that LoRA's version on which identity was measured highest; None where there is none."""
    from twinloop.exporters.run_preview import best_panel_image
    from twinloop.store.workspace import Workspace

    try:
        return best_panel_image(Workspace(Path(settings.output_dir), settings.lora_dir), lora)
    except StateError:
        return None


def run_a1111(args: argparse.Namespace, terminal: Terminal) -> Any:
    return _run("a1111", args, terminal)


def run_comfyui(args: argparse.Namespace, terminal: Terminal) -> Any:
    return _run("comfyui", args, terminal)


COMMANDS = (
    Command(
        "a1111", "A LoRA for A1111 and Forge: kohya's names, preview, trigger words on its card.", configure, run_a1111
    ),
    Command("comfyui", "A LoRA for ComfyUI: its names, preview, trigger words.", configure, run_comfyui),
)
