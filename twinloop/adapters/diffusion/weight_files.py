"""One file with weights: whether it is whole, and what is said of kinds that are not read."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from twinloop.errors import InputError, MissingExtra, ModelFileError, UnsafeModelFile
from twinloop.families.base import Family
from twinloop.families.gguf_files import SUFFIX, read_gguf_header
from twinloop.families.single_files import Header, read_header
from twinloop.pickles import Blob
from twinloop.pickles.inspection import Safety, inspect_blob


def whole_header(path: Path, field: str = "base_model") -> Header:
    """The header of a safetensors file that is as long as it says. ``field``: of the configuration that names it.

    Raises:
        ModelFileError: it is no such file, or cut off.
    """
    try:
        header = read_gguf_header(path) if path.suffix == SUFFIX else read_header(path)
    except (OSError, ValueError) as error:
        raise ModelFileError(
            f"{field}: {path} cannot be loaded: it is damaged or no {path.suffix.removeprefix('.')} file ({error})."
            " Fetch it again."
        ) from error
    if header.missing:
        raise ModelFileError(
            f"{field}: {path} cannot be loaded: it is cut off, {header.missing:,} bytes are missing. Fetch it again."
        )
    return header


def check_gguf(path: Path, family: Family) -> None:
    """Raises InputError for a family whose files are whole checkpoints or hold more than a denoiser, MissingExtra
    without the library that reads them.
    """
    if family.single_file.whole:
        raise InputError(
            f"base_model: {path}: a {SUFFIX} file holds a denoiser alone, and the family '{family.name}' is read as a"
            " whole checkpoint. Take its .safetensors file or a diffusers folder, and set quantization for smaller"
            " weights."
        )
    if carried := family.single_file.carries:
        raise InputError(
            f"base_model: {path}: files of the family '{family.name}' hold {' and '.join(carried)} beside the denoiser,"
            f" and are not read as {SUFFIX}. Take the .safetensors file or a diffusers folder, and set quantization for"
            " smaller weights."
        )
    if importlib.util.find_spec("gguf") is None:
        raise MissingExtra(f"base_model: {path}", "quant", "no module 'gguf'")


_NEXT = {
    Safety.SAFE: "Convert it: python inspect_pkl.py {path} --convert",
    Safety.UNKNOWN: "See what it asks for: python inspect_pkl.py {path}; or take the .safetensors version.",
    Safety.DANGEROUS: "Do not load it anywhere; delete it, and take the .safetensors version from its author.",
    Safety.MALFORMED: "Get it again, as .safetensors.",
    Safety.NOT_A_MODEL: "Give the model itself, as .safetensors.",
}


def pickled(path: Path) -> ModelFileError:
    """The answer to a model file that is no safetensors file: what the inspector says of it, and what to do.

    Nothing of it is run.
    """
    found = inspect_blob(Blob(path.name, path))
    reasons = "; ".join(finding.text for finding in found.findings[:2])
    verdict = found.verdict.value.replace("_", " ")
    kind = UnsafeModelFile if found.verdict is Safety.DANGEROUS else ModelFileError
    return kind(
        f"{path}: models are read as .safetensors (or denoisers as {SUFFIX}) only, because other formats can run code"
        f" when loaded. The inspector says: {verdict}{f' ({reasons})' if reasons else ''}."
        f" {_NEXT[found.verdict].format(path=path)}"
    )
