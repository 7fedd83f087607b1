"""What lies beside photos and belongs to them: captions, and the record of whom they show."""

from __future__ import annotations

import contextlib
import json
import stat
from functools import lru_cache
from pathlib import Path
from typing import Any

from twinloop.domain.captions import first_line, lines_of, one_line
from twinloop.domain.vault import Consent
from twinloop.store.atomic import read_json

PERSON = "person.json"
NOTES = ".prep.jsonl"
"""Of a preparation that is going on, or was killed; beside the person.json to be."""
METADATA = "metadata.jsonl"
SUFFIXES = (".txt", ".caption")
LARGEST = 64 << 10
"""Bytes; a longer text file is no caption."""


def caption_beside(photo: Path) -> str | None:
    """The caption that somebody put beside a photo: the first line of ``<name>.txt`` or ``<name>.caption``, or its text
    in ``metadata.jsonl`` on one line.

    An empty file is none. Files that cannot be read are passed over.
    """
    for suffix in SUFFIXES:
        if text := first_line(_read(photo.with_suffix(suffix))):
            return text
    return _metadata(photo.parent).get(photo.name)


def has_more_lines(photo: Path) -> bool:
    """Whether the file of the caption beside a photo has further lines, which are not read."""
    read = (lines_of(_read(photo.with_suffix(suffix))) for suffix in SUFFIXES)
    return len(next(filter(None, read), [])) > 1


def _read(path: Path) -> str:
    try:
        if not path.is_file() or path.stat().st_size > LARGEST:
            return ""
        return path.read_bytes().decode("utf-8-sig", errors="replace")
    except OSError:
        return ""


def _metadata(folder: Path) -> dict[str, str]:
    path = folder / METADATA
    with contextlib.suppress(OSError):
        seen = path.stat()
        if stat.S_ISREG(seen.st_mode):  # reading a FIFO would wait for ever
            return _parsed(path, seen.st_mtime_ns, seen.st_size)
    return {}


@lru_cache(maxsize=8)
def _parsed(path: Path, mtime_ns: int, size: int) -> dict[str, str]:
    """name -> text; ``mtime_ns`` and ``size`` only say which version of the file is meant."""
    found: dict[str, str] = {}
    for line in json_lines(path):
        try:
            data: Any = json.loads(line)
        except (ValueError, RecursionError):  # the latter: brackets in brackets, thousands deep
            continue
        if (
            isinstance(data, dict)
            and isinstance(data.get("file_name"), str)
            and isinstance(data.get("text"), str)
            and data["text"].strip()
        ):
            found[data["file_name"]] = one_line(data["text"])
    return found


def json_lines(path: Path) -> list[str]:
    """The lines of a file of JSON lines.

    Only a line break ends one: other signs that break lines (U+2028, say) may stand in JSON as they are.

    Raises:
        OSError: it cannot be read.
    """
    return path.read_text("utf-8-sig", errors="replace").split("\n")


def consent_of(folder: Path) -> Consent:
    """On what ground the photos of a dataset folder may be used, as its person.json says; else not recorded.

    Errors as in `person_beside`.
    """
    recorded = person_beside(folder).get("consent")
    return Consent.from_json(recorded) if isinstance(recorded, dict) else Consent()


def trigger_of(folder: Path) -> str | None:
    """The words that the captions of a prepared dataset folder begin with, class word included ("ohwx alice woman").

    None where it was not prepared. Errors as in `person_beside`.
    """
    record = person_beside(folder)
    words = record.get("prompt") or record.get("trigger")
    return words if isinstance(words, str) and words.strip() else None


def person_beside(folder: Path) -> dict[str, Any]:
    """The person.json of a dataset folder, or (kohya's folders) of the one above; {} where there is none of ours.

    Raises:
        StateError: there is one that cannot be read: whether it records a consent is not guessed.
    """
    for place in (folder, folder.parent):
        path = place / PERSON
        if path.is_file():
            data = read_json(path)
            if isinstance(data, dict) and isinstance(data.get("consent"), dict):
                return data
    return {}
