"""Real photos in the form in which pipelines start from them or look at them."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from twinloop.adapters.diffusion.framing import cover
from twinloop.adapters.diffusion.prompts import Shown
from twinloop.domain.faces import Box
from twinloop.domain.shots import Shot
from twinloop.families.base import Editing
from twinloop.ports import GenerationSettings
from twinloop.store.pictures.images import load_image

LEAST_SIDE = 64
"""Pixels; Flux.2 refuses smaller photos."""
LONGEST = 4
"""Long side over short side; Flux.2 refuses 8, and the ends of such a photo show nobody."""


def start_photo(shot: Shot, settings: GenerationSettings) -> Image.Image:
    """The photo that a shot starts from, scaled and cropped to the size to be made: the middle, and the face in it.

    Raises:
        UnreadableImage.
    """
    image = load_image(Path(shot.source or "")).pixels
    framing = cover(image.shape[1], image.shape[0], settings.width, settings.height, shot.face_in(0))
    return Image.fromarray(framing.apply(image))


def shown_photos(shot: Shot, editing: Editing, at_once: int, settings: GenerationSettings) -> list[Shown]:
    """What an editing pipeline looks at for a shot: its own photo, then others of the person, ``at_once`` at most.

    Raises:
        UnreadableImage.
    """
    named = [shot.source or "", *shot.references][: min(at_once, max(1, settings.references))]
    return [_shown(Path(path), shot.face_in(number), editing, settings) for number, path in enumerate(named)]


def _shown(path: Path, face: Box | None, editing: Editing, settings: GenerationSettings) -> Shown:
    image = load_image(path)
    height, width = image.pixels.shape[:2]
    wide, tall = _allowed(width, height) if editing.scales else (settings.width, settings.height)
    framing = cover(width, height, wide, tall, face)
    moved = f" at {framing.left},{framing.top}" if framing != cover(width, height, wide, tall) else ""
    return Shown(f"{image.sha256} {wide}x{tall}{moved}", Image.fromarray(framing.apply(image.pixels)))


def _allowed(width: int, height: int) -> tuple[int, int]:
    """A photo's own size, unless it is tiny or a strip."""
    short = min(width, height)
    scale = max(1.0, LEAST_SIDE / short)
    longest = LONGEST * short
    return round(min(width, longest) * scale), round(min(height, longest) * scale)
