"""Files that take the place of parts of a base model: whether they are whole and of the kind and size that the base's
configuration asks for. Nothing is loaded.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from twinloop.adapters.diffusion.base_choice import BaseChoice
from twinloop.adapters.diffusion.model_folder import absent
from twinloop.adapters.diffusion.weight_files import pickled, whole_header
from twinloop.errors import InputError, MissingModel, ModelFileError, StateError
from twinloop.families.base import Family
from twinloop.families.gguf_files import SUFFIX
from twinloop.families.part_files import (
    QWEN_3,
    SEEING,
    PartKind,
    kind_of_part,
    name_of_configuration,
    sees_pictures,
    wrong_sizes,
)
from twinloop.families.recognise import family_of_tensors, index_of
from twinloop.families.scaled_weights import can_be_unscaled, is_scaled
from twinloop.families.single_files import Header
from twinloop.families.sizes import PREFIX, in_words
from twinloop.families.strangers import is_packed, stranger
from twinloop.store.models.part_hashes import hashes_of_parts

Parts = tuple[tuple[str, Path], ...]
"""Name of a part -> its file."""
_READ = ("F64", "F32", "F16", "BF16", "F8_E4M3", "F8_E5M2")
"""Types of numbers that weights may have."""


def whole_parts(given: Sequence[tuple[str, str]]) -> Parts:
    """The files of parts, each of them whole and readable.

    Raises:
        MissingModel: one is not there. InputError: of a format or in a packed form that is not read.
        ModelFileError: damaged, cut off, or a pickle.
    """
    found = tuple((name, Path(file).expanduser()) for name, file in given)
    for name, path in found:
        _check_file(name, path)
    return found


def check_unchanged(choice: BaseChoice) -> None:
    """Whether the files of parts still hold what they held when the settings were read: records have those hashes.

    Raises:
        StateError: one does not.
    """
    now, files = hashes_of_parts(choice.parts), dict(choice.parts)
    for name, digest in choice.part_hashes:
        if now.get(name) != digest:
            raise StateError(
                f"base_parts.{name}: {files[name]} was changed after this program began with it. Put the file back as"
                " it was, or begin anew."
            )


def _check_file(name: str, path: Path) -> None:
    field = f"base_parts.{name}"
    if path.is_dir():
        raise InputError(f"{field}: {path} is a folder. Give one .safetensors file.")
    if not path.is_file():
        raise MissingModel(f"{field}: no file at {path}. Correct the path.")
    if path.suffix == SUFFIX:
        raise InputError(f"{field}: {path}: only denoisers are read from {SUFFIX} files. Give a .safetensors file.")
    if path.suffix != ".safetensors":
        raise pickled(path)
    header = whole_header(path, field)
    if is_packed(header.shapes) or not _is_read(header) or (is_scaled(header) and not can_be_unscaled(header)):
        raise InputError(
            f"{field}: the weights of {path} are packed in a form that is not read here. Give the file of this part in"
            " 16 bits or in fp8."
        )


def _is_read(header: Header) -> bool:
    """Whether its matrices are of numbers that are read; other tensors may hold a tokenizer, or how layers are
    packed.
    """
    return all(
        kind in _READ or len(header.shapes[name]) < 2 or name.endswith("position_ids")
        for name, kind in header.types.items()
    )


def check_parts(parts: Parts, folder: Path, family: Family) -> None:
    """Whether files are what the configuration of the base asks for in their places.

    Args:
        folder: the diffusers folder with the base's configuration.

    Raises:
        InputError: one is something else, or of another size. ModelFileError: the base has no such part, or no
            configuration of it.
    """
    for name, path in parts:
        _check_part(name, path, folder, family)


def check_kinds(parts: Parts) -> None:
    """The same where no configuration of the base is at hand: whether each is an autoencoder or a text encoder, as its
    place asks for.

    Raises:
        InputError: one is something else.
    """
    for name, path in parts:
        shapes = whole_header(path, f"base_parts.{name}").shapes
        kind = _known_kind(name, path, shapes)
        if kind.is_autoencoder != (name == "vae"):
            raise InputError(f"base_parts.{name}: {path} is {kind.name}. Give the file of the {_alone(name)} alone.")


def _alone(name: str) -> str:
    return "autoencoder" if name == "vae" else "text encoder"


def _known_kind(name: str, path: Path, shapes: Mapping[str, tuple[int, ...]]) -> PartKind:
    kind = None if any(one.startswith(PREFIX) for one in shapes) else kind_of_part(shapes)
    if kind is None:
        raise InputError(
            f"base_parts.{name}: {path} is {_otherwise(shapes)}. Give the file of the {_alone(name)} alone."
        )
    return kind


def _check_part(name: str, path: Path, folder: Path, family: Family) -> None:
    field = f"base_parts.{name}"
    shapes = whole_header(path, field).shapes
    kind = _known_kind(name, path, shapes)
    configuration = part_configuration(name, folder)
    if configuration is None and (folder / name / "config.json").is_file() and absent(folder, [name]):
        raise ModelFileError(
            f"{field}: the base model does without {name}, because its entry in {index_of(folder)} is missing or null."
            f" Leave the field out, or write the entry as {family.reference} has it."
        )
    if configuration is None:
        raise ModelFileError(
            f"{field}: the base model has no {name}, or {folder / name} lacks config.json, which a file needs. Leave"
            f" the field out, or lay configuration and tokenizer there as in {family.reference}."
        )
    wanted = name_of_configuration(configuration)
    if wanted not in kind.configurations:
        raise InputError(
            f"{field}: {path} is {kind.name}, and the {name} of the base model ({folder}) is of the kind {wanted}."
            f" {_fits(kind, shapes, folder)}"
        )
    if kind is QWEN_3 and sees_pictures(shapes) != (wanted in SEEING):
        does, does_not = "sees pictures (Qwen3-VL)", "sees none"
        given, asked = (does, does_not) if sees_pictures(shapes) else (does_not, does)
        raise InputError(
            f"{field}: {path} is a language model that {given}, and the {name} of the base model ({folder}) is of the"
            f" kind {wanted}, which {asked}: they are of two models. Give another file."
        )
    if wrong := wrong_sizes(kind, shapes, configuration):
        ours, theirs = ({setting: pair[place] for setting, pair in wrong.items()} for place in (0, 1))
        raise InputError(
            f"{field}: {path} is {kind.name} with {in_words(ours)}, and the {name} of the base model ({folder}) has"
            f" {in_words(theirs)}: they are of two models. {_fits(kind, shapes, folder)}"
        )
    if family.editing is not None and family.editing.encode and name != "vae" and not sees_pictures(shapes):
        raise InputError(
            f"{field}: {path} is {kind.name} that sees no pictures, and models of the family '{family.name}' look at"
            " photos with it. Give a file with its vision part."
        )


def _otherwise(shapes: Mapping[str, tuple[int, ...]]) -> str:
    """What a file is that is no part of a base model."""
    if what := stranger(shapes):
        return what
    family = family_of_tensors(shapes)
    if family is not None:
        return f"a model of the family '{family.name}'"
    return "no text encoder or autoencoder that is known here"


def _fits(kind: PartKind, shapes: Mapping[str, tuple[int, ...]], folder: Path) -> str:
    """What to do with a file that does not belong where it was given."""
    fitting = [
        name
        for name in sorted(path.name for path in folder.iterdir() if (path / "config.json").is_file())
        if (configuration := part_configuration(name, folder)) is not None
        and name_of_configuration(configuration) in kind.configurations
        and not wrong_sizes(kind, shapes, configuration)
    ]
    return f"It fits base_parts.{' or base_parts.'.join(fitting)}." if fitting else "Give another file."


def part_configuration(name: str, folder: Path) -> dict[str, Any] | None:
    """The configuration of a part in a diffusers folder; None where the folder does without the part, or it cannot be
    read.
    """
    if absent(folder, [name]):
        return None
    try:
        found = json.loads((folder / name / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None
