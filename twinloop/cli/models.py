"""``twinloop models``: which model files are known and there; bringing, fetching and verifying them."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Any

from twinloop.cli.command import Command, Finished
from twinloop.cli.terminal import Terminal
from twinloop.domain.wording import agree, plural, shown
from twinloop.errors import DownloadError, InputError
from twinloop.system import shell

if TYPE_CHECKING:
    from twinloop.stages.model_files.fetchable import Fetchable
    from twinloop.stages.model_files.shelf import Brought, Item
    from twinloop.stages.model_files.usual import Usual

SUMMARY = "Model files: what is known and there; add, fetch, verify."
PROBLEMS = 2
_WIDTH = 80


def _folder(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--models-dir", type=Path, default=Path("models"), metavar="DIR", help="the folder (default: models)"
    )


def configure_add(parser: argparse.ArgumentParser) -> None:
    from twinloop.cli.inspect_models import allowed

    parser.add_argument(
        "paths", nargs="+", type=Path, metavar="FILE_OR_FOLDER", help="model files, or folders of them; they are copied"
    )
    parser.add_argument("--as", dest="name", type=_file_name, metavar="NAME", help="name that the one given file gets")
    parser.add_argument(
        "--allow", action="append", default=[], type=allowed, metavar="MODULE.CLASS",
        help="take this unknown class in a pickle for harmless; it becomes a record and is not run; may be given again",
    )  # fmt: skip
    _folder(parser)


def configure_pull(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "names",
        nargs="+",
        metavar="NAME",
        help="known files, or a pack (onnx, mediapipe, yolo) for all of it that has an address",
    )
    _folder(parser)


def _file_name(text: str) -> str:
    if text in ("", ".", "..") or Path(text).name != text or "\\" in text or text.startswith("."):
        raise argparse.ArgumentTypeError(f"expected a plain file name, got {text!r}")
    return text


def run_list(args: argparse.Namespace, terminal: Terminal) -> Any:
    from twinloop.cli.tables import columns
    from twinloop.stages.model_files.fetchable import fetchable
    from twinloop.stages.model_files.shelf import survey
    from twinloop.stages.model_files.usual import usual_files
    from twinloop.store.models.folder import check_no_file

    check_no_file(args.models_dir)
    items = list(survey(args.models_dir, gate=False))
    rows = [("File", "State", "Measures", "Size")]
    rows += [(item.name, item.condition.value, _role(item), _size(item.size)) for item in items]
    for line in columns(rows, right=(3,)):
        terminal.line(line)
    for line in _licences(items):
        terminal.line(line)
    for item in items:
        if item.detail:
            terminal.warn(shown(f"{item.path}: {item.detail}"))
    found = list(fetchable(items, args.models_dir))
    usual = list(usual_files(args.models_dir))
    for line in usual_lines(usual, _WIDTH):
        terminal.line(line)
    at = "" if args.models_dir == Path("models") else f" --models-dir {shell.quote(str(args.models_dir))}"
    for line in _fetch_lines(found, at):
        terminal.line(line)
    return [_data(item) for item in items] + [_usual_data(file) for file in usual if file.path is None]


def _fetch_lines(found: Sequence[Fetchable], at: str) -> Iterator[str]:
    """Commands that fetch what is missing, one for whole packs; then those for what another file does already."""
    from twinloop.domain.model_roles import USUAL_PACKS
    from twinloop.stages.model_files.shelf import chosen

    wanted = [one.model for one in found if not one.done_by]
    if wanted:
        yield "\nCan be fetched:"
    packs = [pack for pack in USUAL_PACKS if wanted and set(chosen([pack])).issubset(wanted)]
    if packs:
        whole = chosen(packs)
        yield f"  twinloop models pull {' '.join(packs)}{at}"
        names = f"which are {', '.join(model.name for model in whole)}"
        yield from wrap(names, _WIDTH, initial_indent="    ", subsequent_indent="    ", break_on_hyphens=False)
        wanted = [model for model in wanted if model not in whole]
    yield from (f"  twinloop models pull {model.name}{at}" for model in wanted)
    if any(one.done_by for one in found):
        yield "\nCan be fetched, too; a file that is there does the same work:"
    for one in found:
        if one.done_by:
            yield f"  twinloop models pull {one.model.name}{at}"
            yield f"    ({one.done_by} does its work)"


def usual_lines(found: Sequence[Usual], width: int | None = None) -> Iterator[str]:
    """The files that guides name, each with its state, what serves instead and where it comes from.

    Args:
        width: columns that a line may have; None = as long as it is.
    """
    columns = width or sys.maxsize
    yield "\nYOLO files that many guides name:"
    for usual in found:
        yield from wrap(f"{usual.file.name}: {usual.line}", columns, initial_indent="  ", subsequent_indent="    ")
        if usual.state != "there":
            told = f"{usual.file.source} Licence: {usual.file.licence}"
            yield from wrap(told, columns, initial_indent="    ", subsequent_indent="    ")


def _licences(items: Sequence[Item]) -> Iterator[str]:
    """Each licence once, with the files under it; what is not known by its content has none that is known here."""
    under: dict[str, list[str]] = {}
    for item in items:
        if item.known is not None:
            under.setdefault(item.known.licence, []).append(item.name)
    if under:
        yield "\nLicences"
    for licence, names in under.items():
        yield f"  {licence}"
        yield from (f"    {name}" for name in names)


def run_verify(args: argparse.Namespace, terminal: Terminal) -> Any:
    from twinloop.stages.model_files.shelf import BAD, survey
    from twinloop.store.models.folder import check_no_file

    check_no_file(args.models_dir)
    if not args.models_dir.is_dir():
        raise InputError(f"{args.models_dir}: no such models folder.")
    items = []
    for item in survey(args.models_dir, gate=True):
        if item.path is not None:
            items.append(item)
            told = f"{item.path}: {item.condition}{f' ({item.detail})' if item.detail else ''}"
            (terminal.warn if item.condition in BAD else terminal.line)(shown(told))
    bad = sum(item.condition in BAD for item in items)
    terminal.line(f"{plural(len(items), 'file')}, {bad} not as {agree(len(items), 'it', 'they')} should be.")
    return Finished([_data(item) for item in items], PROBLEMS if bad else 0)


def run_add(args: argparse.Namespace, terminal: Terminal) -> Any:
    from twinloop.pickles import Policy
    from twinloop.stages.model_files.shelf import add, candidates

    paths = list(candidates(args.paths))
    if args.name is not None and len(paths) != 1:
        raise InputError("--as names one file; give exactly one.")
    policy, found = Policy(frozenset(args.allow)), []
    for number, path in enumerate(paths):
        found.append(add(path, args.models_dir, policy, args.name))
        _say(found[-1], "Added", terminal)
        terminal.progress("Adding", number + 1, len(paths))
    return _finished(found)


def run_pull(args: argparse.Namespace, terminal: Terminal) -> Any:
    from twinloop.errors import HostNotReached, StateError
    from twinloop.stages.model_files.shelf import Brought, chosen, host_of, pull

    found, unreached = list[Brought](), dict[str, list[str]]()
    for model in chosen(args.names):
        host = host_of(model)
        if host in unreached and not (args.models_dir / model.name).exists():
            unreached[host].append(model.name)
            found.append(Brought(model.url or "", None, model, problem=f"not tried, because {host} is not reached"))
            continue
        terminal.line(f"{model.name}: {_size(model.size)}, licence: {model.licence}, from {model.url}")
        try:
            found.append(pull(model, args.models_dir, terminal))
        except (DownloadError, StateError) as error:  # one that cannot be had does not stop the others
            found.append(Brought(model.url or "", None, model, problem=str(error)))
            if isinstance(error, HostNotReached):
                unreached[host] = []
        _say(found[-1], "Fetched", terminal)
    for host, skipped in unreached.items():
        if skipped:
            terminal.warn(
                f"not tried, because {host} is not reached: {', '.join(skipped)}. With a connection to it the same"
                " command fetches what is missing; without one, fetch the files elsewhere and run: twinloop models add"
                " FILE_OR_FOLDER"
            )
    return _finished(found)


def _say(found: Brought, done: str, terminal: Terminal) -> None:
    if found.target is None:
        # of what was fetched the problem names the address
        terminal.warn(f"{found.source if found.known is None else found.known.name}: {found.problem}")
        return
    terminal.line(f"{done if found.fresh else 'Already there'}: {found.target} ({told(found)})")


def told(found: Brought) -> str:
    """Whether a file is known, and by which name where it lies under another one."""
    if found.known is None:
        return "not a known file, passed the checks"
    named = found.target is not None and found.known.name == found.target.name
    return "a known file" if named else f"a known file: {found.known.name}"


def _finished(found: Sequence[Brought]) -> Finished:
    data = [
        {
            "source": item.source,
            "path": str(item.target) if item.target else None,
            "known": item.known.name if item.known else None,
            "fresh": item.fresh,
            "problem": item.problem or None,
        }
        for item in found
    ]
    return Finished(data, PROBLEMS if any(item.problem for item in found) else 0)


def _role(item: Item) -> str:
    from twinloop.domain.model_roles import role_at

    if item.known is not None:
        return item.known.role
    return str((role_at(item.path) if item.path is not None else None) or "")


def _size(size: int) -> str:
    return f"{size / 1e6:.1f} MB"


def _usual_data(usual: Usual) -> dict[str, Any]:
    """One that is not there, in the form of the others."""
    told = {**usual.to_json(), "role": str(usual.file.role), "pack": "yolo"}
    fields = "name state path role pack size sha256 licence source url detail".split()
    return {field: told.get(field) for field in fields}


def _data(item: Item) -> dict[str, Any]:
    known = item.known
    return {
        "name": item.name,
        "state": item.condition.value,
        "path": str(item.path) if item.path is not None else None,
        "role": _role(item),
        "pack": known.pack if known else None,
        "size": item.size,
        "sha256": item.sha256 or None,
        "licence": known.licence if known else None,
        "source": known.source if known else None,
        "url": known.url if known else None,
        "detail": item.detail or None,
    }


COMMANDS = (
    Command("list", "Known model files and what lies in the folder.", _folder, run_list),
    Command(
        "add",
        "Copy model files into the folder, offline; known ones are recognised, pickles checked.",
        configure_add,
        run_add,
    ),
    Command(
        "pull", "Fetch known files from their authors' addresses; goes on after a break.", configure_pull, run_pull
    ),
    Command("verify", "Hash and check every file of the folder again.", _folder, run_verify),
)
