"""grid.jpg: the pictures of a comparison in one, rows are prompts, columns LoRAs and strengths, everything labelled."""

from __future__ import annotations

import functools
import io
import math
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from twinloop.domain.comparison import LIKENESS, Comparison, Drawn, Row
from twinloop.errors import UnreadableImage
from twinloop.store.atomic import write_bytes
from twinloop.store.pictures.images import load_image
from twinloop.store.pictures.provenance import synthetic_xmp

GROUND, CELL, LINE = (255, 255, 255), (236, 238, 239), (204, 208, 212)
INK, QUIET, BEST = (28, 33, 38), (89, 98, 108), (0, 103, 165)
SMALLEST, LARGEST = 160, 384
"""Pixels of a cell's side: as the pictures are, within these, and smaller where the whole grid would be too large."""
LEAST = 48
MOST, AREA = 16_000, 80_000_000
"""Pixels of the grid's longer side, and of all of it, that programs still open without complaint."""
ROWS = 1_000
"""Rows at most: a JPEG file ends at 65 535 pixels. The page has all."""
_QUALITY = 90
_UNKNOWN, _DASHES = "?", {"\u2013": "-", "\u2014": "-", "\u2212": "-"}

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


@dataclass(frozen=True)
class Layout:
    """Where things lie, in pixels. ``cell``: side of a picture's place; ``side``: width of the labels on the left."""

    cell: int
    gap: int
    side: int
    head: int
    text: int

    def left(self, column: int) -> int:
        return self.side + column * (self.cell + self.gap)

    def top(self, row: int) -> int:
        return self.head + row * (self.cell + self.gap)


def write_grid(comparison: Comparison, folder: Path, output: Path) -> None:
    """Write the grid of a comparison whose images lie under ``folder``.

    Raises:
        StorageError: it cannot be written.
    """
    buffer = io.BytesIO()
    draw_grid(comparison, folder).save(buffer, "JPEG", quality=_QUALITY, subsampling=0, xmp=synthetic_xmp())
    write_bytes(output, buffer.getvalue())


def draw_grid(comparison: Comparison, folder: Path) -> Image.Image:
    """The grid as an RGB picture."""
    rows, columns = comparison.rows[:ROWS], comparison.columns
    place = layout(rows, len(columns))
    grid = Image.new("RGB", (place.left(len(columns)), place.top(len(rows))), GROUND)
    pen = ImageDraw.Draw(grid)
    _heads(pen, comparison, place)
    for number, row in enumerate(rows):
        lines = row_label(row, number, place)
        for line, text in enumerate(lines):
            ink = QUIET if line == len(lines) - 1 else INK
            pen.text((place.gap, place.top(number) + line * _step(place)), text, font=_font(place.text), fill=ink)
        for index, drawn in enumerate(columns):
            _picture(grid, pen, folder / drawn.images[number][0], (place.left(index), place.top(number)), place.cell)
    return grid


def layout(rows: Sequence[Row], columns: int) -> Layout:
    """Cells as large as the pictures, within limits, and smaller where the whole would be too large."""
    wanted = max((max(row.width, row.height) for row in rows), default=SMALLEST)
    high, wide = max(1, len(rows)), columns + 1
    room = min(MOST / high, MOST / wide, math.sqrt(AREA / (high * wide))) / 1.04
    cell = int(max(LEAST, min(max(SMALLEST, min(LARGEST, wanted)), room)))
    text = max(10, cell // 17)
    return Layout(cell, max(4, cell // 32), max(cell, 15 * text), 5 * text, text)


def row_label(row: Row, number: int, place: Layout) -> list[str]:
    """Number and prompt in lines that fit, cut where the row is not high enough; the seed last."""
    width, most = place.side - 2 * place.gap, max(1, place.cell // _step(place) - 1)
    lines = _broken(f"{number + 1}. {known(row.shot.prompt)}", place.text, width)
    if len(lines) > most:
        lines = [*lines[: most - 1], f"{lines[most - 1]}…"]
    return [*lines, f"seed {row.shot.seed}"]


def known(text: str) -> str:
    """Text in the signs that Pillow's own font has: letters without their accents, ``?`` for what is in no such way
    legible.
    """
    return "".join(_sign(sign) for sign in " ".join(text.split()))


def _sign(sign: str) -> str:
    plain = _DASHES.get(sign) or unicodedata.normalize("NFKD", sign)[0]
    return sign if _is_drawn(sign) else plain if _is_drawn(plain) else _UNKNOWN


@functools.cache
def _is_drawn(sign: str) -> bool:
    font = _font(16)
    return sign.isspace() or bytes(font.getmask(sign)) != bytes(font.getmask("\uffff"))


def _heads(pen: ImageDraw.ImageDraw, comparison: Comparison, place: Layout) -> None:
    """The name of each LoRA over its columns; under it strength and likeness, the best of each in another colour."""
    best = {(best.name, best.strength) for best in comparison.best}
    index, step = 0, _step(place)
    for name, group in groupby(comparison.columns, key=lambda drawn: drawn.column.name):
        columns = list(group)
        left, right = place.left(index), place.left(index + len(columns)) - place.gap
        pen.text((left, place.gap), _fitted(known(name) or "without LoRA", place.text, right - left),
                 font=_font(place.text), fill=INK)  # fmt: skip
        pen.line((left, place.gap + step, right - 1, place.gap + step), fill=LINE)
        for drawn in columns:
            ink = BEST if (name, drawn.column.strength) in best else QUIET
            for line, text in enumerate(_column_lines(drawn, ink == BEST), 1):
                where = (place.left(index), place.gap + line * step + step // 4)
                pen.text(where, _fitted(text, place.text, place.cell), font=_font(place.text), fill=ink)
            index += 1


def _column_lines(drawn: Drawn, best: bool) -> list[str]:
    likeness = drawn.metrics.get(LIKENESS)
    lines = [f"strength {drawn.column.strength:g}{' (most like)' if best else ''}" if drawn.column.name else ""]
    return [*lines, *([f"likeness {likeness.value:.2f}"] if likeness is not None else [])]


def _picture(grid: Image.Image, pen: ImageDraw.ImageDraw, path: Path, at: tuple[int, int], cell: int) -> None:
    """One picture in the middle of its cell, enlarged or made smaller to fill it."""
    x, y = at
    pen.rectangle((x, y, x + cell - 1, y + cell - 1), fill=CELL)
    try:
        picture = Image.fromarray(load_image(path).pixels)
    except UnreadableImage:
        pen.text((x + cell // 2, y + cell // 2), "not available", font=_font(12), fill=QUIET, anchor="mm")
        return
    scale = cell / max(picture.size)
    size = tuple(max(1, round(side * scale)) for side in picture.size)
    resized = picture.resize((size[0], size[1]), Image.Resampling.LANCZOS)
    grid.paste(resized, (x + (cell - size[0]) // 2, y + (cell - size[1]) // 2))


def _broken(text: str, size: int, width: int) -> list[str]:
    """Lines of at most so many pixels, broken between words, and in a word that is longer than a line."""
    font, lines = _font(size), [""]
    for word in text.split(" "):
        longer = f"{lines[-1]} {word}" if lines[-1] else word
        if font.getlength(longer) <= width:
            lines[-1] = longer
            continue
        if lines[-1]:
            lines.append("")
        for sign in word:
            if lines[-1] and font.getlength(lines[-1] + sign) > width:
                lines.append("")
            lines[-1] += sign
    return lines


def _fitted(text: str, size: int, width: int) -> str:
    """As much of a text as fits, with a mark where it was cut."""
    font = _font(size)
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(f"{text}…") > width:
        text = text[:-1]
    return f"{text}…"


def _step(place: Layout) -> int:
    """From line to line."""
    return place.text * 5 // 4


@functools.cache
def _font(size: int) -> Font:
    """Pillow's own font, so that a grid looks the same everywhere."""
    return ImageFont.load_default(size)
