"""Finding a base model on this machine: a diffusers folder, a single file, or a hub id."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from twinloop.errors import InputError, MissingModel, ModelFileError
from twinloop.families.base import Family

_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
_SAMPLE = 1 << 20
INDEX = "model_index.json"


@dataclass(frozen=True)
class BaseFiles:
    """A base model on disk.

    Attributes:
        path: a diffusers folder, or one ``.safetensors`` file.
        config: for a single file, the diffusers folder that holds its configuration and tokenizers.
    """

    path: Path
    config: Path | None = None

    @property
    def is_folder(self) -> bool:
        return self.path.is_dir()

    def fingerprint(self) -> str:
        """16 hex digits: of the small files, and of size, first and last MiB of each weight file."""
        digest = hashlib.sha256()
        home = self.path if self.is_folder else self.path.parent
        files = sorted(self.path.rglob("*")) if self.is_folder else [self.path]
        for path in files:
            if path.is_file() and path.suffix in (".json", ".txt", ".safetensors"):
                digest.update(f"{path.relative_to(home).as_posix()}\0{path.stat().st_size}\0".encode())
                digest.update(_ends(path))
        return digest.hexdigest()[:16]


def _ends(path: Path) -> bytes:
    with open(path, "rb") as file:
        first = file.read(_SAMPLE)
        file.seek(max(0, path.stat().st_size - _SAMPLE))
        return first + file.read(_SAMPLE)


def find_base(base: str, family: Family, allow_download: bool) -> BaseFiles:
    """Where a base model lies.

    Raises:
        MissingModel: not here, and downloading is not allowed or failed.
        InputError: a pipeline of another kind than the family's.
        ModelFileError: not a diffusers folder, or weights that are pickles only.
    """
    path = Path(base).expanduser()
    if path.is_file():
        return _single_file(path, family, allow_download)
    if not path.is_dir():
        path = _hub_folder(base, allow_download)
    _check_folder(path, base, family)
    return BaseFiles(path)


def _single_file(path: Path, family: Family, allow_download: bool) -> BaseFiles:
    """A single file with its configuration: a folder of the same name beside it, or the family's reference from the hub.

    The configuration is looked for here, because diffusers downloads a missing one without being asked.
    """
    if path.suffix != ".safetensors":
        raise ModelFileError(
            f"{path}: single-file models are read as .safetensors only, because other formats can run code when loaded. Convert it, or take the .safetensors version."
        )
    beside = path.with_suffix("")
    if (beside / INDEX).is_file():
        return BaseFiles(path, beside)
    try:
        return BaseFiles(path, _configuration(family.reference, allow_download))
    except MissingModel as error:
        raise MissingModel(
            f"base_model: {path.name} is a single file; its configuration and tokenizers come from {family.reference} or from a diffusers folder at {beside}. {error}"
        ) from error


def _configuration(name: str, allow_download: bool) -> Path:
    """The small files of a hub model."""
    from huggingface_hub import snapshot_download

    if allow_download:
        return _downloaded(name, lambda: snapshot_download(name, allow_patterns=["*.json", "*.txt"]))
    return _cached(name)


def _hub_folder(base: str, allow_download: bool) -> Path:
    """The folder of a hub id in the local cache, downloaded first where allowed."""
    if not _HUB_ID.fullmatch(base):
        raise MissingModel(
            f"base_model: no folder or file at {base}. Correct the path, or give a hub id such as stabilityai/stable-diffusion-xl-base-1.0."
        )
    if allow_download:
        from diffusers import DiffusionPipeline

        return _downloaded(base, lambda: DiffusionPipeline.download(base, use_safetensors=True))
    return _cached(base)


def _downloaded(name: str, fetch: Callable[[], str]) -> Path:
    from huggingface_hub.errors import HfHubHTTPError

    try:
        return Path(fetch())
    except (OSError, ValueError, HfHubHTTPError) as error:
        raise MissingModel(
            f"base_model: could not download {name}: {error}. Check the name and the connection."
        ) from error


def _cached(name: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name, local_files_only=True))
    except (LocalEntryNotFoundError, OSError):
        raise MissingModel(
            f"base_model: {name} is neither a folder here nor in the local model cache. Correct the path, or fetch it once: hf download {name}; "
            'or set "allow_download": true.'
        ) from None


def _check_folder(path: Path, base: str, family: Family) -> None:
    try:
        index = json.loads((path / INDEX).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ModelFileError(
            f"base_model: {base} has no {INDEX}, so it is not a diffusers model. Give the folder that holds that file, or a single .safetensors file."
        ) from None
    except ValueError as error:
        raise ModelFileError(
            f"base_model: {path / INDEX} is not valid JSON ({error}). Fetch the model again."
        ) from error
    kind = index.get("_class_name")
    if kind != family.pipeline:
        raise InputError(
            f"base_model: {base} is a {kind}, but training.preset belongs to the family '{family.name}', which needs a {family.pipeline}. Change base_model or training.preset."
        )
    weights = {item.suffix for item in path.glob("*/*") if item.suffix in (".safetensors", ".bin")}
    if weights == {".bin"}:
        raise ModelFileError(
            f"base_model: {base} holds its weights as pickles (.bin), which can run code when loaded. Take its .safetensors version."
        )
    if ".safetensors" not in weights:
        raise MissingModel(
            f"base_model: {base} holds no weights. Fetch them (hf download {base}), or give another folder."
        )


def variant_of(folder: Path, *, half: bool) -> str | None:
    """``fp16`` where only such weights lie, or where they do and half precision is wanted."""
    names = [path.name for path in (folder / "unet").glob("*.safetensors")]
    small = [name for name in names if ".fp16." in name]
    return "fp16" if small and (half or len(small) == len(names)) else None
