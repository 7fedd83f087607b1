"""Flags that several commands share, and how flags become settings: the same fields as in bootstrap_config.json."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twinloop.cli import overlay
from twinloop.domain.choices import COMPILES, DEVICES, PRECISIONS
from twinloop.domain.quantised import QUANTIZATIONS
from twinloop.errors import ConfigError, InputError
from twinloop.store.vault import COMMON_CATALOG

if TYPE_CHECKING:
    from twinloop.cli.terminal import Terminal
    from twinloop.config import Settings
    from twinloop.ports import DetectorPack
    from twinloop.store.catalog import Catalog

CATALOG = COMMON_CATALOG


def positive(text: str) -> int:
    """A whole number of 1 or more, for argparse."""
    return _whole(text, 1)


def not_negative(text: str) -> int:
    """A whole number of 0 or more, for argparse."""
    return _whole(text, 0)


def _whole(text: str, least: int) -> int:
    if not (text.isascii() and text.isdigit()) or int(text) < least:
        raise argparse.ArgumentTypeError(f"expected a whole number of {least} or more, got {text!r}")
    return int(text)


def fraction(text: str) -> float:
    """A number from 0 to 1, for argparse."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0.0 <= value <= 1.0:
        raise argparse.ArgumentTypeError(f"expected a number from 0 to 1, got {text!r}")
    return value


def add_config(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help="take what no flag gives from this bootstrap_config.json"
    )


def add_run(parser: argparse.ArgumentParser) -> None:
    """A run by its folder or by its configuration; `run_folder` tells which."""
    parser.add_argument(
        "folder", type=Path, nargs="?", metavar="RUN", help="folder of the run (output_dir), as in outputs/bootstrap"
    )
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help="the run of this bootstrap_config.json, instead of RUN"
    )


def run_folder(args: argparse.Namespace) -> Path:
    """The folder of the run that is meant.

    Raises:
        InputError: neither or both of folder and configuration were given. ConfigError: mistakes in the configuration.
    """
    if (args.folder is None) == (args.config is None):
        raise InputError("Which run? Name its folder (output_dir), or give --config bootstrap_config.json.")
    return Path(args.folder or settings_from(args, {}, {}).output_dir)


def add_models_dir(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--models-dir",
        metavar="DIR",
        help=(
            "folder of detector files, PACK:FOLDER to use only one pack of it (yolo, onnx, mediapipe), or the word"
            " 'nano' for the embedded ones (default: models)"
        ),
    )


def add_facets(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--facet", action="append", metavar="FILE", help="Python file with a facet of your own; may be given again"
    )


def add_catalog(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--catalog",
        type=Path,
        metavar="FILE",
        help=f"cache of what was observed (default: {CATALOG}, or the run's own with --config)",
    )


def add_device(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--device", choices=DEVICES, help="where to compute (default: auto)")
    parser.add_argument(
        "--allow-download",
        action="store_true",
        default=None,
        help="allow fetching the base model from the Hugging Face hub when it is not on this machine",
    )


COMPUTING = {"precision": "precision", "quantization": "quantization", "compile": "compile"}
"""What `add_computing` asks, as fields of the configuration."""


def add_computing(parser: argparse.ArgumentParser) -> None:
    """How the base model computes, for commands that load one."""
    parser.add_argument(
        "--precision",
        choices=PRECISIONS,
        help="of the base model (default: auto, the fastest that the device computes well)",
    )
    parser.add_argument(
        "--quantization",
        choices=QUANTIZATIONS,
        help=(
            "weights of the base model in fewer bits: int8 or fp8 halve them, nf4 quarters them (default: as they are)"
        ),
    )
    parser.add_argument(
        "--compile",
        choices=COMPILES,
        help=(
            "torch.compile for the blocks that the base model repeats (default: on a CUDA GPU, where the work is long"
            " enough)"
        ),
    )


def dataset_name(args: argparse.Namespace) -> str:
    """What a person is called after the photos that ``--dataset`` names, without a suffix: a record of a run may stand
    there.

    Raises:
        InputError: neither photos nor a configuration were named.
    """
    if args.dataset is None and args.config is None:
        raise InputError("Which photos? Name them: --dataset DIR, or give --config bootstrap_config.json.")
    return Path(args.dataset or ".").resolve().stem or "person"


def check_outside(output: Path, dataset_dir: str) -> None:
    """What is made from a dataset's photos must not lie among them: it would be taken for photos the next time.

    Raises:
        InputError: ``output`` is the dataset's folder, or lies in it.
    """
    place, photos = output.resolve(), Path(dataset_dir).resolve()
    if photos.is_dir() and photos in (place, *place.parents):
        raise InputError(
            f"--output {output} lies in the folder of the photos, {dataset_dir}, and would be taken for photos of the"
            " person later. Name a place outside of it."
        )


def settings_from(
    args: argparse.Namespace,
    flags: Mapping[str, str],
    defaults: Mapping[str, Any],
    check: Callable[[Any, str], Settings] | None = None,
) -> Settings:
    """Settings from ``--config``, with the flags that were given over it.

    A preset belongs to a base model: where a flag names another base than the configuration, the preset is that one's,
    unless a flag names it too.

    Args:
        flags: name in ``args`` -> field as in bootstrap_config.json, dots for sections.
        defaults: field -> value where neither flag nor configuration gives one.
        check: parsed JSON and its name -> settings, instead of `parse_settings`, which looks at fields only.

    Raises:
        InputError: no such configuration. ConfigError: all mistakes at once, named by field or flag.
    """
    from twinloop.config import parse_settings, read_config

    data = read_config(args.config) if args.config else {}
    given = {field: getattr(args, flag) for flag, field in flags.items() if getattr(args, flag) is not None}
    if isinstance(data, dict):
        data = json.loads(json.dumps(data))
        if "base_model" in given and not overlay.same_base(data.get("base_model"), given["base_model"]):
            given.setdefault("training.preset", None)
        for field, value in given.items():
            overlay.put(data, field, value)
        for field, value in defaults.items():
            overlay.put(data, field, value, only_if_absent=True)
        overlay.add_facet_files(data, getattr(args, "facet", None))
    try:
        return (check or parse_settings)(data, str(args.config or "command line"))
    except ConfigError as error:
        names = {field: f"--{flag.replace('_', '-')}" for flag, field in flags.items() if field in given}
        raise ConfigError(error.source, [by_flag(problem, names) for problem in error.problems]) from None


def by_flag(problem: str, names: Mapping[str, str]) -> str:
    """A line about a field, named by the flag that set it. ``names``: field -> flag."""
    field, colon, text = problem.partition(": ")
    return f"{names.get(field, field)}{colon}{text}"


def wanted_shares(pairs: list[str] | None, targets: Path | None) -> dict[str, dict[str, float]] | None:
    """``--shares FACET.VALUE=SHARE`` and ``--targets FILE`` as the field ``analysis.shares``; None when neither is
    given.

    Raises:
        InputError: a pair or file that is not of that form.
    """
    if not pairs and targets is None:
        return None
    shares: dict[str, dict[str, float]] = _targets_file(targets) if targets is not None else {}
    for pair in pairs or ():
        name, equals, number = pair.partition("=")
        facet, dot, value = name.partition(".")
        try:
            share = float(number.removesuffix("%")) / (100 if number.endswith("%") else 1)
        except ValueError:
            equals = ""
        if not (equals and dot and facet and value):
            raise InputError(f"--shares {pair}: expected FACET.VALUE=SHARE, as in face_angle.profile=0.25 or =25%.")
        shares.setdefault(facet, {})[value] = share
    return shares


def _targets_file(path: Path) -> dict[str, dict[str, float]]:
    from twinloop.config import read_config

    expected = 'expected {"face_angle": {"profile": 0.25}}'
    if not path.is_file():
        raise InputError(f"--targets {path}: there is no such file; {expected}.")
    data = read_config(path)
    if not isinstance(data, dict) or not all(isinstance(values, dict) for values in data.values()):
        raise InputError(f"--targets {path}: {expected}.")
    return {str(facet): dict(values) for facet, values in data.items()}


def say_detectors(pack: DetectorPack, terminal: Terminal) -> None:
    """What the chosen detectors measure and what they do not, once the input is known to be good; the files are in
    ``twinloop doctor``.
    """
    if pack.brief:
        terminal.line(pack.brief)


def open_catalog(args: argparse.Namespace, settings: Settings, terminal: Terminal) -> Catalog:
    """The cache of observations: as asked, the run's own, or the common one; where that cannot be written, memory."""
    from twinloop.errors import StorageError
    from twinloop.store.catalog import Catalog

    if args.catalog is not None:
        return Catalog(args.catalog)
    path = Path(settings.output_dir) / "catalog.sqlite" if args.config else CATALOG
    try:
        return Catalog(path)
    except StorageError as error:
        terminal.warn(f"going on without a cache: {error}")
        return Catalog(None)
