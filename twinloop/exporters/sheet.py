"""A sheet: pictures side by side on a neutral ground, each with its label; an empty cell says what is missing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont

GROUND = (122, 122, 122)
CELL = (148, 148, 148)
EMPTY = (134, 134, 134)
INK = (255, 255, 255)
QUIET = (228, 228, 228)
LINE = (176, 176, 176)
MARK = (255, 214, 120)
"""Of what is synthetic. All greys are neutral: a ground with a tint of its own misleads an artist's eye."""
MOST_IN_A_ROW = 5

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


@dataclass(frozen=True, eq=False)
class Cell:
    """One place of a sheet.

    ``picture`` is None where there is none; ``lines`` stand small under the label, or in the empty cell.
    """

    label: str
    lines: tuple[str, ...]
    picture: Image.Image | None
    synthetic: bool = False


def draw_sheet(title: str, footer: str, cells: Sequence[Cell], side: int) -> Image.Image:
    """An RGB sheet with cells of ``side`` pixels; more than five go into rows of equal length."""
    rows = -(-len(cells) // MOST_IN_A_ROW)
    columns = -(-len(cells) // rows)
    gap, head, foot = side // 16, side // 6, side // 9
    strip = side // 6
    width = columns * side + (columns + 1) * gap
    sheet = Image.new("RGB", (width, head + rows * (side + strip + gap) + foot), GROUND)
    pen = ImageDraw.Draw(sheet)
    _text(pen, (gap, head // 2), title, side // 13, INK, width - 2 * gap)
    for number, cell in enumerate(cells):
        row, column = divmod(number, columns)
        _draw_cell(sheet, pen, cell, (gap + column * (side + gap), head + row * (side + strip + gap)), side)
    _text(pen, (gap, sheet.height - foot // 2), footer, side // 22, QUIET, width - 2 * gap)
    return sheet


def _draw_cell(sheet: Image.Image, pen: ImageDraw.ImageDraw, cell: Cell, place: tuple[int, int], side: int) -> None:
    x, y = place
    pen.rectangle((x, y, x + side - 1, y + side - 1), fill=EMPTY if cell.picture is None else CELL)
    below = cell.lines
    if cell.picture is None:
        pen.rectangle((x, y, x + side - 1, y + side - 1), outline=LINE, width=max(2, side // 160))
        _block(pen, (x, y), ("No picture", *cell.lines), side)
        below = ()
    else:
        picture = (
            cell.picture.resize((side, side), Image.Resampling.LANCZOS) if cell.picture.width != side else cell.picture
        )
        sheet.paste(picture, place, picture if picture.mode == "RGBA" else None)
    _text(pen, (x, y + side + side // 18), cell.label, side // 14, INK, side)
    if cell.synthetic:
        font = _font(side // 20)
        pen.text((x + side, y + side + side // 18), "SYNTHETIC", font=font, fill=MARK, anchor="rm")
    for number, line in enumerate(below):
        _text(pen, (x, y + side + side // 8 + number * side // 18), line, side // 24, QUIET, side)


def _block(pen: ImageDraw.ImageDraw, place: tuple[int, int], lines: Sequence[str], side: int) -> None:
    """Lines in the middle of an empty cell, broken where they are too long."""
    font = _font(side // 20)
    broken = [part for line in lines for part in _broken(pen, line, font, round(side * 0.84))]
    step = side // 14
    top = place[1] + side // 2 - step * (len(broken) - 1) // 2
    for number, line in enumerate(broken):
        pen.text(
            (place[0] + side // 2, top + number * step),
            line,
            font=font,
            fill=INK if number == 0 else QUIET,
            anchor="mm",
        )


def _broken(pen: ImageDraw.ImageDraw, text: str, font: Font, width: int) -> list[str]:
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and pen.textlength(longer, font=font) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines


def _text(
    pen: ImageDraw.ImageDraw, place: tuple[int, int], text: str, size: int, ink: tuple[int, int, int], width: int
) -> None:
    """One line, vertically centred on ``place``; smaller where it would not fit."""
    while size > 8 and pen.textlength(text, font=_font(size)) > width:
        size -= 1
    pen.text(place, text, font=_font(size), fill=ink, anchor="lm")


def _font(size: int) -> Font:
    """Pillow's own font, so that a sheet looks the same everywhere."""
    return ImageFont.load_default(max(size, 8))
