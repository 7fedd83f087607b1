"""The README's picture of a run, from the run's own files.

.venv/bin/python tools/readme_pictures.py outputs/demo/bootstrap docs/images/demo.jpg
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont, ImageOps

SIDE, COLUMNS, LABEL = 128, 10, 26


def rows_of(run: Path) -> list[tuple[str, list[Path]]]:
    """Labelled rows: photos, then what each round approved, then the same panel shots by the first and the best later
    LoRA.
    """
    history = json.loads((run / "iteration_history.json").read_text())
    photos = json.loads((run / "dataset_iter0.json").read_text())["members"]
    rows = [(f"{len(photos)} photos of the person", [Path(photo["path"]) for photo in photos])]
    for entry in history["iterations"]:
        number = entry["iteration"]
        label = (
            f"round {number}: {entry['gap_count']} gaps, {entry['approved']} of {entry['generated']} images approved"
        )
        rows.append((label, sorted((run / f"approved_iter{number}").glob("*.png"))))
    best, last = history["best_version"], history["iterations"][-1]["lora_version"]
    for version in dict.fromkeys([1, best if best > 1 else last]):
        rows.append((f"panel, LoRA v{version}", sorted((run / f"panel_v{version}").glob("*.png"))))
    return rows


def spread(items: Sequence[Any], count: int) -> list[Any]:
    """``count`` items, evenly from the whole list."""
    return list(items) if len(items) <= count else [items[i * len(items) // count] for i in range(count)]


def picture(run: Path) -> Image.Image:
    """All rows under each other."""
    rows = rows_of(run)
    sheet = Image.new("RGB", (SIDE * COLUMNS, (SIDE + LABEL) * len(rows)), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(15)
    for number, (label, paths) in enumerate(rows):
        top = number * (SIDE + LABEL)
        draw.text((4, top + 4), label, fill="black", font=font)
        for column, path in enumerate(spread(paths, COLUMNS)):
            with Image.open(path) as image:
                square = ImageOps.fit(ImageOps.exif_transpose(image).convert("RGB"), (SIDE, SIDE))
            sheet.paste(square, (column * SIDE, top + LABEL))
    return sheet


if __name__ == "__main__":
    picture(Path(sys.argv[1])).save(sys.argv[2], quality=85)
