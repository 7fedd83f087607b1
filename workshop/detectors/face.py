"""The face-crop network: its training crops, what it should say of them, and its loss."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from twinloop.adapters.detectors import nano_layout as layout
from twinloop.adapters.detectors.nano_crops import cut_square, face_square
from workshop.detectors.augment import Pixels, photographed
from workshop.detectors.damage import damaged
from workshop.detectors.nets import FaceNet
from workshop.detectors.pool import RUINED, Labelled, Pool, Shown, flipped

_WHOLE = 0.35
"""Fault up to which a decoded face counts as a whole one."""
_EXPOSURE = (-0.5, 0.3)
"""Range of the logarithm that labelled faces are made brighter or darker by."""


@dataclass(frozen=True, eq=False)
class Sample:
    """A crop, the numbers to read from it, and 1 or 0 for each whether it counts."""

    crop: Pixels
    values: NDArray[np.float32]
    counts: NDArray[np.float32]
    expression: int


def _square(box: Sequence[float], rng: np.random.Generator) -> tuple[float, float, float]:
    x0, y0, x1, y1 = box
    wide, high = x1 - x0, y1 - y0
    left, top, side = face_square(x0, y0, x1, y1)
    grown = side * float(np.exp(rng.normal(0, 0.06)))
    dx, dy = rng.normal(0, 0.045 * wide), rng.normal(0, 0.045 * high)
    return left + dx + (side - grown) / 2, top + dy + (side - grown) / 2, grown


def _draw(pool: Pool, rng: np.random.Generator, ruined: bool) -> Shown:
    found = pool.draw_ruined(rng) if ruined else None
    shown = found or pool.draw(rng)
    return flipped(shown) if rng.random() < 0.5 else shown


def sample(pool: Pool, rng: np.random.Generator) -> Sample:
    """One crop: a labelled face, or a picture with a truth; four in ten of these are damaged, and then tell quality,
    place and pose only.
    """
    labelled = pool.draw_labelled(rng) if rng.random() < pool.judged else None
    if labelled is not None:
        return _judged(labelled, rng)
    chance = rng.random()
    shown = _draw(pool, rng, ruined=chance < 0.12)
    truth, (left, top, side) = shown.truth, _square(shown.truth["face_box"], rng)
    crop = cut_square(shown.image, left, top, side, layout.FACE_SIZE)
    marks = (np.array(truth["landmarks"], np.float32) - (left, top)) / side
    bad = shown.fault >= RUINED
    if not bad and chance < 0.41:
        other = _draw(pool, rng, ruined=False)
        second = cut_square(other.image, *_square(other.truth["face_box"], rng), layout.FACE_SIZE)
        visible = (marks * layout.FACE_SIZE)[np.array(truth["landmarks_visible"])]
        crop, bad = damaged(crop, visible.astype(np.float32), second, rng), True
    values, counts = _values(truth, left, top, side, marks, bad)
    if not bad and (truth["scene"]["blur"] > 0.8 or shown.fault > _WHOLE):
        counts[layout.QUALITY] = 0
    told = -1 if bad or not _mouth_seen(truth) else layout.EXPRESSIONS.index(truth["scene"]["expression"])
    return Sample(photographed(crop, rng, 1.0 if bad else 0.8), values, counts, told)


def _judged(labelled: Labelled, rng: np.random.Generator) -> Sample:
    crop = cut_square(labelled.image, *_square(labelled.box, rng), layout.FACE_SIZE)
    crop = crop if rng.random() < 0.5 else np.ascontiguousarray(crop[:, ::-1])
    # labelled people are few: other exposures stand for other skins and lights
    crop = (crop * np.exp(rng.uniform(*_EXPOSURE))).clip(0, 255).astype(np.uint8)
    values, counts = (np.zeros(layout.FACE_VALUES, np.float32) for _ in range(2))
    values[layout.QUALITY], counts[layout.QUALITY] = float(labelled.whole), 1.0
    return Sample(photographed(crop, rng, 0.5), values, counts, -1)


def _mouth_seen(truth: dict[str, Any]) -> bool:
    return any(truth["landmarks_visible"][3:])


def _values(
    truth: dict[str, Any], left: float, top: float, side: float, marks: NDArray[np.float32], bad: bool
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    values, counts = (np.zeros(layout.FACE_VALUES, np.float32) for _ in range(2))
    corner = np.array([left, top, left, top], np.float32)
    values[layout.BOX] = (np.array(truth["face_box"], np.float32) - corner) / side - 0.5
    values[layout.MARKS] = marks.ravel() - 0.5
    values[layout.ANGLES] = np.array([truth["yaw"], truth["pitch"], truth["roll"]]) / layout.DEGREES
    values[layout.EYES] = float(truth["scene"]["eyes_open"] and any(truth["landmarks_visible"][:2]))
    values[layout.QUALITY] = float(not bad)
    counts[: layout.ANGLES.stop] = 0.3 if bad else 1.0
    counts[layout.EYES], counts[layout.QUALITY] = float(not bad), 1.0
    return values, counts


def loss_of(net: FaceNet, pool: Pool, rng: np.random.Generator, count: int) -> tuple[Tensor, dict[str, float]]:
    """Loss of one fresh batch, and its parts."""
    drawn = [sample(pool, rng) for _ in range(count)]
    crops = torch.from_numpy(np.stack([s.crop for s in drawn])).permute(0, 3, 1, 2).float()
    wanted, counts = (torch.from_numpy(np.stack([getattr(s, name) for s in drawn])) for name in ("values", "counts"))
    with torch.autocast("cpu", torch.bfloat16):
        made = net(crops.contiguous(memory_format=torch.channels_last))
    made = made.float()
    gap = F.smooth_l1_loss(made, wanted, beta=0.02, reduction="none") * counts
    parts = {
        "box": 6 * gap[:, layout.BOX].mean(),
        "marks": 4 * gap[:, layout.MARKS].mean(),
        "angles": 3 * gap[:, layout.ANGLES].mean(),
    }
    for name, place in (("eyes", layout.EYES), ("quality", layout.QUALITY)):
        each = F.binary_cross_entropy_with_logits(made[:, place], wanted[:, place] * 0.98 + 0.01, reduction="none")
        parts[name] = (each * counts[:, place]).sum() / counts[:, place].sum().clamp(min=1)
    told = torch.tensor([s.expression for s in drawn])
    parts["expression"] = F.cross_entropy(made[:, layout.EXPRESSION], told, ignore_index=-1, label_smoothing=0.03)
    figures = {name: float(value.detach()) for name, value in parts.items()}
    with torch.no_grad():
        sure = counts[:, 0] == 1
        yaw = layout.DEGREES * float((made - wanted)[sure, layout.ANGLES.start].abs().mean())
        right = float((made[:, layout.EXPRESSION].argmax(1) == told)[told >= 0].float().mean())
    return torch.stack(list(parts.values())).sum(), {**figures, "yaw_degrees": yaw, "expression_right": right}
