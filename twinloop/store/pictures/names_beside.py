"""Files beside photos in which photo programs name people: XMP sidecars, and the JSON of Google Takeout."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from twinloop.store.pictures.xmp_packets import LARGEST
from twinloop.system.files import BINARY, NO_WAIT

XMP, JSON = ".xmp", ".json"
SUFFIXES = (XMP, JSON)
_TAKEOUT = ".supplemental-metadata"
_CUT = 46
"""Characters after which Takeout cuts the names of its JSON files, ending left out."""
_NUMBER = re.compile(r"\(\d+\)")


@dataclass(frozen=True)
class Beside:
    """A file beside a photo. ``stamp`` differs after every change of its contents."""

    path: Path
    stamp: str


class Folder:
    """The files of one folder that may name people, by how their names are compared."""

    def __init__(self, folder: Path) -> None:
        self._xmp: dict[str, str] = {}
        self._json: dict[str, str] = {}
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    name = Path(entry.name)
                    if name.suffix.lower() == XMP:
                        self._xmp[name.stem] = entry.name
                    elif name.suffix.lower() == JSON:
                        self._json[name.stem] = entry.name
        except OSError:
            pass
        self._folder = folder

    def beside(self, photo: str) -> Iterator[Beside]:
        """What belongs to the photo of this name: ``photo.jpg.xmp``, ``photo.xmp``, and the JSON of Takeout."""
        for stem in (photo, Path(photo).stem) if self._xmp else ():
            if stem in self._xmp:
                yield from _seen(self._folder / self._xmp[stem])
        if self._json:
            for stem in _takeout_stems(photo):
                if stem in self._json:
                    yield from _seen(self._folder / self._json[stem])
                    return


def _takeout_stems(photo: str) -> Iterator[str]:
    """What the JSON of a photo may be called, without its ending: ``a.jpg``, ``a.jpg.supplemental-metadata`` or less of
    it; the number of ``a(1).jpg`` stands at the end there.
    """
    stem, suffix = Path(photo).stem, Path(photo).suffix
    number = _NUMBER.search(stem[-6:])
    after = number.group() if number is not None and stem.endswith(number.group()) else ""
    plain = f"{stem.removesuffix(after)}{suffix}"
    yield plain + after
    for length in range(len(_TAKEOUT), 0, -1):
        yield plain + _TAKEOUT[:length] + after
    if len(plain) > _CUT:
        yield plain[:_CUT] + after
    if after:
        yield photo


def _seen(path: Path) -> Iterator[Beside]:
    try:
        seen = path.stat()
    except OSError:
        return
    if stat.S_ISREG(seen.st_mode) and seen.st_size <= LARGEST:
        yield Beside(path, f"{seen.st_size} {seen.st_mtime_ns} {seen.st_ctime_ns}")


def contents(path: Path) -> bytes | None:
    """The bytes of such a file; None = it cannot be read now."""
    try:
        handle = os.open(path, os.O_RDONLY | NO_WAIT | BINARY)  # a FIFO that took its place must not block
        with open(handle, "rb", closefd=True) as file:
            return file.read(LARGEST + 1) if stat.S_ISREG(os.fstat(handle).st_mode) else None
    except OSError:
        return None
