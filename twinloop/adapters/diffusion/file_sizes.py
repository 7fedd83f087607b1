"""Which model's configuration fits a single file, and whether a configuration that is at hand does."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from twinloop.errors import InputError
from twinloop.families.base import Family
from twinloop.families.recognise import family_of_tensors, holds_tensors_of
from twinloop.families.scaled_weights import can_be_unscaled, is_scaled
from twinloop.families.single_files import Header
from twinloop.families.sizes import Size, differing, in_words, size_of
from twinloop.families.strangers import is_packed, stranger
from twinloop.loras.whose import given_as_base

_IN_16_BITS = (
    'Give the file of this model in 16 bits; with "quantization": "fp8" its weights are packed while they are loaded.'
)
_IN_ANOTHER_FORM = "Give the file of this model in 16 bits, as .gguf or in fp8."


def check_kind(path: Path, header: Header, family: Family) -> None:
    """Whether a file may be one of the family.

    Raises:
        InputError: it is a model of another family, or something else, or its weights are packed.
    """
    if lora := given_as_base(path):
        raise InputError(f"base_model: {lora}")
    if is_packed(header.shapes):
        raise InputError(
            f"base_model: the weights of {path} are packed in 4 bits by bitsandbytes, and are not read from single"
            ' files. Give the file of this model in 16 bits or as .gguf; with "quantization": "nf4" the weights of one'
            " in 16 bits are packed while they are loaded."
        )
    if is_scaled(header) and not can_be_unscaled(header):
        raise InputError(
            f"base_model: the weights of {path} are packed in fewer bits, in a form that is not read here."
            f" {_IN_ANOTHER_FORM}"
        )
    if _is_one_of(family, path, header):
        if is_scaled(header) and family.single_file.whole:
            raise InputError(
                f"base_model: the weights of {path} have 8 bits and factors beside them, and are not read from whole"
                f" checkpoints. {_IN_16_BITS}"
            )
        return
    found = None if holds_tensors_of(family, header.shapes) else family_of_tensors(header.shapes)
    what = "" if found is not None and _is_one_of(found, path, header) else stranger(header.shapes)
    if what:
        raise InputError(f"base_model: {path} is {what}; this program does not draw with it. Give another file.")
    if found is not None:
        raise InputError(
            f"base_model: {path} is a model of the family '{found.name}', but training.preset belongs to"
            f" '{family.name}'. Leave training.preset out, or set it to {' or '.join(found.presets)}."
        )


def reference_of(path: Path, header: Header, family: Family) -> str:
    """Hub id of the model of the family whose configuration fits the file.

    Raises:
        InputError: by its tensors it is none of those that are known.
    """
    told = family.single_file.layout.told(header.shapes)
    size = size_of(family.sizes, told, path.stem)
    if size is None and family.sizes:
        known = "; ".join(_known(size, told) for size in family.sizes)
        raise InputError(
            f"base_model: {path} is a model of the family '{family.name}' that is not known here: its configuration has"
            f" {in_words(told)}. Known: {known}. Lay the diffusers folder of this model at {path.with_suffix('')},"
            f" without its {family.denoiser}'s weights."
        )
    return (size.reference if size else "") or family.reference


def check_configuration(path: Path, header: Header, family: Family, folder: Path) -> None:
    """Whether the configuration of the denoiser in a diffusers folder is that of the file; a folder without one is left
    to loading.

    Raises:
        InputError: they are of two models.
    """
    settings = _settings(folder / family.denoiser / "config.json")
    told = family.single_file.layout.told(header.shapes)
    wrong = differing(settings, told)
    if wrong:
        ours, theirs = ({name: values[name] for name in wrong} for values in (told, settings))
        raise InputError(
            f"base_model: {path} has {in_words(ours)}, and the configuration in {folder} has {in_words(theirs)}: they"
            f" are of two models. Lay the diffusers folder of the file's own model at {path.with_suffix('')}."
        )


def _is_one_of(family: Family, path: Path, header: Header) -> bool:
    """Whether it is a model of the family, and of those that are known where the family says which they are."""
    told = family.single_file.layout.told(header.shapes)
    known = not family.sizes or size_of(family.sizes, told, path.stem) is not None
    return known and holds_tensors_of(family, header.shapes)


def _known(size: Size, told: Mapping[str, int | bool]) -> str:
    return f"{size.name} ({in_words({name: value for name, value in size.settings.items() if name in told})})"


def _settings(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
