"""How flags become settings: the same fields as in bootstrap_config.json, laid over the parsed JSON of a configuration.

That may still hold mistakes: what is wrong is left for the check of the settings to name.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twinloop.errors import ConfigError, InputError

if TYPE_CHECKING:
    from twinloop.config import Settings


def add_setting(
    parser: argparse._ActionsContainer, *names: str, section: str = "", field: str = "", **how: Any
) -> None:
    """A flag that stands for a field of bootstrap_config.json, which `settings_from` puts it in.

    Args:
        section: of the configuration, where the field stands in one.
        field: its name, where that is not the flag's.
        how: as for ``add_argument``; a flag that was not given must be None.
    """
    flag = parser.add_argument(*names, **how).dest
    path = ".".join(filter(None, (section, field or flag)))
    parser.set_defaults(fields={**(parser.get_default("fields") or {}), flag: path})


def settings_from(
    args: argparse.Namespace,
    defaults: Mapping[str, Any],
    check: Callable[[Any, str], Settings] | None = None,
    notice: Callable[[str], None] | None = None,
) -> Settings:
    """Settings from ``--config``, with the flags that were given over it.

    A preset belongs to a base model: where a flag names another base than the configuration, the preset is that one's,
    unless a flag names it too. So do files of parts: only those of flags are taken then. Likewise ``--steps`` and
    ``--epochs`` each take the place of what the configuration says of the other.

    Args:
        args: among them ``fields``, in which `add_setting` notes what each flag stands for.
        defaults: field -> value where neither flag nor configuration gives one.
        check: parsed JSON and its name -> settings, instead of `parse_settings`, which looks at fields only.
        notice: told what of the configuration does not count.

    Raises:
        InputError: no such configuration. ConfigError: all mistakes at once, named by field or flag.
    """
    from twinloop.config import parse_settings, read_config

    data = read_config(args.config) if args.config else {}
    flags: Mapping[str, str] = getattr(args, "fields", {})
    given = {field: getattr(args, flag) for flag, field in flags.items() if getattr(args, flag) is not None}
    if isinstance(data, dict):
        data = json.loads(json.dumps(data))
        if "base_model" in given and not _same_base(data.get("base_model"), given["base_model"]):
            given.setdefault("training.preset", None)
            left_out = _named_parts(data.pop("base_parts", None)) - given.get("base_parts", {}).keys()
            if left_out and notice is not None:
                notice(
                    f"base_parts of {args.config} ({', '.join(sorted(left_out))}): left out, because they belong to its"
                    " base_model, and --base-model names another"
                )
        _leave_out_other_lengths(data, given)
        for field, value in given.items():
            _put(data, field, value)
        for field, value in defaults.items():
            _put(data, field, value, only_if_absent=True)
        add_facet_files(data, getattr(args, "facet", None))
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


def _same_base(configured: Any, named: str) -> bool:
    """Whether a flag names the base model that the configuration has, by itself or by default."""
    from twinloop.config import Settings

    usual = configured or Settings.model_fields["base_model"].default
    return isinstance(usual, str) and _place(usual) == _place(named)


def _place(base: str) -> Path:
    return Path(os.path.expanduser(base)).resolve()  # noqa: PTH111 - fails for no name


def _named_parts(section: Any) -> set[str]:
    """The parts that a configuration's parsed JSON gives files of."""
    return {name for name, file in section.items() if file is not None} if isinstance(section, dict) else set()


def _leave_out_other_lengths(data: dict[str, Any], given: Mapping[str, Any]) -> None:
    """Take out of a configuration what it says of a training's length in the way that the flags do not use."""
    training = data.get("training")
    if not isinstance(training, dict):
        return
    if "training.steps" in given:
        others: tuple[str, ...] = ("epochs", "repeats", "max_train_steps")
    else:
        others = ("steps",) if "training.epochs" in given else ()
    for name in others:
        training.pop(name, None)


def _put(data: dict[str, Any], field: str, value: Any, only_if_absent: bool = False) -> None:
    """Set a field, dots for sections; a table goes over the one that is there, entry by entry."""
    *sections, name = field.split(".")
    inner = _section(data, sections)
    if inner is None or (only_if_absent and inner.get(name) is not None):
        return
    inner[name] = _over(inner.get(name), value)


def _section(data: dict[str, Any], names: Sequence[str]) -> dict[str, Any] | None:
    """A section of a configuration, made where there is none; None = what stands there is none, a mistake that the
    check of the settings names.
    """
    for name in names:
        if data.get(name) is None:
            data[name] = {}
        data = data[name]
        if not isinstance(data, dict):
            return None
    return data


def _over(old: Any, new: Any) -> Any:
    """The new value; of a table only what it names, down to single entries."""
    if not (isinstance(old, dict) and isinstance(new, dict)):
        return new
    return {**old, **{name: _over(old.get(name), value) for name, value in new.items()}}


def add_facet_files(data: dict[str, Any], files: list[str] | None) -> None:
    """``--facet`` joins the plug-ins of a configuration's parsed JSON."""
    section = _section(data, ["analysis"]) if files else None
    if section is None or files is None:
        return
    there = section.get("plugins")
    if there is None or isinstance(there, list):  # else a mistake that the check of the settings names
        section["plugins"] = [*(there or ()), *files]
