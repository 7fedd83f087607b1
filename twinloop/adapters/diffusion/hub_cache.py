"""Base models of the hub in the local cache; downloaded only where that is allowed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from twinloop.adapters.diffusion.base_choice import BaseChoice
from twinloop.adapters.diffusion.hub_files import (
    HubFiles,
    accept,
    half_copies,
    licence_hint,
    rest_of_single_file,
    whole_model,
)
from twinloop.adapters.diffusion.model_folder import holds_large_weights, without_tokenizers, without_weights
from twinloop.errors import MissingModel, NotFetched
from twinloop.families.base import Family
from twinloop.families.gguf_files import SUFFIX
from twinloop.families.recognise import INDEX, INDEX_OF_BLOCKS, index_of
from twinloop.store.models.base_name import is_hub_id

_FILES = (".safetensors", SUFFIX, ".ckpt", ".pt", ".pth", ".bin")
"""Ends of names of files: ``models/mine.safetensors`` looks like a hub id and is none."""


def hub_folder(choice: BaseChoice, family: Family) -> Path:
    """The folder of a hub id in the local cache, downloaded first where allowed.

    Raises:
        MissingModel: it is not there, the name is none of the hub, or the download failed.
    """
    base = choice.base
    if base.lower().endswith(_FILES):
        raise MissingModel(f"base_model: no file at {base}. Correct the path.")
    if not is_hub_id(base):
        raise MissingModel(
            f"base_model: no folder or file at {base}. Correct the path, or give a hub id such as"
            " stabilityai/stable-diffusion-xl-base-1.0."
        )
    if choice.allow_download:
        return _downloaded(base, lambda: _fetch(choice, family))
    found = _folder_in_cache(base)
    if found is None:
        usual = base == family.reference and not choice.parts and (choice.half or not family.half_copies)
        size = f"about {family.download}" if usual and family.download else ""
        raise _not_here(whole_model(base, family, choice.part_names, half=choice.half), family, size)
    return found


def reference_folder(family: Family, reference: str, choice: BaseChoice, carried: tuple[str, ...] = ()) -> Path:
    """What a single file lacks, as a folder of the hub's cache.

    Args:
        reference: hub id of a model like it. carried: parts that the file holds beside the denoiser.

    Raises:
        MissingModel: as `hub_folder`.
    """
    files = rest_of_single_file(family, reference, (*choice.part_names, *carried))
    if choice.allow_download:
        return _downloaded(files.name, lambda: _fetch_some(files))
    found, borrowed = _folder_in_cache(files.name), lacking_parts(family, choice, carried)
    if found is None or not index_of(found).is_file() or _lacks(found, family, choice, borrowed):
        all_but = (
            f"its {' and '.join(borrowed)}, configuration and tokenizers" if choice.parts else "all but its denoiser"
        )
        raise _not_here(files, family, all_but if borrowed else "a few MB")
    return found


def _lacks(folder: Path, family: Family, choice: BaseChoice, borrowed: tuple[str, ...]) -> bool:
    """Whether a folder is without something that a single file needs beside its configuration."""
    weights = without_weights(folder, borrowed)
    return bool(weights or without_tokenizers(folder, family, choice.part_names))


def lacking_parts(family: Family, choice: BaseChoice, carried: tuple[str, ...] = ()) -> tuple[str, ...]:
    """The parts that a single file of the family lacks and no other file gives. ``carried``: as in
    `reference_folder`.
    """
    borrowed = () if family.single_file.whole else (*family.encoders, "vae")
    return tuple(name for name in borrowed if name not in (*choice.part_names, *carried))


def _fetch_some(files: HubFiles) -> str:
    from huggingface_hub import snapshot_download

    return snapshot_download(
        files.name, allow_patterns=list(files.include), ignore_patterns=list(files.exclude) or None
    )


def _fetch(choice: BaseChoice, family: Family) -> Path:
    """Download a whole model, but the weights of parts that are given: its half-precision copies where it has them and
    they will do, unless the others are here.
    """
    from diffusers import DiffusionPipeline

    from twinloop.adapters.diffusion.pipelines import is_of_blocks

    name, given = choice.base, choice.part_names
    if choice.half and family.half_copies and not _has_large_weights(name, family):
        found = Path(_fetch_some(half_copies(name, given)))
        if not without_weights(found, [part for part in family.weights if part not in given]):
            return found
    if given or is_of_blocks(family.pipeline):
        return Path(_fetch_some(whole_model(name, family, given, half=False)))
    return Path(DiffusionPipeline.download(name, use_safetensors=True))


def _has_large_weights(name: str, family: Family) -> bool:
    """Whether the cache holds the denoiser as it is, not its half-precision copy."""
    folder = _folder_in_cache(name)
    return folder is not None and holds_large_weights(folder, family)


def _downloaded(name: str, fetch: Callable[[], str | Path]) -> Path:
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError

    try:
        return Path(fetch())
    except GatedRepoError:
        raise MissingModel(f"base_model: {name} cannot be downloaded yet. {accept(name)}") from None
    except (OSError, ValueError, HfHubHTTPError) as error:
        raise MissingModel(
            f"base_model: could not download {name}: {error}. Check the name and the connection."
        ) from error


def _not_here(files: HubFiles, family: Family, size: str) -> NotFetched:
    """``size``: of what the command fetches, for people."""
    about = f" ({size})" if size else ""
    return NotFetched(
        f"base_model: {files.name} is neither a folder here nor in the local model cache. Correct the path, or fetch it"
        f" once{about}:\n"
        f"  {files.command}\n"
        'or set "allow_download": true in the configuration (generate and train also take --allow-download).'
        f"{licence_hint(files.name, family)}"
    )


def in_cache(name: str) -> Path | None:
    """The folder of a hub id as far as it was fetched; None = it was not, or the name is none of the hub."""
    try:
        return _folder_in_cache(name) if is_hub_id(name) and not name.lower().endswith(_FILES) else None
    except ModuleNotFoundError:  # without the hub's library nothing was fetched by this program
        return None


def _folder_in_cache(name: str) -> Path | None:
    """Where the hub's library keeps a model; what of it is there is for others to ask."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        # asked for the whole of it, the library takes a model for missing of which only the needed files were fetched
        return Path(snapshot_download(name, local_files_only=True, allow_patterns=[INDEX, INDEX_OF_BLOCKS]))
    except (LocalEntryNotFoundError, OSError):
        return None
