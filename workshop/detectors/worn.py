"""Faces of the base model while it wears the LoRA of a person, labelled by eye as whole or ruined: what the loop's
check has to tell apart.

Without them the quality of a face was learned from faults put on renders and from the bare base, and half of what it
passed was ruined.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from twinloop.adapters.detectors import nano_layout as layout
from twinloop.adapters.detectors.nano_crops import cut_square, face_square

Pixels = NDArray[np.uint8]
Edges = tuple[float, float, float, float]

LABELLED = Path(__file__).parent / "labelled"
HELD_OUT = frozenset({7, 103})
"""Seeds of the people whose faces no training sees; 7 is the demo's."""
TILE, COLUMNS = 128, 10
"""Side (px) of a tile of a sheet, and tiles in a row. The face crop is its middle at the network's own size, with room
to move it."""
_GROWN = TILE / layout.FACE_SIZE


@dataclass(frozen=True, eq=False)
class WornFace:
    """One labelled face.

    Attributes:
        tile: (TILE, TILE, 3), the face in its middle. box: of the face, in pixels of the tile.
        person: seed of the person. source: run, round and shot that made the picture.
        lighting, yaw: as the detectors read the whole picture. whole: the label; None when it could not be told.
    """

    tile: Pixels
    box: Edges
    person: int
    source: str
    lighting: str
    yaw: float
    whole: bool | None


def cut_tile(image: Pixels, box: Edges) -> tuple[Pixels, Edges]:
    """The tile around a face of ``image``, and the face's box in it."""
    left, top, side = face_square(*box)
    grown = side * _GROWN
    left, top, scale = left - (grown - side) / 2, top - (grown - side) / 2, TILE / grown
    x0, y0, x1, y1 = ((edge - start) * scale for edge, start in zip(box, (left, top, left, top), strict=True))
    return cut_square(image, left, top, grown, TILE), (x0, y0, x1, y1)


def write_faces(folder: Path, name: str, faces: Sequence[WornFace]) -> None:
    """Write ``<name>.webp``, the tiles, and ``<name>.json``, what is known of each; label them there: 1 whole, 0
    ruined, null untold.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rows = -(-len(faces) // COLUMNS)
    sheet = np.zeros((rows * TILE, COLUMNS * TILE, 3), np.uint8)
    for number, face in enumerate(faces):
        sheet[_place(number)] = face.tile
    partial = folder / f".{name}.webp.partial"
    Image.fromarray(sheet).save(partial, format="WEBP", quality=85, method=6)
    os.replace(partial, folder / f"{name}.webp")
    lines = ",\n".join(json.dumps(_told(face)) for face in faces)
    partial = folder / f".{name}.json.partial"
    partial.write_text(f"[\n{lines}\n]\n")
    os.replace(partial, folder / f"{name}.json")


def read_faces(folder: Path = LABELLED) -> list[WornFace]:
    """All faces of a folder that have a label."""
    found = []
    for path in sorted(folder.glob("*.json")):
        sheet = np.asarray(Image.open(path.with_suffix(".webp")).convert("RGB"))
        for number, told in enumerate(json.loads(path.read_text())):
            if told["whole"] is not None:
                x0, y0, x1, y1 = told["box"]
                known = {key: told[key] for key in ("person", "source", "lighting", "yaw")}
                found.append(WornFace(sheet[_place(number)], (x0, y0, x1, y1), whole=bool(told["whole"]), **known))
    return found


def held_out(faces: Iterable[WornFace]) -> list[WornFace]:
    """Those of people that no training sees."""
    return [face for face in faces if face.person in HELD_OUT]


def for_training(faces: Iterable[WornFace]) -> list[WornFace]:
    """Those of all other people."""
    return [face for face in faces if face.person not in HELD_OUT]


def _place(number: int) -> tuple[slice, slice]:
    top, left = number // COLUMNS * TILE, number % COLUMNS * TILE
    return slice(top, top + TILE), slice(left, left + TILE)


def _told(face: WornFace) -> dict[str, Any]:
    return {
        "person": face.person,
        "source": face.source,
        "lighting": face.lighting,
        "yaw": round(face.yaw),
        "box": [round(edge, 1) for edge in face.box],
        "whole": None if face.whole is None else int(face.whole),
    }
