"""What a file that is no photo is instead, told from its first bytes: the reason for which it is skipped."""

from __future__ import annotations

import re

_PEEK = 512
DAMAGED = "is damaged, or no picture of a kind this tool opens"
_STARTS: tuple[tuple[bytes, str], ...] = (
    (b"%!PS", "PostScript (EPS)"),
    (b"\xc5\xd0\xd3\xc6", "PostScript (EPS)"),
    (b"%PDF-", "a PDF"),
    (b"8BPS", "a Photoshop document"),
    (b"gimp xcf", "a GIMP document"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"Rar!", "a RAR archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"version https://git-lfs", "a Git LFS pointer"),
    (b"SQLite format 3\x00", "a database"),
    (b"\x1aE\xdf\xa3", "a video"),
    (b"OggS", "audio or video"),
    (b"ID3", "audio"),
    (b"\x7fELF", "a program"),
    (b"MZ", "a program"),
    (b"\xd7\xcd\xc6\x9a", "a Windows metafile"),
    (b"\x01\x00\x00\x00\x58\x00\x00\x00", "a Windows metafile"),
)
_VIDEO_BRANDS = (b"isom", b"iso2", b"mp41", b"mp42", b"avc1", b"qt  ", b"M4V ", b"3gp")


def what_else(data: bytes) -> str:
    """The reason to skip bytes that no decoder of ours recognises: what they are, where their beginning tells."""
    kind = _kind(data[:_PEEK])
    return DAMAGED if kind is None else f"is {kind}, no picture of a kind this tool opens"


def _kind(head: bytes) -> str | None:
    for start, name in _STARTS:
        if head.startswith(start):
            return name
    if head[4:8] == b"ftyp" and head[8:12].startswith(_VIDEO_BRANDS):
        return "a video"
    if re.match(rb"P[1-7fF][\s#]", head):
        return "a PNM picture"
    if re.match(rb"\s*(<\?xml[^>]*>\s*)?(<!--.*?-->\s*)?<svg", head, re.IGNORECASE | re.DOTALL):
        return "an SVG drawing"
    if re.match(rb"\s*<(!doctype html|html|head|script)", head, re.IGNORECASE):
        return "a web page"
    return None if head.strip(b"\x00") else "nothing but zeros"
