"""LoRA files: what lies beside one, the texts in its header, and one byte-exact form."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from twinloop.errors import InputError, ModelFileError
from twinloop.pickles import safetensors_header
from twinloop.pickles.safetensors_header import Entry, header_bytes
from twinloop.store.atomic import sha256_file

MODEL_HASH, LEGACY_HASH = "sshs_model_hash", "sshs_legacy_hash"
"""What A1111, Forge and Civitai know a LoRA by, and what A1111's oldest extension for LoRAs knew it by."""
_LEGACY_FROM, _LEGACY_TO = 0x100000, 0x110000
SHORT = 12
"""Digits of a hash in the line of settings that A1111 writes."""
_CHUNK = 1 << 20


def with_texts(data: bytes, texts: Mapping[str, str]) -> bytes:
    """The same tensors under these header texts, and no others; equal content gives equal bytes, which the safetensors
    library's are not.

    Args:
        data: a safetensors file.
    """
    header = safetensors_header.of_bytes(data)
    return b"".join((safetensors_header.header_bytes(header.entries, texts), memoryview(data)[header.body_at :]))


def lora_bytes(entries: Mapping[str, Entry], texts: Mapping[str, str], blocks: Sequence[bytes | memoryview]) -> bytes:
    """A LoRA file with the hashes of its tensors among its texts; equal content gives equal bytes.

    ``modelspec.hash_sha256`` and ``sshs_model_hash`` are of all that is behind the header. ``sshs_legacy_hash`` is of
    64 KiB of the file, one MiB from its beginning, as the file would be with no other texts than ``ss_*``: texts that
    are edited later do not change it (sd-scripts).

    Args:
        blocks: what is behind the header, in pieces.
    """
    body = hashlib.sha256()
    for block in blocks:
        body.update(block)
    head = header_bytes(entries, {key: text for key, text in texts.items() if key.startswith("ss_")})
    legacy = hashlib.sha256(b"".join(_between((head, *blocks), _LEGACY_FROM, _LEGACY_TO)))
    hashes = {
        "modelspec.hash_sha256": f"0x{body.hexdigest()}",
        MODEL_HASH: body.hexdigest(),
        LEGACY_HASH: legacy.hexdigest()[:8],
    }
    return b"".join((header_bytes(entries, {**texts, **hashes}), *blocks))


def _between(blocks: Sequence[bytes | memoryview], first: int, last: int) -> Iterator[memoryview]:
    at = 0
    for block in blocks:
        yield memoryview(block)[max(0, first - at) : max(0, last - at)]
        at += len(block)


def short_hash(lora: Path) -> str:
    """The 12 digits by which A1111 and Forge know a LoRA: of the hash in its header, else of all that is behind the
    header; of the whole file where it is no safetensors file.

    Of a LoRA with a copy in kohya's names beside it, those of the copy, which is the file that people install there.
    """
    file = kohya_path(lora) if kohya_path(lora).is_file() else lora
    try:
        header = safetensors_header.of_file(file)
    except ValueError:
        return sha256_file(file)[:SHORT]
    if header.texts.get(MODEL_HASH):
        return header.texts[MODEL_HASH][:SHORT]
    digest = hashlib.sha256()
    with open(file, "rb") as stream:
        stream.seek(header.body_at)
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()[:SHORT]


def kohya_path(lora: Path) -> Path:
    """Where the copy of a LoRA in kohya's names lies, which ComfyUI and A1111 read: ``<stem>_kohya.safetensors`` beside
    it.
    """
    return lora.with_name(f"{lora.stem}_kohya{lora.suffix}")


def metrics_path(lora: Path) -> Path:
    """Where the figures of a LoRA's training lie: ``<stem>.metrics.jsonl`` beside it."""
    return lora.with_name(f"{lora.stem}.metrics.jsonl")


def header_texts(path: Path) -> Mapping[str, str]:
    """The texts in the header of a LoRA file (``modelspec.*``, ``ss_*``); reads nothing else.

    Raises:
        InputError: no such file. ModelFileError: not a safetensors file, a damaged one, or one that was cut short.
    """
    if not path.is_file():
        raise InputError(
            f"LoRA not found: {path}. Give the path of a .safetensors file, or leave --lora out for the bare base"
            " model."
        )
    try:
        header = safetensors_header.of_file(path)
        header.check_whole()
    except (ValueError, OSError) as error:
        raise ModelFileError(
            f"{path} is not a readable safetensors file ({error}). Download or train it again; other formats are not"
            " loaded."
        ) from error
    return header.texts
