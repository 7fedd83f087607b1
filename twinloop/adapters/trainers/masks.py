"""Where an error counts how much: more inside of the subject's face than outside of it."""

from __future__ import annotations

import torch
from torch import Tensor

from twinloop.adapters.diffusion.framing import Framing
from twinloop.domain.faces import Box

MARGIN = 0.25
"""Share of the box's size that is added on each side: detectors' boxes end at the brow and at the chin."""


def face_mask(face: Box | None, framing: Framing, shape: tuple[int, int], weight: float) -> Tensor:
    """(1, h, w) weights of the squared error, with a mean of 1 so that the rate keeps its meaning.

    A cell counts ``weight`` times as much as one outside of the face, in between as far as the face covers it.

    Args:
        face: in pixels of the photo; None = all cells count the same. shape: (h, w) of the latents.
    """
    flat = torch.ones(1, *shape)
    if face is None or weight == 1.0:
        return flat
    wide, tall = face.width * MARGIN, face.height * MARGIN
    factor_x, factor_y = framing.scaled[0] / framing.original[0], framing.scaled[1] / framing.original[1]
    across = _covered(
        (face.x0 - wide) * factor_x - framing.left, (face.x1 + wide) * factor_x - framing.left, framing.width, shape[1]
    )
    down = _covered(
        (face.y0 - tall) * factor_y - framing.top, (face.y1 + tall) * factor_y - framing.top, framing.height, shape[0]
    )
    mask = flat + (weight - 1) * down[None, :, None] * across[None, None, :]
    return mask / mask.mean()


def _covered(start: float, stop: float, length: int, cells: int) -> Tensor:
    """(cells,) share of each cell along an axis of ``length`` pixels that lies between ``start`` and ``stop``."""
    edges = torch.linspace(0, length, cells + 1, dtype=torch.float64)
    inside = torch.minimum(edges[1:], torch.tensor(stop)) - torch.maximum(edges[:-1], torch.tensor(start))
    return (inside.clamp(min=0) * cells / length).float()
