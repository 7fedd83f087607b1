"""LoRA files: what lies beside one, the texts in its header, and one byte-exact form."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from twinloop.errors import InputError, ModelFileError
from twinloop.pickles import safetensors_header


def with_texts(data: bytes, texts: Mapping[str, str]) -> bytes:
    """The same tensors under these header texts, and no others; equal content gives equal bytes, which the safetensors
    library's are not.

    Args:
        data: a safetensors file.
    """
    header = safetensors_header.of_bytes(data)
    return b"".join((safetensors_header.header_bytes(header.entries, texts), memoryview(data)[header.body_at :]))


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
