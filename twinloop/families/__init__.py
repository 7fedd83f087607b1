"""Base-model families, one small file each; adding one touches one file and this list."""

from __future__ import annotations

from twinloop.errors import InputError
from twinloop.families import sdxl
from twinloop.families.base import Family, Preset

FAMILIES: dict[str, Family] = {module.FAMILY.name: module.FAMILY for module in (sdxl,)}

ALIASES = {"zit": "animagine"}
"""The seed's "ZIT" is Animagine XL; elsewhere the letters mean Z-Image-Turbo, hence the notice."""
ZIT_NOTICE = "'zit' is read as Animagine XL 3.1, as this tool's first description meant it. Z-Image-Turbo, which others call ZIT, is not supported yet."


_TAGGED = ("animagine", "illustrious", "pony", "noob")
"""Words in the names of bases that were trained on tag lists; Animagine's defaults fit them all."""


def preset_for(base_model: str) -> str:
    """The preset that suits a base model when the user names none."""
    name = base_model.lower()
    if name == "nano":
        return "nano"
    return "animagine" if any(word in name for word in _TAGGED) else "sdxl"


def preset_name(name: str) -> tuple[str, str]:
    """The preset behind an alias, and a notice for the user ("" when there is none)."""
    key = name.lower()
    return (ALIASES[key], ZIT_NOTICE) if key in ALIASES else (key, "")


def family_of(base_model: str, preset: str) -> Family:
    """The family that knows a preset.

    Raises:
        InputError: no family does; the message lists all presets.
    """
    wanted, _ = preset_name(preset)
    for family in FAMILIES.values():
        if wanted in family.presets:
            return family
    known = sorted({name for family in FAMILIES.values() for name in family.presets} | set(ALIASES))
    raise InputError(f"training.preset: unknown preset '{preset}'. Known: {', '.join(known)}.")


__all__ = ["FAMILIES", "Family", "Preset", "family_of", "preset_for", "preset_name"]
