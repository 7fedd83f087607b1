"""The families that are known, and the ways to one: by its name, by a preset, by a LoRA for it."""

from __future__ import annotations

from twinloop.errors import InputError
from twinloop.families import sd2
from twinloop.families.base import Family
from twinloop.families.lora_names import LoraNames
from twinloop.families.preset_fields import ignored_fields
from twinloop.registry import for_plugins

FAMILIES: dict[str, Family] = {}
"""Name -> family, in alphabetical order of the built-in ones' files, then in the order of their coming."""
_OF_LORAS_ALONE = {sd2.OF_LORAS.name: sd2.OF_LORAS}
"""Families whose LoRAs are read and converted, and whose models are neither drawn with nor trained on."""


@for_plugins
def register_family(family: Family) -> Family:
    """Make a family known to generator, trainer and configuration; usable as the last line of a plug-in file.

    Raises:
        InputError: another family has one of its presets' names, or a preset says what only a configuration decides.
    """
    for name, preset in family.presets.items():
        if ignored := ignored_fields(preset):
            raise InputError(
                f"Family '{family.name}': the preset {name} sets {', '.join(ignored)}, which only the configuration"
                " decides. Leave it out of the preset, and set it in the configuration."
            )
    return know_family(family)


def know_family(family: Family) -> Family:
    """Make a family of this package known, whose presets a test looks at.

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


def families_of_loras() -> tuple[Family, ...]:
    """All families that a LoRA can be told to be for."""
    return (*FAMILIES.values(), *_OF_LORAS_ALONE.values())


def is_unet_family(name: str) -> bool:
    """Whether the denoiser of this family is a UNet; False for a family that is not known."""
    return any(family.name == name and family.denoiser == "unet" for family in families_of_loras())


def lora_names_of(name: str) -> LoraNames:
    """What LoRAs of this family are like; the usual for a family that is not known."""
    return next((family.lora_names for family in families_of_loras() if family.name == name), LoraNames())
