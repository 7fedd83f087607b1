"""Base-model families, one small file each.

A module of this package that has a ``FAMILY`` is known; so is one that is registered.
"""

from __future__ import annotations

import importlib
import pkgutil

from twinloop.errors import InputError
from twinloop.families.base import Family, Preset

FAMILIES: dict[str, Family] = {}
"""Name -> family, in alphabetical order of the built-in ones' files, then in the order of their coming."""


def register_family(family: Family) -> Family:
    """Make a family known to generator, trainer and configuration; usable as the last line of a plug-in file.

    Raises:
        InputError: another family has one of its presets' names.
    """
    for other in FAMILIES.values():
        taken = sorted(_names(other) & _names(family)) if other.name != family.name else []
        if taken:
            raise InputError(
                f"Family '{family.name}': preset {', '.join(taken)} belongs to the family '{other.name}'. Rename it."
            )
    FAMILIES[family.name] = family
    return family


def _names(family: Family) -> set[str]:
    return {name for key, preset in family.presets.items() for name in (key, *preset.aliases)}


for _module in sorted(pkgutil.iter_modules(__path__), key=lambda entry: entry.name):
    _found = getattr(importlib.import_module(f"{__name__}.{_module.name}"), "FAMILY", None)
    if isinstance(_found, Family):
        register_family(_found)


def preset_name(name: str) -> tuple[str, str]:
    """The preset behind an alias, and a notice for the user ("" when there is none)."""
    key = name.lower()
    for family in FAMILIES.values():
        for preset, details in family.presets.items():
            if key in details.aliases:
                return preset, details.aliases[key]
    return key, ""


def family_of_preset(preset: str) -> Family:
    """The family that knows a preset.

    Raises:
        InputError: no family does; the message lists all presets.
    """
    wanted, _ = preset_name(preset)
    for family in FAMILIES.values():
        if wanted in family.presets:
            return family
    known = sorted(name for family in FAMILIES.values() for name in _names(family))
    raise InputError(f"training.preset: unknown preset '{preset}'. Known: {', '.join(known)}.")


from twinloop.families.recognise import distilled, preset_for  # noqa: E402  (it needs the families)

__all__ = [
    "FAMILIES",
    "Family",
    "Preset",
    "distilled",
    "family_of_preset",
    "preset_for",
    "preset_name",
    "register_family",
]
