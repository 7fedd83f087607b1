"""The whole-picture network: its training pictures, what it should say of them, and its loss."""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from twinloop.adapters.detectors import nano_layout as layout
from workshop.detectors.augment import photographed
from workshop.detectors.nets import WholeNet
from workshop.detectors.pool import Pixels, Pool, Shown, flipped

_FILL = 114
_NOT_TOLD = -1


@dataclass
class Canvas:
    """A picture of 128 px under construction, with what can be seen in it so far."""

    image: Pixels = field(default_factory=lambda: np.full((layout.WHOLE_SIZE, layout.WHOLE_SIZE, 3), _FILL, np.uint8))
    faces: list[tuple[NDArray[np.float32], NDArray[np.float32]]] = field(default_factory=list)
    hands: list[NDArray[np.float32]] = field(default_factory=list)
    unsure: list[NDArray[np.float32]] = field(default_factory=list)
    setting: int = _NOT_TOLD
    lighting: int = _NOT_TOLD


@dataclass(frozen=True)
class Tile:
    """Columns ``left`` to ``right`` of the canvas."""

    left: int
    right: int


def _place(canvas: Canvas, shown: Shown, tile: Tile, scale: float, dx: float, dy: float) -> None:
    """Draw a picture at ``scale`` with its corner at (dx, dy), inside the tile only."""
    source, side = shown.image, layout.WHOLE_SIZE
    size = max(8, round(source.shape[0] * scale))
    small = cv2.resize(source, (size, size), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    x0, y0 = max(tile.left, round(dx)), max(0, round(dy))
    x1, y1 = min(tile.right, round(dx) + size), min(side, round(dy) + size)
    if x1 <= x0 or y1 <= y0:
        return
    canvas.image[y0:y1, x0:x1] = small[y0 - round(dy) : y1 - round(dy), x0 - round(dx) : x1 - round(dx)]
    window, shift = np.array([x0, y0, x1, y1], np.float32), np.array([round(dx), round(dy)], np.float32)
    factor = size / source.shape[0]
    face = np.array(shown.truth["face_box"], np.float32) * factor + np.tile(shift, 2)
    _add(canvas, window, face, np.array(shown.truth["landmarks"], np.float32) * factor + shift)
    for box in shown.truth["hand_boxes"]:
        _add(canvas, window, np.array(box, np.float32) * factor + np.tile(shift, 2), None)


def _add(
    canvas: Canvas, window: NDArray[np.float32], box: NDArray[np.float32], marks: NDArray[np.float32] | None
) -> None:
    inside = np.concatenate([np.maximum(box[:2], window[:2]), np.minimum(box[2:], window[2:])])
    area, seen = float(np.prod(box[2:] - box[:2])), float(np.prod(np.maximum(inside[2:] - inside[:2], 0)))
    if seen < 0.1 * area:
        return
    if seen < 0.55 * area or min(inside[2:] - inside[:2]) < 6:
        canvas.unsure.append(inside)
    elif marks is not None:
        canvas.faces.append((inside, marks))
    else:
        canvas.hands.append(inside)


def canvas_of(pool: Pool, rng: np.random.Generator) -> Canvas:
    """One training picture: mostly one person, sometimes two side by side, sometimes nobody's face."""
    canvas, chance = Canvas(), rng.random()
    if chance < 0.14:
        split = int(rng.integers(48, 81))
        for tile in (Tile(0, split), Tile(split, layout.WHOLE_SIZE)):
            shown = _draw(pool, rng)
            scale = float(rng.uniform(0.3, 0.55))
            middle, width = _middle(shown) * scale, tile.right - tile.left
            top = float(rng.uniform(-20, 10)) if 256 * scale > 110 else float(rng.uniform(0, 128 - 256 * scale))
            _place(canvas, shown, tile, scale, tile.left + width / 2 - middle + float(rng.normal(0, 6)), top)
    else:
        shown = _draw(pool, rng)
        canvas.setting = layout.SETTINGS.index(shown.truth["scene"]["setting"])
        canvas.lighting = layout.LIGHTINGS.index(shown.truth["scene"]["lighting"])
        _single(canvas, shown, chance > 0.96, rng)
    canvas.image = photographed(canvas.image, rng)
    return canvas


def _draw(pool: Pool, rng: np.random.Generator) -> Shown:
    shown = pool.draw(rng)
    return flipped(shown) if rng.random() < 0.5 else shown


def _middle(shown: Shown) -> float:
    box = shown.truth["face_box"]
    return float(box[0] + box[2]) / 2


def _single(canvas: Canvas, shown: Shown, headless: bool, rng: np.random.Generator) -> None:
    whole = Tile(0, layout.WHOLE_SIZE)
    if headless:  # a body without a head, or only what is behind it
        scale = float(rng.uniform(0.6, 1.1))
        below = shown.truth["face_box"][3] * scale
        _place(canvas, shown, whole, scale, float(rng.uniform(128 - 256 * scale, 0)), -below - float(rng.uniform(2, 8)))
        return
    if rng.random() < 0.35:  # as the product sees a square picture
        _place(canvas, shown, whole, 0.5, 0.0, 0.0)
        return
    scale = float(rng.uniform(0.36, 0.66))
    size = 256 * scale
    free = 128 - size
    dx, dy = (float(rng.uniform(min(0.0, free), max(0.0, free))) for _ in range(2))
    _place(canvas, shown, whole, scale, dx, dy)


@dataclass(frozen=True)
class Wanted:
    """Targets of one batch; ``grid`` has the layout of the network's, ``weight`` (n, 2, GRID, GRID) counts face and
    hand scores.
    """

    grid: Tensor
    weight: Tensor
    setting: Tensor
    lighting: Tensor


def _targets(canvas: Canvas) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    grid = np.zeros((layout.GRID_VALUES, layout.GRID, layout.GRID), np.float32)
    weight = np.ones((2, layout.GRID, layout.GRID), np.float32)
    rows, columns = (np.mgrid[0 : layout.GRID, 0 : layout.GRID].astype(np.float32) + 0.5) * layout.STRIDE
    for box in canvas.unsure:
        hidden = (columns > box[0]) & (columns < box[2]) & (rows > box[1]) & (rows < box[3])
        weight[:, hidden] = 0
    for box in canvas.hands:
        _mark(grid, weight[1], layout.HAND_SCORE, layout.HAND_BOX, box, None, rows, columns)
    for box, marks in canvas.faces:
        _mark(grid, weight[0], layout.FACE_SCORE, layout.FACE_BOX, box, marks, rows, columns)
    return grid, weight


def _mark(
    grid: NDArray[np.float32], weight: NDArray[np.float32], score: int, edges: slice, box: NDArray[np.float32],
    marks: NDArray[np.float32] | None, rows: NDArray[np.float32], columns: NDArray[np.float32],
) -> None:  # fmt: skip
    center, size = (box[:2] + box[2:]) / 2, box[2:] - box[:2]
    spread = np.maximum(size * 0.11, 4.0)
    peak = np.exp(-0.5 * (((columns - center[0]) / spread[0]) ** 2 + ((rows - center[1]) / spread[1]) ** 2))
    own = peak > grid[score]
    grid[score] = np.maximum(grid[score], peak / max(float(peak.max()), 1e-6))
    near = own & (peak > 0.35 * peak.max())
    for place, value in zip(range(edges.start, edges.stop), box, strict=True):
        grid[place][near] = (value - (columns if place % 2 == edges.start % 2 else rows)[near]) / layout.DISTANCE
    if marks is not None:
        for place, value in enumerate(marks.ravel()):
            grid[layout.FACE_MARKS.start + place][near] = (
                value - (rows if place % 2 else columns)[near]
            ) / layout.DISTANCE
    weight[near] = 1


def batch_of(pool: Pool, rng: np.random.Generator, count: int) -> tuple[Tensor, Wanted]:
    """Pictures (count, 3, 128, 128) in grey levels and their targets."""
    made = [canvas_of(pool, rng) for _ in range(count)]
    grids, weights = zip(*(_targets(canvas) for canvas in made), strict=True)
    images = torch.from_numpy(np.stack([c.image for c in made])).permute(0, 3, 1, 2).float()
    setting, lighting = (torch.tensor([getattr(c, name) for c in made]) for name in ("setting", "lighting"))
    return images, Wanted(torch.from_numpy(np.stack(grids)), torch.from_numpy(np.stack(weights)), setting, lighting)


def _heat_loss(logits: Tensor, wanted: Tensor, weight: Tensor) -> Tensor:
    """Focal loss of CornerNet (Law and Deng 2018), per object."""
    p = logits.sigmoid().clamp(1e-4, 1 - 1e-4)
    top = wanted > 0.999
    hit = -((1 - p) ** 2) * p.log() * top
    miss = -((1 - wanted) ** 4) * p**2 * (1 - p).log() * ~top
    return ((hit + miss) * weight).sum() / top.sum().clamp(min=1)


def _box_loss(made: Tensor, wanted: Tensor, peak: Tensor) -> Tensor:
    """L1 and 1 - IoU of the edges (cells, 4), weighted by how near the cell is to the centre."""
    low, high = torch.minimum(-made[:, :2], -wanted[:, :2]), torch.minimum(made[:, 2:], wanted[:, 2:])
    shared = (low + high).clamp(min=0).prod(1)
    area = (made[:, 2:] - made[:, :2]).clamp(min=0).prod(1) + (wanted[:, 2:] - wanted[:, :2]).prod(1)
    overlap = shared / (area - shared).clamp(min=1e-4)
    return ((made - wanted).abs().mean(1) + 0.5 * (1 - overlap)).mul(peak).sum() / peak.sum().clamp(min=1)


def loss_of(net: WholeNet, pool: Pool, rng: np.random.Generator, count: int) -> tuple[Tensor, dict[str, float]]:
    """Loss of one fresh batch, and its parts."""
    images, wanted = batch_of(pool, rng, count)
    images = images.contiguous(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16):
        grid, looks = net(images)
    grid, looks = grid.float(), looks.float()
    parts: dict[str, Tensor] = {}
    for number, (name, score, edges) in enumerate(
        (("face", layout.FACE_SCORE, layout.FACE_BOX), ("hand", layout.HAND_SCORE, layout.HAND_BOX))
    ):
        heat = wanted.grid[:, score]
        parts[f"{name}_heat"] = _heat_loss(grid[:, score], heat, wanted.weight[:, number])
        near = wanted.grid[:, edges].abs().sum(1) > 0
        made, right = (g[:, edges].permute(0, 2, 3, 1)[near] for g in (grid, wanted.grid))
        parts[f"{name}_box"] = 2 * _box_loss(made, right, heat[near])
        if name == "face":
            made, right = (g[:, layout.FACE_MARKS].permute(0, 2, 3, 1)[near] for g in (grid, wanted.grid))
            parts["marks"] = F.smooth_l1_loss(made, right, beta=0.05)
    for name, part, right in (
        ("setting", layout.SETTING, wanted.setting),
        ("lighting", layout.LIGHTING, wanted.lighting),
    ):
        parts[name] = 0.5 * F.cross_entropy(looks[:, part], right, ignore_index=_NOT_TOLD, label_smoothing=0.03)
    return torch.stack(list(parts.values())).sum(), {name: float(value.detach()) for name, value in parts.items()}
