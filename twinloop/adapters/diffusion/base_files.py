"""Finding a base model on this machine: a diffusers folder, a single file, or a hub id."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from twinloop.errors import InputError, MissingExtra, MissingModel, ModelFileError, UnsafeModelFile
from twinloop.families.base import Family
from twinloop.families.gguf_files import SUFFIX, read_gguf_header
from twinloop.families.recognise import INDEX, family_of_tensors, holds_tensors_of, kind_of_folder
from twinloop.families.single_files import Header, read_header
from twinloop.pickles import Blob
from twinloop.pickles.inspection import Verdict, inspect_blob

_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
_SAMPLE = 1 << 20
_TEXTS = ("*.json", "*.txt")
_BORROWED = ("text_encoder*/*.safetensors", "vae/*.safetensors")
"""What a denoiser alone lacks."""


@dataclass(frozen=True)
class BaseFiles:
    """A base model on disk.

    Attributes:
        path: a diffusers folder, one ``.safetensors`` file, or a denoiser as ``.gguf``.
        config: for a single file, the diffusers folder that holds its configuration and tokenizers.
        borrows: the single file is a denoiser alone, and ``config`` also gives its text encoders and autoencoder.
    """

    path: Path
    config: Path | None = None
    borrows: bool = False

    @property
    def is_folder(self) -> bool:
        return self.path.is_dir()

    @property
    def is_gguf(self) -> bool:
        return not self.is_folder and self.path.suffix == SUFFIX

    @property
    def home(self) -> Path:
        """The diffusers folder with configuration, tokenizers and processors."""
        return self.path if self.config is None else self.config

    @property
    def kind(self) -> str:
        """The pipeline that the folder names; "" = none that can be read."""
        return kind_of_folder(self.home)

    def fingerprint(self) -> str:
        """16 hex digits: of size, first and last MiB of each file that the model is made of."""
        digest = hashlib.sha256()
        for name, path in self._parts():
            digest.update(f"{name}\0{path.stat().st_size}\0".encode())
            digest.update(_ends(path))
        return digest.hexdigest()[:16]

    def _parts(self) -> Iterator[tuple[str, Path]]:
        """The files that the model is made of, each with its name in its folder; those of a hub's folder that nobody reads are none."""
        if self.is_folder:
            wanted = (*_TEXTS, "*.safetensors", f"*{SUFFIX}")
        else:
            yield self.path.name, self.path
            wanted = (*_TEXTS, *(_BORROWED if self.borrows else ()))
        for path in sorted({path for pattern in wanted for path in self.home.rglob(pattern) if path.is_file()}):
            yield path.relative_to(self.home).as_posix(), path


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
        path = _hub_folder(base, family, allow_download)
    _check_folder(path, base, family)
    return BaseFiles(path)


def _single_file(path: Path, family: Family, allow_download: bool) -> BaseFiles:
    """A single file with its configuration: a folder of the same name beside it, or the family's reference from the hub.

    The configuration is looked for here, because diffusers downloads a missing one without being asked.
    """
    if path.suffix == SUFFIX:
        _check_gguf(path, family)
    elif path.suffix != ".safetensors":
        raise pickled(path)
    header = whole_header(path)
    found = None if holds_tensors_of(family, header.shapes) else family_of_tensors(header.shapes)
    if found is not None:
        raise InputError(
            f"base_model: {path} is a model of the family '{found.name}', but training.preset belongs to '{family.name}'. "
            f"Leave training.preset out, or set it to {' or '.join(found.presets)}."
        )
    beside, borrows = path.with_suffix(""), not family.single_file.whole
    if (beside / INDEX).is_file():
        return BaseFiles(path, beside, borrows)
    rest = (
        "its configuration and tokenizers come"
        if family.single_file.whole
        else "text encoders, autoencoder and configuration come"
    )
    try:
        return BaseFiles(path, _rest(family, allow_download), borrows)
    except MissingModel as error:
        raise MissingModel(
            f"base_model: {path.name} is a single file; {rest} from {family.reference} or from a diffusers folder at {beside}. {error}"
        ) from error


def _check_gguf(path: Path, family: Family) -> None:
    """Raises InputError for a family whose files are whole checkpoints, MissingExtra without the library that reads them."""
    if family.single_file.whole:
        raise InputError(
            f"base_model: {path}: a {SUFFIX} file holds a denoiser alone, and the family '{family.name}' is read as a whole checkpoint. "
            "Take its .safetensors file or a diffusers folder, and set quantization for smaller weights."
        )
    if importlib.util.find_spec("gguf") is None:
        raise MissingExtra(f"base_model: {path}", "quant", "no module 'gguf'")


def pickled(path: Path) -> ModelFileError:
    """The answer to a model file that is no safetensors file: what the inspector says of it, and what to do. Nothing of it is run."""
    found = inspect_blob(Blob(path.name, path))
    reasons = "; ".join(finding.text for finding in found.findings[:2])
    verdict = found.verdict.value.replace("_", " ")
    kind = UnsafeModelFile if found.verdict is Verdict.DANGEROUS else ModelFileError
    return kind(
        f"{path}: models are read as .safetensors (or denoisers as {SUFFIX}) only, because other formats can run code when loaded. "
        f"The inspector says: {verdict}{f' ({reasons})' if reasons else ''}. {_NEXT[found.verdict].format(path=path)}"
    )


_NEXT = {
    Verdict.SAFE: "Convert it: python inspect_pkl.py {path} --convert",
    Verdict.UNKNOWN: "See what it asks for: python inspect_pkl.py {path}; or take the .safetensors version.",
    Verdict.DANGEROUS: "Do not load it anywhere; delete it, and take the .safetensors version from its author.",
    Verdict.MALFORMED: "Get it again, as .safetensors.",
    Verdict.NOT_A_MODEL: "Give the model itself, as .safetensors.",
}


def whole_header(path: Path) -> Header:
    """The header of a safetensors file that is as long as it says.

    Raises:
        ModelFileError: it is no such file, or cut off.
    """
    try:
        header = read_gguf_header(path) if path.suffix == SUFFIX else read_header(path)
    except (OSError, ValueError) as error:
        raise ModelFileError(
            f"base_model: {path} cannot be loaded: it is damaged or no {path.suffix.removeprefix('.')} file ({error}). Fetch it again."
        ) from error
    if header.missing:
        raise ModelFileError(
            f"base_model: {path} cannot be loaded: it is cut off, {header.missing:,} bytes are missing. Fetch it again."
        )
    return header


def _rest(family: Family, allow_download: bool) -> Path:
    """What a single file lacks, as a folder of the hub's cache."""
    from huggingface_hub import snapshot_download

    name = family.reference
    if not allow_download:
        return _cached(name, family)
    parts = [*_TEXTS]
    if not family.single_file.whole:
        parts += [*_BORROWED, "tokenizer*/*"]
    return _downloaded(name, lambda: snapshot_download(name, allow_patterns=parts))


def _hub_folder(base: str, family: Family, allow_download: bool) -> Path:
    """The folder of a hub id in the local cache, downloaded first where allowed."""
    if not _HUB_ID.fullmatch(base):
        raise MissingModel(
            f"base_model: no folder or file at {base}. Correct the path, or give a hub id such as stabilityai/stable-diffusion-xl-base-1.0."
        )
    if allow_download:
        from diffusers import DiffusionPipeline

        return _downloaded(base, lambda: DiffusionPipeline.download(base, use_safetensors=True))
    return _cached(base, family)


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
    if kind not in family.kinds:
        raise InputError(
            f"base_model: {base} is a {kind}, but training.preset belongs to the family '{family.name}', which needs a {' or '.join(family.kinds)}. Change base_model or training.preset."
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
    for item in sorted(path.glob("*/*.safetensors")):
        whole_header(item)


def variant_of(folder: Path, denoiser: str, *, half: bool) -> str | None:
    """``fp16`` where only such weights lie, or where they do and half precision is wanted."""
    names = [path.name for path in (folder / denoiser).glob("*.safetensors")]
    small = [name for name in names if ".fp16." in name]
    return "fp16" if small and (half or len(small) == len(names)) else None
