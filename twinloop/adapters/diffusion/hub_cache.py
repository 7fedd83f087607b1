"""Base models of the hub in the local cache; downloaded only where that is allowed."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from twinloop.errors import MissingModel
from twinloop.families.base import Family

_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
TEXTS = ("*.json", "*.txt")
"""Configuration and vocabularies."""
BORROWED = ("text_encoder*/*.safetensors", "vae/*.safetensors")
"""What a denoiser alone lacks."""


def hub_folder(base: str, family: Family, allow_download: bool) -> Path:
    """The folder of a hub id in the local cache, downloaded first where allowed."""
    if not _HUB_ID.fullmatch(base):
        raise MissingModel(
            f"base_model: no folder or file at {base}. Correct the path, or give a hub id such as stabilityai/stable-diffusion-xl-base-1.0."
        )
    if allow_download:
        from diffusers import DiffusionPipeline

        return _downloaded(base, lambda: DiffusionPipeline.download(base, use_safetensors=True))
    return _cached(base, family)


def reference_folder(family: Family, allow_download: bool) -> Path:
    """What a single file lacks, as a folder of the hub's cache."""
    from huggingface_hub import snapshot_download

    name = family.reference
    if not allow_download:
        return _cached(name, family)
    parts = [*TEXTS]
    if not family.single_file.whole:
        parts += [*BORROWED, "tokenizer*/*"]
    return _downloaded(name, lambda: snapshot_download(name, allow_patterns=parts))


def _downloaded(name: str, fetch: Callable[[], str]) -> Path:
    from huggingface_hub.errors import HfHubHTTPError

    try:
        return Path(fetch())
    except (OSError, ValueError, HfHubHTTPError) as error:
        raise MissingModel(
            f"base_model: could not download {name}: {error}. Check the name and the connection."
        ) from error


def _cached(name: str, family: Family) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name, local_files_only=True))
    except (LocalEntryNotFoundError, OSError):
        size = f" (about {family.download})" if name == family.reference and family.download else ""
        raise MissingModel(
            f"base_model: {name} is neither a folder here nor in the local model cache. Correct the path, or fetch it once{size}: hf download {name}; "
            'or set "allow_download": true (on the command line: --allow-download).'
        ) from None
