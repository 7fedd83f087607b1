"""Inspecting model files, and converting those that are safe to safetensors. Originals are only read."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from twinloop import __version__
from twinloop.errors import ModelFileError, StateError, StorageError
from twinloop.pickles import Blob, Policy, TensorRef
from twinloop.pickles.inspection import Finding, Inspection, Safety, inspect_blob
from twinloop.pickles.weights import Weight, Weights
from twinloop.store.atomic import sha256_file
from twinloop.store.models.tensor_file import DTYPES, Tensor, Written, write_tensors

ENDINGS = frozenset({".pkl", ".pickle", ".pt", ".pth", ".bin", ".ckpt", ".joblib"})
"""What a folder is searched for; a file that is named is always looked at."""

_COPIES_ALLOWED = 4


@dataclass(frozen=True)
class Report:
    """One file.

    Attributes:
        path, size: as found; size in bytes. sha256: None when it cannot be read. format: in words.
        obstacle: why its weights cannot be told, wanted or not. output: the converted file. failure: why a wanted
            conversion did not happen, although the verdict allowed it.
    """

    path: Path
    sha256: str | None
    size: int | None
    format: str
    verdict: Safety
    findings: tuple[Finding, ...]
    names: tuple[str, ...] = ()
    weights: Weights | None = None
    obstacle: str | None = None
    output: Written | None = None
    failure: str | None = None


def model_files(paths: Iterable[Path]) -> Iterator[Path]:
    """Files as they are, folders searched for `ENDINGS`, in order of name."""
    for path in paths:
        if path.is_dir():
            yield from sorted(
                found for found in path.rglob("*") if found.suffix.lower() in ENDINGS and not found.is_dir()
            )
        else:
            yield path


def inspect_file(path: Path, policy: Policy, convert: bool = False, output: Path | None = None) -> Report:
    """Look into one file; with ``convert`` write the weights of a safe one beside it or into the folder ``output``.

    Whatever is wrong with the file is in the report.
    """
    if not path.is_file():  # a pipe would hang, a device never end
        what = "no such file" if not path.exists() else "not a regular file"
        return Report(path, None, None, "none", Safety.NOT_A_MODEL, (Finding(Safety.NOT_A_MODEL, what),))
    try:
        before, size = sha256_file(path), path.stat().st_size
        found = inspect_blob(Blob(path.name, path), policy)
    except (ModelFileError, OSError) as error:
        return Report(
            path, None, None, "none", Safety.MALFORMED, (Finding(Safety.MALFORMED, f"cannot be read ({error})"),)
        )
    report = Report(
        path, before, size, _format(found), found.verdict, found.findings, found.names, found.weights, found.failure
    )
    if not convert or found.verdict is not Safety.SAFE or found.weights is None:
        return replace(report, failure=found.failure) if convert and found.verdict is Safety.SAFE else report
    try:
        return replace(report, output=_convert(report, found.weights, output or path.parent))
    except (ModelFileError, StateError, StorageError) as error:
        return replace(report, failure=str(error))


def _format(found: Inspection) -> str:
    return "joblib" if "joblib.numpy_pickle.NumpyArrayWrapper" in found.names else found.kind.value


def _convert(report: Report, weights: Weights, folder: Path) -> Written:
    tensors = [_tensor(name, weight) for name, weight in weights.tensors.items()]
    total, size = sum(tensor.nbytes for tensor in tensors), report.size or 0
    if total > _COPIES_ALLOWED * size + (1 << 20) and report.format != "joblib, compressed":
        raise ModelFileError(
            f"{report.path.name}: its tensors repeat the same numbers until they make {total} bytes; not converted."
        )
    source = {"sha256": report.sha256, "part": weights.part, "by": f"twinloop {__version__}"}
    texts = {"format": "pt", "model": _json(weights.facts), "source": _json(source)}
    written = write_tensors(folder / f"{report.path.stem}.safetensors", tensors, texts)
    if sha256_file(report.path) != report.sha256:
        raise StateError(
            f"{report.path} was changed while it was converted; delete {written.path} and run the command again."
        )
    return written


def _json(value: object) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=True, allow_nan=False, separators=(",", ":"))


def _tensor(name: str, weight: Weight) -> Tensor:
    """Raises ModelFileError for a type that safetensors cannot hold."""
    dtype = weight.storage.dtype if isinstance(weight, TensorRef) else weight.dtype.name
    if dtype not in DTYPES:
        raise ModelFileError(f"{name}: safetensors has no type for {dtype}; the file was not converted.")
    return Tensor(name, dtype, tuple(weight.shape), lambda: _bytes(weight))


def _bytes(weight: Weight) -> bytes:
    array = weight.stored() if isinstance(weight, TensorRef) else weight
    if sys.byteorder == "big" or array.dtype.byteorder == ">":
        array = array.astype(array.dtype.newbyteorder("<"))
    return np.ascontiguousarray(array).tobytes()
