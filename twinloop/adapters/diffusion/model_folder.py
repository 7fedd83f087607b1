"""A diffusers folder: whether it is whole and of the family, and which variant of its weights is read."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

from twinloop.adapters.diffusion.hub_files import whole_model
from twinloop.adapters.diffusion.weight_files import whole_header
from twinloop.errors import InputError, MissingModel, ModelFileError
from twinloop.families.base import Family
from twinloop.families.recognise import INDEX, index_in, index_of


def check_folder(path: Path, base: str, family: Family, given: Collection[str], *, half: bool) -> None:
    """Whether a folder can be loaded as a model of the family.

    Args:
        base: what the user calls it. given: parts that come from elsewhere. half: half-precision copies will do.

    Raises:
        InputError: a pipeline of another kind. MissingModel: no weights.
        ModelFileError: no diffusers folder, weights that are pickles only or cut off, or a text encoder is missing.
    """
    index = _index(path, base)
    kind = index.get("_class_name")
    if kind not in family.kinds:
        raise InputError(
            f"base_model: {base} is a {kind}, but training.preset belongs to the family '{family.name}', which needs a"
            f" {' or '.join(family.kinds)}. Change base_model or training.preset."
        )
    half = half and not holds_large_weights(path, family)
    weights = {item.suffix for item in path.glob("*/*") if item.suffix in (".safetensors", ".bin")}
    if weights == {".bin"}:
        raise ModelFileError(
            f"base_model: {base} holds its weights as pickles (.bin), which can run code when loaded. Take its"
            " .safetensors version."
        )
    if ".safetensors" not in weights:
        raise _no_weights(path, base, family, f"{base} holds no weights", given, half)
    for item in sorted(path.glob("*/*.safetensors")):
        if item.parent.name not in given:
            whole_header(item)
    check_encoders(path, base, family, given)
    lacking = [name for name in without_weights(path, family.weights) if name not in given]
    if lacking:
        what = f"{base} holds no weights (.safetensors) of {' and '.join(lacking)}"
        raise _no_weights(path, base, family, what, given, half)


def without_weights(path: Path, components: Iterable[str]) -> list[str]:
    """Those of these components that have no ``.safetensors`` file in their folder."""
    return [name for name in components if not any((path / name).glob("*.safetensors"))]


def holds_large_weights(path: Path, family: Family) -> bool:
    """Whether a folder holds the denoiser as it is, not its half-precision copy."""
    return any(".fp16." not in file.name for file in (path / family.denoiser).glob("*.safetensors"))


def _no_weights(path: Path, base: str, family: Family, what: str, given: Collection[str], half: bool) -> MissingModel:
    if path == Path(base).expanduser():
        return MissingModel(f"base_model: {what}. Put them there, or give another folder.")
    return MissingModel(f"base_model: {what}. Fetch them:\n  {whole_model(base, family, given, half=half).command}")


def check_encoders(path: Path, base: str, family: Family, given: Collection[str]) -> None:
    """Whether a folder has every text encoder that the family's prompts cannot do without, but those that are given.

    Raises:
        ModelFileError: it lacks one: its entry in the index is missing or null, or its folder is not there.
    """
    missing = absent(path, [name for name in family.encoders if name not in given], base)
    if missing:
        raise ModelFileError(
            f"base_model: {base} comes without {' and '.join(missing)}, and models of the family '{family.name}' read"
            f" no prompt without {'it' if len(missing) == 1 else 'them'}. Put the folder{'s' * (len(missing) > 1)} back"
            f" as in {family.reference}, with the entry in {index_of(path).name}, or give another base model."
        )


def check_tokenizers(path: Path, base: str, family: Family, given: Collection[str]) -> None:
    """Whether a folder has the tokenizer of every text encoder in use; files of parts hold none.

    Raises:
        ModelFileError: it lacks one: its entry in the index is missing or null, or its folder is not there or empty.
    """
    if missing := without_tokenizers(path, family, given):
        what = base if path == Path(base).expanduser() else str(path)
        raise ModelFileError(
            f"base_model: {what} comes without {' and '.join(missing)}, and its text encoders read no prompt without"
            f" {'it' if len(missing) == 1 else 'them'}. Put the folder{'s' * (len(missing) > 1)} there as in"
            f" {family.reference}, with the entry in {index_of(path).name}, or give another base model."
        )


def without_tokenizers(path: Path, family: Family, given: Collection[str]) -> list[str]:
    """The tokenizers that a folder lacks: the family's own, and those of the text encoders that it has or is given.

    Raises:
        ModelFileError: no diffusers folder.
    """
    named = {*given, *_index(path, str(path))}
    others = {name for name in named if name.startswith("text_encoder")} - set(family.encoders)
    used = (*family.encoders, *sorted(others - set(absent(path, others))))
    of_encoders = [name.replace("text_encoder", "tokenizer") for name in used if name.startswith("text_encoder")]
    wanted = [*of_encoders, *family.tokenizers]
    lacking = absent(path, wanted)
    return [name for name in wanted if name in lacking or not any((path / name).iterdir())]


def absent(path: Path, components: Iterable[str], base: str = "") -> list[str]:
    """Those of these components that a folder does not have. ``base``: what the user calls it.

    Raises:
        ModelFileError: no diffusers folder.
    """
    index = _index(path, base or str(path))
    return [name for name in components if (index.get(name) or [None])[0] is None or not (path / name).is_dir()]


def _index(path: Path, base: str) -> dict[str, Any]:
    """What its index holds.

    Raises:
        ModelFileError: it is missing or damaged.
    """
    try:
        return index_in(path)
    except FileNotFoundError:
        raise ModelFileError(
            f"base_model: {base} has no {INDEX}, so it is not a diffusers model. Give the folder that holds that file,"
            " or a single .safetensors file."
        ) from None
    except (ValueError, RecursionError) as error:
        raise ModelFileError(
            f"base_model: {index_of(path)} is not valid JSON ({error}). Fetch the model again."
        ) from error


def variant_of(folder: Path, denoiser: str, *, half: bool) -> str | None:
    """``fp16`` where only such weights lie, or where they do and half precision is wanted."""
    names = [path.name for path in (folder / denoiser).glob("*.safetensors")]
    small = [name for name in names if ".fp16." in name]
    return "fp16" if small and (half or len(small) == len(names)) else None
