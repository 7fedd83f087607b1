"""``twinloop lora``: look into LoRA and LoKr files, rename, add up and shrink them.

Needs neither PyTorch nor the base model.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twinloop.cli.argument_types import fraction, positive
from twinloop.cli.command import Command
from twinloop.cli.terminal import Terminal
from twinloop.domain.wording import shown

if TYPE_CHECKING:
    from twinloop.loras.actions import Term
    from twinloop.loras.combine import Reduction

SUMMARY = "Look into LoRA and LoKr files, convert, merge and resize them."
DIALECTS = ("diffusers", "kohya", "comfyui")
EXTRACTED = "lora"
DTYPES = ("float32", "float16", "bfloat16")


def term(text: str) -> tuple[Path, float]:
    """``FILE`` or ``FILE:WEIGHT``, for argparse."""
    name, colon, number = text.rpartition(":")
    if not colon or Path(text).is_file() or Path(number).suffix == ".safetensors":  # the colon is part of the name
        return Path(text), 1.0
    try:
        weight = float(number)
    except ValueError:
        weight = math.nan
    if not math.isfinite(weight):
        raise argparse.ArgumentTypeError(
            f"{text}: the weight {number!r} is no number; expected FILE:WEIGHT, as a.safetensors:0.7"
        )
    if not name:
        raise argparse.ArgumentTypeError(f"expected FILE:WEIGHT, as a.safetensors:0.7, got {text!r}")
    return Path(name), weight


def share(text: str) -> float:
    """More than 0, at most 1, for argparse."""
    value = fraction(text)
    if value == 0:
        raise argparse.ArgumentTypeError(f"expected a number above 0 and up to 1, got {text!r}")
    return value


def _add_file(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, metavar="FILE", help="a LoRA or LoKr in .safetensors, of any dialect")


def _add_output(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--output", type=Path, required=True, metavar="FILE", help="the new .safetensors; nothing is overwritten"
    )


def _add_limits(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rank", type=positive, metavar="N", help="rank of every layer, at most")
    parser.add_argument(
        "--energy", type=share, metavar="X", help="least rank of each layer that keeps this share of it, as 0.95"
    )


def _add_dtype(parser: argparse.ArgumentParser, default: str) -> None:
    parser.add_argument("--dtype", choices=DTYPES, help=f"type of the numbers in the new file (default: {default})")


def configure_convert(parser: argparse.ArgumentParser) -> None:
    _add_file(parser)
    parser.add_argument(
        "--to",
        choices=(*DIALECTS, EXTRACTED),
        required=True,
        help=(
            "diffusers (PEFT), kohya (A1111, Forge, sd-scripts) or comfyui; lora = the LoRA nearest to a LoKr or LoHa,"
            " under diffusers' names"
        ),
    )
    _add_limits(parser)
    _add_output(parser)
    _add_dtype(parser, "that of each layer; with --to lora only")


def configure_merge(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "files", nargs="+", type=term, metavar="FILE:WEIGHT", help="LoRAs for one base model; without a weight: 1"
    )
    _add_output(parser)
    parser.add_argument("--to", choices=DIALECTS, help="dialect of the new file (default: that of the first)")
    _add_limits(parser)
    _add_dtype(parser, "float32, which keeps the sum as it is")


def configure_resize(parser: argparse.ArgumentParser) -> None:
    _add_file(parser)
    _add_limits(parser)
    _add_output(parser)
    _add_dtype(parser, "that of each layer")


def run_info(args: argparse.Namespace, terminal: Terminal) -> Any:
    from twinloop.loras.info import describe
    from twinloop.loras.lora import read_lora

    data = describe(read_lora(args.file), terminal)
    for line in info_lines(data):
        terminal.line(line)
    if data["norms"]["not_finite"]:
        terminal.warn(
            f"{data['norms']['not_finite']} layers hold numbers that are not finite: the training broke down."
        )
    return data


def run_convert(args: argparse.Namespace, terminal: Terminal) -> Any:
    from twinloop.errors import InputError
    from twinloop.families.registered import lora_names_of
    from twinloop.loras.actions import convert
    from twinloop.loras.lora import Dialect

    if args.to == EXTRACTED:
        return _extract(args, terminal)
    if (args.rank, args.energy, args.dtype) != (None, None, None):
        raise InputError(
            "--rank, --energy and --dtype go with --to lora: other conversions keep every bit. Smaller ranks: twinloop"
            " lora resize"
        )
    made = convert(args.file, Dialect(args.to), args.output)
    if made["dropped"]:
        terminal.warn(
            f"not part of a LoRA, and left out: {shown(', '.join(made['dropped'][:5]))} (trained words; the prompt"
            " needs others)"
        )
    note = " (what ComfyUI reads for UNets)" if made["to"] != made["asked_for"] else ""
    terminal.line(f"{made['layers']} layers, {made['from']} -> {made['to']}{note}: {made['output']}")
    remark = lora_names_of(made["family"] or "").kohya_remark
    if remark and made["to"] == "kohya":
        terminal.warn(remark)
    return made


def _extract(args: argparse.Namespace, terminal: Terminal) -> Any:
    from twinloop.loras.extraction import extract

    made = extract(args.file, args.output, _limit(args), args.dtype, terminal)
    terminal.line(
        f"{made['layers']} layers, {made['method']} -> LoRA of rank {_range(made['ranks'])}, {kept_text(made)}:"
        f" {made['output']}"
    )
    if made["residual_energy"] >= 1e-4:
        terminal.warn(
            f"{100 * made['residual_energy']:.2f}% of the {made['method']}'s squared norm is not in this LoRA; a higher"
            " --rank keeps more."
        )
    return made


def run_merge(args: argparse.Namespace, terminal: Terminal) -> Any:
    from twinloop.loras.actions import Term, merge
    from twinloop.loras.lora import Dialect

    terms: list[Term] = [Term(path, weight) for path, weight in args.files]
    to = None if args.to is None else Dialect(args.to)
    made = merge(terms, args.output, to, _limit(args), args.dtype, terminal)
    for part in made["extracted"]:
        terminal.line(f"{part['file']} is a {part['method']} and took part as a LoRA: {kept_text(part)}")
    how = "the sum as it is" if made["exact"] else "rounded" if "kept_energy" not in made else kept_text(made)
    terminal.line(
        f"{len(terms)} LoRAs, {made['layers']} layers of rank {_range(made['ranks'])}, {how}: {made['output']}"
    )
    return made


def run_resize(args: argparse.Namespace, terminal: Terminal) -> Any:
    from twinloop.loras.actions import resize
    from twinloop.loras.combine import Reduction

    made = resize(args.file, args.output, _limit(args) or Reduction(), args.dtype, terminal)
    sizes = f"{made['bytes_before'] / 2**20:.1f} -> {made['bytes'] / 2**20:.1f} MiB"
    terminal.line(
        f"{made['layers']} layers of rank {_range(made['ranks'])}, {kept_text(made)}, {sizes}: {made['output']}"
    )
    return made


def _limit(args: argparse.Namespace) -> Reduction | None:
    from twinloop.loras.combine import Reduction

    return None if args.rank is None and args.energy is None else Reduction(args.rank, args.energy)


def _range(ranks: list[int]) -> str:
    return str(ranks[0]) if ranks[0] == ranks[1] else f"{ranks[0]} to {ranks[1]}"


def kept_text(made: Mapping[str, Any]) -> str:
    """How much a cut kept, for people."""
    least = made["least_kept"]
    return (
        f"{100 * made['kept_energy']:.2f}% of the energy kept (least: {100 * least['energy']:.1f}% in"
        f" {shown(least['layer'])})"
    )


def info_lines(data: Mapping[str, Any]) -> list[str]:
    """A description for people. What the file says of itself cannot move the cursor or change the window's title."""
    from twinloop.cli.tables import columns

    norms = data["norms"]
    rows = [
        ("Dialect", data["dialect"]),
        ("Method", data["method"]),
        ("Base", data["family"] or "cannot be told"),
        ("Layers", ", ".join(f"{count} {part}" for part, count in data["parts"].items()) or "none"),
        ("Rank", _counts(data["ranks"])),
        *([("Factor", _counts(data["factors"]))] if data["factors"] else []),
        ("Alpha", _counts(data["alphas"])),
        ("Alpha / rank", _counts(data["scales"])),
        ("Numbers", ", ".join(data["dtypes"])),
        ("Size", f"{data['bytes'] / 2**20:.1f} MiB"),
        ("Trigger", data["trigger"] or "not told in the file"),
    ]
    if norms["measured"]:
        rows.append(
            (
                "Norm",
                (
                    f"mean {norms['mean']:.4g}, largest {norms['largest']:.4g} in {norms['largest_layer']},"
                    f" {norms['zero']} layers zero"
                ),
            )
        )
    if data["other_tensors"]:
        rows.append(("Beside layers", ", ".join(data["other_tensors"][:5])))
    header = [shown(f"  {key}: {value}") for key, value in data["header"].items()]
    return [
        shown(data["file"]),
        *columns(rows),
        *(["Header:", *header] if header else ["Header: no modelspec.* or ss_* texts"]),
    ]


def _counts(counts: Mapping[str, int]) -> str:
    if len(counts) == 1:
        return next(iter(counts))
    return ", ".join(f"{value} ({count} layers)" for value, count in counts.items()) or "none"


COMMANDS = (
    Command("info", "Dialect, base model, ranks, alphas, header and norms of a LoRA.", _add_file, run_info),
    Command(
        "convert",
        "Write a LoRA in another dialect, bit for bit, alpha kept; or a LoKr as a LoRA.",
        configure_convert,
        run_convert,
    ),
    Command("merge", "Write the weighted sum of several LoRAs as one.", configure_merge, run_merge),
    Command("resize", "Write a LoRA with smaller ranks, and say how much was kept.", configure_resize, run_resize),
)
