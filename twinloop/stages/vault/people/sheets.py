"""Contact sheets: the faces of each person side by side, cut from the thumbnails; quick to look through over a slow
line.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from PIL import Image

from twinloop.errors import StateError
from twinloop.ports import Reporter
from twinloop.stages.vault.opened import OpenVault
from twinloop.stages.vault.people.listing import ListedPerson
from twinloop.store.atomic import write_bytes
from twinloop.store.pictures.images import DECODER_ERRORS
from twinloop.store.vault.faces import FaceEntry

CELL = 96
COLUMNS = 10
MOST = 100
"""Faces on a sheet; of more an even choice, from the most to the least telling."""
_MARK = b"contact sheet of twinloop"
"""Stands in each sheet: a file without it is somebody else's."""
_AROUND = 0.85
"""Half a cell shows so much of the longer side of the face's box."""


def write_sheets(opened: OpenVault, listed: Sequence[ListedPerson], folder: Path, reporter: Reporter) -> list[Path]:
    """Write ``p001.jpg`` or ``p001-alice.jpg`` for each person and ``strangers.jpg`` into ``folder``; returns the
    files.

    Raises:
        StateError: a file in the way is no contact sheet, a photo say; nothing was written.
    """
    _refuse_strangers([_place(item, folder) for item in listed])
    written = []
    for done, item in enumerate(listed, 1):
        sheet = _sheet(opened, item.faces)
        if sheet is not None:
            path = _place(item, folder)
            write_bytes(path, sheet, private=True)
            written.append(path)
        reporter.progress("Drawing sheets", done, len(listed))
    return written


def _place(item: ListedPerson, folder: Path) -> Path:
    return folder / f"{_stem(item)}.jpg"


def _stem(item: ListedPerson) -> str:
    if item.person is None:
        return "strangers"
    return f"{item.person.id}-{item.person.name}" if item.person.name else item.person.id


def _refuse_strangers(paths: Iterable[Path]) -> None:
    for path in paths:
        if os.path.lexists(path) and not _is_sheet(path):
            raise StateError(
                f"{path} was there before and is no contact sheet of this program. Move it away or name another folder"
                " for --sheets; nothing was written."
            )


def _is_sheet(path: Path) -> bool:
    try:
        with Image.open(path) as image:
            return bool(image.info.get("comment") == _MARK)
    except (*DECODER_ERRORS, Image.DecompressionBombError):
        return False


def _sheet(opened: OpenVault, faces: Sequence[FaceEntry]) -> bytes | None:
    chosen = [faces[len(faces) * place // MOST] for place in range(MOST)] if len(faces) > MOST else faces
    cells = [cell for face in chosen if (cell := _cell(opened, face)) is not None]
    if not cells:
        return None
    rows = -(-len(cells) // COLUMNS)
    sheet = Image.new("RGB", (CELL * min(len(cells), COLUMNS), CELL * rows), (32, 32, 32))
    for place, cell in enumerate(cells):
        sheet.paste(cell, (place % COLUMNS * CELL, place // COLUMNS * CELL))
    buffer = io.BytesIO()
    sheet.save(buffer, "JPEG", quality=85, comment=_MARK)
    return buffer.getvalue()


def _cell(opened: OpenVault, face: FaceEntry) -> Image.Image | None:
    data = opened.catalog.thumbnail(face.key.sha256)
    if not data:
        return None
    with Image.open(io.BytesIO(data)) as image:
        thumbnail = image.convert("RGB")
    scale = thumbnail.width / face.width
    x, y = (value * scale for value in face.box.center)
    half = max(face.box.width, face.box.height) * scale * _AROUND
    square = thumbnail.crop((round(x - half), round(y - half), round(x + half), round(y + half)))
    return square.resize((CELL, CELL), Image.Resampling.BICUBIC) if square.width and square.height else None
