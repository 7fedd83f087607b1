"""``twinloop inspect`` and ``inspect_pkl.py``: may this model file be loaded, and its weights as safetensors."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twinloop.cli.command import Command, Finished
from twinloop.cli.terminal import Terminal
from twinloop.errors import NothingToDo

if TYPE_CHECKING:
    from twinloop.stages.model_files.inspect import Report

SAFE, DANGEROUS, UNREADABLE, UNKNOWN, WRONG_USE = 0, 1, 2, 3, 64
_NAME = re.compile(r"\w+(\.\w+)+")


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "paths", nargs="+", metavar="PATH", help="model files (.pkl .pt .pth .bin .ckpt .joblib...), or folders of them"
    )
    parser.add_argument(
        "--convert",
        action="store_true",
        help="write the weights of each safe file as .safetensors; nothing is overwritten",
    )
    parser.add_argument("--output", type=Path, metavar="DIR", help="folder for converted files (default: beside each)")
    parser.add_argument(
        "--allow", action="append", default=[], type=allowed, metavar="MODULE.CLASS",
        help="take this unknown class for harmless; it becomes a record and is not run; may be given again",
    )  # fmt: skip


def run(args: argparse.Namespace, terminal: Terminal) -> Any:
    from twinloop.cli.inspect_text import data_of, report_lines, summary
    from twinloop.pickles import Policy
    from twinloop.stages.model_files.inspect import inspect_file, model_files

    policy = Policy(frozenset(args.allow))
    paths = list(model_files(_expanded(args.paths, terminal)))
    if not paths:
        raise NothingToDo(
            f"no model files in {', '.join(args.paths)}. Name the files themselves to have any file looked at."
        )
    reports = []
    for number, path in enumerate(paths):
        report = inspect_file(path, policy, args.convert, args.output)
        reports.append(report)
        for line in report_lines(report, args.convert):
            terminal.line(line)
        terminal.progress("Inspecting", number + 1, len(paths))
    if len(reports) > 1:
        terminal.line(summary(reports))
    return Finished([data_of(report) for report in reports], exit_code(reports))


def exit_code(reports: list[Report]) -> int:
    """The worst that was found."""
    verdicts = {report.verdict.value for report in reports}
    if "dangerous" in verdicts:
        return DANGEROUS
    if verdicts & {"malformed", "not_a_model"} or any(report.failure for report in reports):
        return UNREADABLE
    return UNKNOWN if "unknown" in verdicts else SAFE


def allowed(name: str) -> str:
    """A name for ``--allow``, for argparse."""
    from twinloop.pickles import DEFAULT_POLICY, Judgement

    module, dot, last = name.rpartition(".")
    if not dot or not _NAME.fullmatch(name):
        raise argparse.ArgumentTypeError(f"expected MODULE.CLASS as the findings print it, got {name!r}")
    if DEFAULT_POLICY.judge(module, last) is Judgement.REFUSE:
        raise argparse.ArgumentTypeError(f"{name} acts when it is loaded; it cannot be allowed")
    return name


def _expanded(texts: list[str], terminal: Terminal) -> list[Path]:
    """Patterns are expanded here where the shell left them as they are: because it does not, or because nothing
    matches.

    Raises:
        NothingToDo: no pattern matches, and nothing else was named.
    """
    found: list[Path] = []
    barren: list[str] = []
    for text in texts:
        path = Path(text)
        if path.exists() or not any(sign in text for sign in "*?["):
            found.append(path)
        elif matches := sorted(_matches(path)):
            found += matches
        else:
            barren.append(text)
    if not found:
        raise NothingToDo(
            f"No file matches {', '.join(barren)}. Name a folder to have every model file in it looked at."
        )
    for text in barren:
        terminal.warn(f"no file matches {text}")
    return list(dict.fromkeys(found))


def _matches(pattern: Path) -> list[Path]:
    anchor = Path(pattern.anchor) if pattern.anchor else Path()
    return list(anchor.glob(str(pattern.relative_to(anchor) if pattern.anchor else pattern)))


COMMAND = Command(
    "inspect",
    "Say whether model files are safe to load, and convert safe ones to safetensors.",
    configure,
    run,
    usage_code=WRONG_USE,
)
