"""Flags over the parsed JSON of a configuration that may still hold mistakes: what is wrong is left for its check to
name.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any


def same_base(configured: Any, named: str) -> bool:
    """Whether a flag names the base model that the configuration has, by itself or by default."""
    from twinloop.config import Settings

    usual = configured or Settings.model_fields["base_model"].default
    return isinstance(usual, str) and Path(usual).resolve() == Path(named).resolve()


def put(data: dict[str, Any], field: str, value: Any, only_if_absent: bool = False) -> None:
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
