"""States of one drawn character, as visual novels and PNGtubers have them: one pose, other mouths and eyes."""

from __future__ import annotations

from itertools import product

from PIL import Image, ImageDraw

from twinloop.domain.faces import Box

SIDE = 512
FACE = Box(176, 90, 336, 280)
MOUTHS = ("line", "open", "smile", "laugh", "teeth")
SPRITES = tuple(product(MOUTHS, (False, True)))
"""(mouth, eyes closed) of all ten."""


def sprite(mouth: str, closed: bool) -> Image.Image:
    image = Image.new("RGB", (SIDE, SIDE), "white")
    draw = ImageDraw.Draw(image)
    middle = (FACE.x0 + FACE.x1) / 2
    draw.rectangle((middle - 130, FACE.y1 + 20, middle + 130, SIDE), fill=(60, 70, 140))
    draw.ellipse((FACE.x0 - 45, FACE.y0 - 65, FACE.x1 + 45, FACE.y1 + 70), fill=(70, 50, 110))
    draw.ellipse((FACE.x0, FACE.y0 - 10, FACE.x1, FACE.y1), fill=(250, 220, 200), outline=(90, 60, 60), width=2)
    points = [(-5, 45), (30, -30), (60, 55), (80, -20), (110, 60), (145, -25), (165, 50), (160, -45), (0, -45)]
    draw.polygon([(FACE.x0 + x, FACE.y0 + y) for x, y in points], fill=(80, 60, 125))
    for side in (-1, 1):
        _eye(draw, middle + side * 0.22 * FACE.width, FACE.y0 + 0.52 * FACE.height, closed)
    _mouth(draw, middle, FACE.y0 + 0.83 * FACE.height, mouth)
    return image


def _eye(draw: ImageDraw.ImageDraw, x: float, y: float, closed: bool) -> None:
    if closed:
        draw.arc((x - 17, y - 8, x + 17, y + 17), 20, 160, fill=(50, 30, 40), width=4)
        return
    draw.ellipse((x - 17, y - 19, x + 17, y + 19), fill="white", outline=(50, 30, 40), width=3)
    draw.ellipse((x - 11, y - 16, x + 11, y + 17), fill=(60, 120, 190))
    draw.ellipse((x - 5, y - 8, x + 5, y + 8), fill=(20, 20, 50))


def _mouth(draw: ImageDraw.ImageDraw, x: float, y: float, mouth: str) -> None:
    dark, red = (110, 30, 40), (170, 50, 60)
    if mouth == "line":
        draw.line((x - 14, y, x + 14, y), fill=dark, width=4)
    elif mouth == "open":
        draw.ellipse((x - 15, y - 9, x + 15, y + 17), fill=red, outline=dark, width=3)
    elif mouth == "smile":
        draw.arc((x - 24, y - 22, x + 24, y + 8), 20, 160, fill=dark, width=4)
    elif mouth == "laugh":
        draw.pieslice((x - 28, y - 26, x + 28, y + 20), 0, 180, fill=red, outline=dark, width=3)
    else:
        draw.rectangle((x - 18, y - 6, x + 18, y + 8), fill="white", outline=dark, width=3)
