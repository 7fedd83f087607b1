"""What a model file really is, whatever its name says. Content first: broken downloads are the commonest trouble."""

from __future__ import annotations

import re
import zipfile
from enum import StrEnum
from pathlib import Path

from twinloop.errors import ModelFileError
from twinloop.pickles.safetensors_header import looks_like

_PEEK = 4096


class Content(StrEnum):
    """Kinds of content that can be told from the first bytes and the length."""

    ONNX = "onnx"
    TORCH = "torch zip"
    TASK = "MediaPipe task bundle"
    TFLITE = "TFLite"
    SAFETENSORS = "safetensors"
    PICKLE = "pickle"
    HTML = "web page"
    LFS = "Git LFS pointer"
    EMPTY = "empty file"
    UNKNOWN = "unknown"


def sniff(path: Path) -> Content:
    """Tell what ``path`` holds without trusting its name.

    Raises:
        ModelFileError: it cannot be read at all.
    """
    try:
        return _sniffed(path)
    except OSError as error:
        raise ModelFileError(f"{path}: {_unreadable(error)}") from error


def _unreadable(error: OSError) -> str:
    return f"cannot be read ({error.strerror or error})"


def _sniffed(path: Path) -> Content:
    size = path.stat().st_size
    with path.open("rb") as stream:
        head = stream.read(_PEEK)
    if size == 0:
        return Content.EMPTY
    if head.startswith(b"version https://git-lfs"):
        return Content.LFS
    if re.match(rb"\s*<(!doctype|html|\?xml|head|script)", head, re.IGNORECASE):
        return Content.HTML
    if zipfile.is_zipfile(path):  # task bundles have a few bytes in front of the first entry
        return _zip_kind(path)
    if head[4:8] == b"TFL3":
        return Content.TFLITE
    if looks_like(head, size):
        return Content.SAFETENSORS
    if head[:1] == b"\x08" and head[1:2] < b"\x20":  # field 1 (ir_version) of an ONNX ModelProto
        return Content.ONNX
    if (head[:1] == b"\x80" and head[1:2] <= b"\x05") or re.match(rb"[c(\]}]", head):
        return Content.PICKLE
    return Content.UNKNOWN


def _zip_kind(path: Path) -> Content:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, NotImplementedError, OSError):
        return Content.UNKNOWN
    if any(name.endswith("/data.pkl") for name in names):
        return Content.TORCH
    return Content.TASK if any(name.endswith(".tflite") for name in names) else Content.UNKNOWN


_EXPLAIN = {
    Content.EMPTY: "the file is empty. Download it again",
    Content.HTML: (
        "this is a web page, not a model: the download saved the page around the file. Use the page's download button"
        " or the raw link"
    ),
    Content.LFS: (
        "this is a Git LFS pointer (a short text), not the model itself. Run `git lfs pull` in the repository it came"
        " from, or download the file through the web page"
    ),
}


def complaint(path: Path, wanted: Content) -> str | None:
    """Why ``path`` cannot be a ``wanted`` file, and what to do, as a part of a sentence that names it; None when it may
    be one.
    """
    try:
        found = _sniffed(path)
        if found is wanted:
            return _cut_short(path) if wanted is Content.ONNX else None
    except OSError as error:
        return _unreadable(error)
    if found in _EXPLAIN:
        return _EXPLAIN[found]
    if path.suffix.lower() in (".pt", ".pth", ".task", ".zip") and found is Content.UNKNOWN:
        return f"not a {wanted}, or cut short. Download it again"
    return f"expected {wanted}, found {found}. Download it again, or give it the right name"


def check_content(path: Path, wanted: Content) -> None:
    """Raises ModelFileError: ``path`` cannot be a ``wanted`` file; says why, and what to do."""
    if (problem := complaint(path, wanted)) is not None:
        raise ModelFileError(f"{path.name}: {problem}.")


def read_model_bytes(path: Path, wanted: Content = Content.ONNX) -> bytes:
    """The whole file, after its content was checked.

    Raises:
        ModelFileError: it is something else; the message says what and what to do.
    """
    check_content(path, wanted)
    return path.read_bytes()


def _cut_short(path: Path) -> str | None:
    """Walk the top-level protobuf fields: a truncated ONNX file ends inside one."""
    data = path.read_bytes()
    position = 0
    while position < len(data):
        tag, position = _varint(data, position)
        wire = tag & 7
        if wire == 0:
            _, position = _varint(data, position)
        elif wire == 2:
            length, position = _varint(data, position)
            position += length
        elif wire in (1, 5):
            position += 8 if wire == 1 else 4
        else:
            return f"not an ONNX file (byte {position}). Download it again"
    if position != len(data):
        return f"cut short: {position - len(data)} bytes are missing at its end. Download it again"
    return None


def _varint(data: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while position < len(data) and shift < 70:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
    return value, len(data) + 1
