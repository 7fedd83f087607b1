"""What a file is by its first bytes, whatever it is called."""

from __future__ import annotations

from enum import StrEnum

from twinloop.pickles.blob import Blob
from twinloop.pickles.joblibfile import is_compressed
from twinloop.pickles.npy import NUMPY
from twinloop.pickles.safetensors_header import looks_like
from twinloop.pickles.torchlegacy import MAGICS

_HEAD = 1024
_TAR_AT = 257
_HIGHEST_PROTOCOL = 5


class Kind(StrEnum):
    """Kinds of files that may hold a model, and one for all others."""

    TORCH_ZIP = "torch zip"
    TORCH_LEGACY = "torch legacy"
    TORCH_TAR = "torch tar"
    COMPRESSED = "joblib, compressed"
    PICKLE = "pickle"
    SAFETENSORS = "safetensors"
    OTHER = "other"


_OTHERS: tuple[tuple[bytes, str], ...] = (
    (
        b"version https://git-lfs",
        "a Git LFS pointer, not the model itself: fetch the model with `git lfs pull`, or download it again",
    ),
    (b"\x89PNG", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"GIF8", "a GIF image"),
    (b"%PDF", "a PDF document"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive, which is not looked into: unpack it and inspect what comes out"),
    (b"Rar!", "a RAR archive, which is not looked into: unpack it and inspect what comes out"),
    (b"\x28\xb5\x2f\xfd", "compressed with Zstandard, which is not looked into: unpack it and inspect what comes out"),
    (b"\x04\x22\x4d\x18", "compressed with lz4, which is not looked into: unpack it and inspect what comes out"),
    (b"ZF0x", "written by joblib before 0.10, which is not read: save it anew where you trust it"),
    (b"\x89HDF", "a Keras or HDF5 file, which is not read here"),
    (b"GGUF", "a GGUF file, which is not read here and needs no conversion"),
    (NUMPY, "a numpy .npy file, which is not read here"),
    (b"\x7fELF", "a program (ELF)"),
    (b"MZ", "a program (Windows)"),
    (b"#!", "a script"),
)
"""Beginning -> what such a file is, in words for people."""
_HTML = (b"<!doctype", b"<html", b"<head", b"<?xml")


def kind_of(blob: Blob) -> tuple[Kind, str]:
    """The kind, and for `Kind.OTHER` what it is instead; anything unrecognised may still be a pickle (old ones have no
    mark).

    Raises:
        ModelFileError: the file cannot be read.
    """
    head = blob.head(_HEAD)
    if not head:
        return Kind.OTHER, "an empty file: download it again"
    if head.lstrip().lower().startswith(_HTML):
        return Kind.OTHER, "a web page (HTML), not a model: the download led to a page; download the file itself"
    for magic, words in _OTHERS:
        if head.startswith(magic):
            return Kind.OTHER, words
    return _model_kind(head, blob), ""


def _model_kind(head: bytes, blob: Blob) -> Kind:
    if head[:4] in (b"PK\x03\x04", b"PK\x05\x06"):
        return Kind.TORCH_ZIP
    if head.startswith(MAGICS):
        return Kind.TORCH_LEGACY
    if head[_TAR_AT : _TAR_AT + 5] == b"ustar":
        return Kind.TORCH_TAR
    if looks_like(head, blob.size()):
        return Kind.SAFETENSORS
    return Kind.COMPRESSED if is_compressed(head) else Kind.PICKLE


def has_pickle_mark(head: bytes) -> bool:
    """Whether the bytes begin as pickles of protocol 2 and later do."""
    return len(head) > 1 and head[0] == 0x80 and head[1] <= _HIGHEST_PROTOCOL
