"""safetensors files in and out: mapped into memory, checked against their own header, written whole or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from twinloop.errors import InputError, ModelFileError, StateError
from twinloop.loras.tensors import STORAGE, Bits, RawTensor
from twinloop.pickles import Blob, Kind, kind_of, safetensors_header
from twinloop.pickles.inspection import Safety, inspect_blob
from twinloop.pickles.safetensors_header import Entry, placed
from twinloop.store.atomic import write_bytes
from twinloop.store.models.lora_file import lora_bytes


def read_tensors(path: Path) -> tuple[Mapping[str, str], dict[str, RawTensor]]:
    """Header texts and tensors of a safetensors file; a tensor's bytes are read when they are looked at.

    Raises:
        InputError: no such file. ModelFileError: another kind of file (pickles are looked into, never run), cut short,
            or inconsistent.
    """
    if not path.is_file():
        raise InputError(f"LoRA not found: {path}. Give the path of a .safetensors file.")
    blob = Blob(path.name, path)
    kind, words = kind_of(blob)
    if kind is not Kind.SAFETENSORS:
        raise ModelFileError(_refusal(path, blob, kind, words))
    try:
        header = safetensors_header.of_file(path)
        header.check_whole()
        body = np.memmap(path, dtype=np.uint8, mode="r")[header.body_at :]
        return header.texts, {name: _cut(name, entry, body) for name, entry in header.entries.items()}
    except ValueError as error:
        raise ModelFileError(
            f"{path} is not a readable safetensors file ({str(error)[:120]}). Download or export it again."
        ) from error


def _cut(name: str, entry: Entry, body: Bits) -> RawTensor:
    if entry.dtype not in STORAGE:
        raise ValueError(f"{name[:60]!r} is of the type {entry.dtype}, which no LoRA's weights are")
    return RawTensor(entry.dtype, body[entry.first : entry.last].view(STORAGE[entry.dtype]).reshape(entry.shape))


def _refusal(path: Path, blob: Blob, kind: Kind, words: str) -> str:
    """Why another kind of file is not read, in the words of ``twinloop inspect``."""
    if kind is Kind.OTHER:
        return f"{path} is {words}. Only LoRAs in .safetensors are read."
    found = inspect_blob(blob)
    reasons = "; ".join(finding.text for finding in found.findings[:3])
    if found.verdict is Safety.NOT_A_MODEL:
        return f"{path} is not a LoRA: {reasons}. Only .safetensors is read."
    advice = (
        "Do not load it anywhere." if found.verdict is Safety.DANGEROUS else f"See: twinloop inspect {path} --convert"
    )
    return (
        f"{path} is a pickled model ({kind.value}; {found.verdict.value}{f': {reasons}' if reasons else ''}) and was"
        f" not loaded: only .safetensors is read. {advice}"
    )


def file_bytes(tensors: Mapping[str, RawTensor], texts: Mapping[str, str]) -> bytes:
    """A safetensors file: texts in alphabetical order, widest types first, then by name; equal content gives equal
    bytes.

    The hashes of the tensors in the texts are set anew (`lora_bytes`).
    """
    ordered = sorted(tensors.items(), key=lambda item: (-item[1].bits.itemsize, item[0]))
    entries = placed((name, tensor.dtype, tensor.shape) for name, tensor in ordered)
    return lora_bytes(entries, texts, [tensor.data() for _, tensor in ordered])


def write_new(path: Path, data: bytes) -> None:
    """Write a file that is not there yet; the same bytes there are fine.

    Raises:
        InputError: the name does not end in .safetensors. StateError: another file has that name. StorageError: disk
            full, no permission.
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
