"""Where an error counts how much: more inside of the subject's face than outside of it, and as a sample's mask says."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from twinloop.adapters.diffusion.framing import Framing
from twinloop.domain.faces import Box
from twinloop.domain.records import Mask
from twinloop.store.pictures.masks import grey_of

MARGIN = 0.25
"""Share of the box's size that is added on each side: detectors' boxes end at the brow and at the chin."""


def face_mask(face: Box | None, framing: Framing, shape: tuple[int, int], weight: float) -> Tensor:
    """(1, h, w) weights of the error, with a mean of 1 so that the rate keeps its meaning.

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


def mask_cells(mask: Mask, framing: Framing, shape: tuple[int, int]) -> Tensor:
    """(1, h, w) mean of a mask over each latent cell, 0 where it is black and 1 where it is white.

    Args:
        framing: of the photo, whose size the mask need not have. shape: (h, w) of the latents.

    Raises:
        StateError: the mask was changed since the run began.
    """
    grey = grey_of(mask)
    height, width = grey.shape
    down = _overlaps(framing.top, framing.height, height / framing.scaled[1], height, shape[0])
    across = _overlaps(framing.left, framing.width, width / framing.scaled[0], width, shape[1])
    cells = down @ grey.astype(np.float32) @ across.T / 255
    return torch.from_numpy(cells.clip(0, 1))[None]


def _overlaps(start: int, length: int, factor: float, pixels: int, cells: int) -> npt.NDArray[np.float32]:
    """(cells, pixels) which share of a cell each of a mask's pixels takes, along one axis.

    Args:
        start, length: of what is cut out of the scaled photo. factor: pixels of the mask per pixel of that.
    """
    edges = (start + np.linspace(0, length, cells + 1)) * factor
    places = np.arange(pixels)
    inside = np.minimum(edges[1:, None], places + 1) - np.maximum(edges[:-1, None], places)
    return (inside.clip(min=0) / np.diff(edges)[:, None]).astype(np.float32)


def combined(face: Tensor, learned: Tensor | None, floor: float) -> Tensor:
    """Weights by the face and by the mask in one, again with a mean of 1.

    A picture whose part that is trained is black all over teaches nothing.

    Args:
        face: as `face_mask` gives it. learned: as `mask_cells` does; None = all of the picture. floor: of black cells.
    """
    if learned is None:
        return face
    weights = face * (floor + (1 - floor) * learned)
    mean = weights.mean()
    return weights / mean if float(mean) > 0 else weights


def _covered(start: float, stop: float, length: int, cells: int) -> Tensor:
    """(cells,) share of each cell along an axis of ``length`` pixels that lies between ``start`` and ``stop``."""
    edges = torch.linspace(0, length, cells + 1, dtype=torch.float64)
    inside = torch.minimum(edges[1:], torch.tensor(stop)) - torch.maximum(edges[:-1], torch.tensor(start))
    return (inside.clamp(min=0) * cells / length).float()
