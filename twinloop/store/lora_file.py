"""safetensors files as bytes: their header's texts, and one byte-exact form.

The safetensors library writes header texts in an order that changes from call to call; files that are compared by hash need a
fixed one. Format: 8 bytes little-endian length, a JSON header of that length, then the tensors' bytes.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from twinloop.errors import InputError, ModelFileError

_LENGTH = 8
_LARGEST_HEADER = 100 << 20


def canonical(data: bytes) -> bytes:
    """The same safetensors file with header texts in alphabetical order and tensors in the order of their bytes."""
    size = int.from_bytes(data[:_LENGTH], "little")
    header: dict[str, Any] = json.loads(data[_LENGTH : _LENGTH + size])
    texts = dict(sorted(header.pop("__metadata__", {}).items()))
    tensors = dict(sorted(header.items(), key=lambda entry: (entry[1]["data_offsets"], entry[0])))
    ordered = {"__metadata__": texts, **tensors} if texts else tensors
    body = json.dumps(ordered, separators=(",", ":"), ensure_ascii=False).encode()
    body += b" " * (-len(body) % 8)  # the tensors must start at a multiple of eight bytes
    return len(body).to_bytes(_LENGTH, "little") + body + data[_LENGTH + size :]


def kohya_path(lora: Path) -> Path:
    """Where the copy of a LoRA in kohya's names lies, which ComfyUI and A1111 read: ``<stem>_kohya.safetensors`` beside it."""
    return lora.with_name(f"{lora.stem}_kohya{lora.suffix}")


def metrics_path(lora: Path) -> Path:
    """Where the figures of a LoRA's training lie: ``<stem>.metrics.jsonl`` beside it."""
    return lora.with_name(f"{lora.stem}.metrics.jsonl")


def header_texts(path: Path) -> dict[str, str]:
    """The texts in the header of a LoRA file (``modelspec.*``, ``ss_*``); reads nothing else.

    Raises:
        InputError: no such file. ModelFileError: not a safetensors file.
    """
    if not path.is_file():
        raise InputError(
            f"LoRA not found: {path}. Give the path of a .safetensors file, or leave --lora out for the bare base model."
        )
    try:
        with open(path, "rb") as file:
            size = int.from_bytes(file.read(_LENGTH), "little")
            if not 2 <= size <= _LARGEST_HEADER:
                raise ValueError("the header's length makes no sense")
            header = json.loads(file.read(size))
            return {str(key): str(value) for key, value in header.get("__metadata__", {}).items()}
    except (ValueError, AttributeError, OSError) as error:
        raise ModelFileError(
            f"{path} is not a readable safetensors file ({error}). Download or train it again; other formats are not loaded."
        ) from error
