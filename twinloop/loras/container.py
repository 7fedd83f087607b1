"""safetensors files in and out: mapped into memory, checked against their own header, written whole or not at all."""

from __future__ import annotations

import hashlib
import itertools
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from twinloop.errors import InputError, ModelFileError, StateError
from twinloop.loras.tensors import STORAGE, RawTensor
from twinloop.pickles import Blob, Kind, kind_of
from twinloop.pickles.inspection import Verdict, inspect_blob
from twinloop.store.atomic import write_bytes

_LENGTH = 8
_LARGEST_HEADER = 100 << 20
_TEXTS = "__metadata__"


def read_tensors(path: Path) -> tuple[dict[str, str], dict[str, RawTensor]]:
    """Header texts and tensors of a safetensors file; a tensor's bytes are read when they are looked at.

    Raises:
        InputError: no such file. ModelFileError: another kind of file (pickles are looked into, never run), cut short, or inconsistent.
    """
    if not path.is_file():
        raise InputError(f"LoRA not found: {path}. Give the path of a .safetensors file.")
    blob = Blob(path.name, path)
    kind, words = kind_of(blob)
    if kind is not Kind.SAFETENSORS:
        raise ModelFileError(_refusal(path, blob, kind, words))
    whole = np.memmap(path, dtype=np.uint8, mode="r")
    size = int.from_bytes(whole[:_LENGTH].tobytes(), "little")
    try:
        if size > _LARGEST_HEADER:
            raise ValueError("its header is larger than any model's")
        header: dict[str, Any] = json.loads(whole[_LENGTH : _LENGTH + size].tobytes())
        texts = {str(key): str(value) for key, value in header.pop(_TEXTS, {}).items()}
        return texts, _cut(header, whole[_LENGTH + size :])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ModelFileError(
            f"{path} is not a readable safetensors file ({str(error)[:120]}). Download or export it again."
        ) from error


def _cut(header: Mapping[str, Any], body: Any) -> dict[str, RawTensor]:
    tensors: dict[str, RawTensor] = {}
    spans: list[tuple[int, int]] = []
    for name, entry in header.items():
        dtype, shape = str(entry["dtype"]), tuple(int(side) for side in entry["shape"])
        first, last = (int(place) for place in entry["data_offsets"])
        if dtype not in STORAGE:
            raise ValueError(f"{name[:60]} is of the unknown type {dtype}")
        storage = np.dtype(STORAGE[dtype])
        if first < 0 or min(shape, default=1) < 0 or last - first != math.prod(shape) * storage.itemsize:
            raise ValueError(f"{name[:60]} is not as large as its shape says")
        if last > len(body):
            raise ValueError(f"it ends after {len(body)} of at least {last} bytes of tensors: it was cut short")
        tensors[name] = RawTensor(dtype, body[first:last].view(storage).reshape(shape))
        spans.append((first, last))
    spans.sort()
    if any(before[1] > after[0] for before, after in itertools.pairwise(spans)):
        raise ValueError("its tensors overlap")
    if max((last for _, last in spans), default=0) != len(body):
        raise ValueError("it is longer than its header says")
    return tensors


def _refusal(path: Path, blob: Blob, kind: Kind, words: str) -> str:
    """Why another kind of file is not read, in the words of ``twinloop inspect``."""
    if kind is Kind.OTHER:
        return f"{path} is {words}. Only LoRAs in .safetensors are read."
    found = inspect_blob(blob)
    reasons = "; ".join(finding.text for finding in found.findings[:3])
    if found.verdict is Verdict.NOT_A_MODEL:
        return f"{path} is not a LoRA: {reasons}. Only .safetensors is read."
    advice = (
        "Do not load it anywhere." if found.verdict is Verdict.DANGEROUS else f"See: twinloop inspect {path} --convert"
    )
    return (
        f"{path} is a pickled model ({kind.value}; {found.verdict.value}{f': {reasons}' if reasons else ''}) and was not loaded: "
        f"only .safetensors is read. {advice}"
    )


def file_bytes(tensors: Mapping[str, RawTensor], texts: Mapping[str, str]) -> bytes:
    """A safetensors file: texts in alphabetical order, widest types first, then by name; equal content gives equal bytes.

    The hashes of the tensors in the texts (``modelspec.hash_sha256``; ``sshs_model_hash`` where the file had one) are set anew.
    """
    ordered = sorted(tensors.items(), key=lambda item: (-item[1].bits.itemsize, item[0]))
    body = b"".join(tensor.data() for _, tensor in ordered)
    digest = hashlib.sha256(body).hexdigest()
    own = {key: value for key, value in texts.items() if key != "sshs_legacy_hash"}
    own["modelspec.hash_sha256"] = f"0x{digest}"
    if "sshs_model_hash" in own:
        own["sshs_model_hash"] = digest
    header: dict[str, object] = {_TEXTS: dict(sorted(own.items()))}
    at = 0
    for name, tensor in ordered:
        header[name] = {"dtype": tensor.dtype, "shape": list(tensor.shape), "data_offsets": [at, at + tensor.nbytes]}
        at += tensor.nbytes
    head = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "backslashreplace")
    head += b" " * (-len(head) % 8)
    return len(head).to_bytes(_LENGTH, "little") + head + body


def write_new(path: Path, data: bytes) -> None:
    """Write a file that is not there yet; the same bytes there are fine.

    Raises:
        InputError: the name does not end in .safetensors. StateError: another file has that name. StorageError: disk full, no permission.
    """
    check_output(path)
    if path.exists():
        if path.is_file() and path.read_bytes() == data:
            return
        raise StateError(f"{path} exists and holds something else; it was not touched. Choose another --output.")
    write_bytes(path, data)


def check_output(path: Path) -> None:
    """Raises InputError for a name that would not be a safetensors file."""
    if path.suffix != ".safetensors":
        raise InputError(f"--output {path}: a LoRA is one file; name it with the ending .safetensors.")
