"""Which base model a LoRA file is for, in the words of messages about files that do not belong where they are given."""

from __future__ import annotations

from pathlib import Path

from twinloop.errors import InputError, ModelFileError
from twinloop.families.base import Family
from twinloop.families.recognise import family_of_lora
from twinloop.families.registered import FAMILIES
from twinloop.loras.adapter import families_name, fits_as_well
from twinloop.loras.lora import LoraFile, read_lora

SUFFIX = ".safetensors"


def given_as_base(path: Path) -> str:
    """What is wrong with a LoRA that is given as a base model; "" = it is none, or none that can be read."""
    file = _read(path)
    if file is None:
        return ""
    made_for = families_name(file)
    known = FAMILIES.get(made_for)
    base = f", such as {known.reference}" if known is not None and known.reference else ""
    return (
        f"{path} is a LoRA{f' (for {made_for})' if made_for else ''}, not a base model. Name a base model{base}, and"
        " give the LoRA with --lora (twinloop generate), or in generation.extra_loras."
    )


def base_needed(path: Path, usual: Family) -> str:
    """What to say of a LoRA where no base model is named and one of the usual family would be taken; "" = that may
    fit.
    """
    file = _read(path)
    made_for = "" if file is None else _made_for(file, usual)
    if not made_for:
        return ""
    known = FAMILIES.get(made_for)
    if known is None:
        return f"{path} is a LoRA for {made_for}, and this program does not draw with such models. Take another LoRA."
    base = f", such as {known.reference}" if known.reference else ""
    return f"{path} is a LoRA for {made_for}. Name a base model of that kind with --base-model{base}."


def of_another_family(path: Path, family: Family) -> str:
    """Why a LoRA cannot be one for the family, by the names and sizes of its layers; "" = it may be."""
    file = _read(path)
    made_for = "" if file is None else _made_for(file, family)
    return f"it was made for the family '{made_for}', the base model is of '{family.name}'" if made_for else ""


def _made_for(file: LoraFile, family: Family) -> str:
    """The family that a file is for, where that is another architecture than this one's; "" = it is not, or cannot be
    told.

    The file's header decides where it speaks; of a family that does not say how its own are told, another's may have
    the same layers.
    """
    said, made_for = family_of_lora(file.texts), ""
    if said is not None:
        made_for = said.name
    elif family.lora_names.fit is not None and not fits_as_well(file, family):
        made_for = families_name(file)
    own = made_for in FAMILIES and FAMILIES[made_for].architecture == family.architecture
    return "" if own else made_for


def _read(path: Path) -> LoraFile | None:
    if path.suffix != SUFFIX:
        return None
    try:
        return read_lora(path)
    except (InputError, ModelFileError):
        return None
