"""``twinloop nano``: the embedded world: sample photos of a fictional person, and how good its models are."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from twinloop.cli.argument_types import not_negative, positive
from twinloop.cli.command import Command
from twinloop.cli.terminal import Terminal

SUMMARY = "The embedded world: sample photos, figures of its models."


def configure_photos(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--output", "--out", type=Path, required=True, metavar="DIR", help="new or empty folder for the photos"
    )
    parser.add_argument(
        "--seed",
        type=not_negative,
        default=7,
        metavar="N",
        help="same seed, same person, same files (default: 7)",
    )
    parser.add_argument("--count", type=int, default=60, metavar="N", help="number of files, at least 12 (default: 60)")
    parser.add_argument("--size", type=positive, default=640, metavar="PX", help="side of the pictures (default: 640)")
    parser.add_argument(
        "--truth", type=Path, metavar="FILE", help="also write what is true about each file, outside of DIR"
    )


def run_photos(args: argparse.Namespace, terminal: Terminal) -> Any:
    from twinloop.store.atomic import storage_errors
    from twinloop.wiring import with_extra

    def load() -> Any:
        from twinloop.nano.world.photos import write_photo_set

        return write_photo_set

    write_photo_set = with_extra("Rendering the sample photos", "nano", load)
    terminal.line("Rendering (the first picture compiles the renderer, about 20 s)")
    with storage_errors(args.output):
        records = write_photo_set(args.output, seed=args.seed, count=args.count, size=args.size, truth=args.truth)
    terminal.line(f"Photos: {len(records)} files in {args.output}")
    return {"out": str(args.output), "photos": [record.to_json() for record in records]}


def configure_evaluate(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--base", type=Path, metavar="DIR", help="base model (default: the shipped one)")
    parser.add_argument("--detectors", type=Path, metavar="DIR", help="detectors (default: the shipped ones)")
    parser.add_argument(
        "--renders",
        type=not_negative,
        default=200,
        metavar="N",
        help="fresh renders to measure on (default: 200)",
    )
    parser.add_argument(
        "--images",
        type=not_negative,
        default=48,
        metavar="N",
        help="images to generate; 0 = none (default: 48)",
    )
    parser.add_argument(
        "--seed", type=not_negative, default=0, metavar="N", help="seed of renders and images (default: 0)"
    )


def run_evaluate(args: argparse.Namespace, terminal: Terminal) -> Any:
    from twinloop.domain.choices import NANO
    from twinloop.wiring import base_model_path, nano_detectors_path, with_extra

    def load() -> Any:
        from twinloop.nano.evaluate import evaluate

        return evaluate

    evaluate = with_extra("Evaluating the embedded models", "nano", load)
    found = evaluate(
        args.base or Path(base_model_path(NANO)),
        args.detectors or nano_detectors_path(),
        renders=args.renders,
        images=args.images,
        seed=args.seed,
        reporter=terminal,
    )
    for line in section_lines(found):
        terminal.line(line)
    return found


def section_lines(found: Mapping[str, Any]) -> list[str]:
    """Sections of figures as aligned lines: a section is a mapping of names to figures, or to further columns."""
    from twinloop.cli.tables import columns

    lines: list[str] = []
    for title, section in found.items():
        if not isinstance(section, Mapping):
            lines.append(f"{title}: {_figure(section)}")
            continue
        lines += ["", title.replace("_", " ").capitalize()]
        rows = [(f"  {name}", _figure(value)) for name, value in section.items()]
        lines += columns(rows) if rows else []
    return lines


def _figure(value: Any) -> str:
    if isinstance(value, Mapping) and value.keys() == {"value", "low", "high", "n"}:
        return f"{value['value']:.3g} ({value['low']:.3g} to {value['high']:.3g}, n={value['n']})"
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_figure(item)}" for name, item in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(_figure(item) for item in value)
    return f"{value:.4g}" if isinstance(value, float) else str(value)


COMMANDS = (
    Command("photos", "Write the messy photo folder of a fictional person.", configure_photos, run_photos),
    Command(
        "evaluate",
        "Measure the embedded models on fresh renders and generated images.",
        configure_evaluate,
        run_evaluate,
    ),
)
