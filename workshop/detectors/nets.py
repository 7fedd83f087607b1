"""The three networks. Layers named ``outer`` are in- and output layers, which the optimiser treats apart."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from twinloop.adapters.detectors.nano_layout import (
    EMBEDDING,
    FACE_SCORE,
    FACE_SIZE,
    FACE_VALUES,
    GRID,
    GRID_VALUES,
    HAND_SCORE,
    HEAD_SIZE,
    SETTING_VALUES,
)


class Conv(nn.Sequential):
    """3 x 3 convolution, batch norm, ReLU."""

    def __init__(self, wide_in: int, wide_out: int, stride: int = 1) -> None:
        super().__init__(
            nn.Conv2d(wide_in, wide_out, 3, stride, 1, bias=False), nn.BatchNorm2d(wide_out), nn.ReLU(inplace=True)
        )


class Block(nn.Module):
    """Two convolutions around which the input is led."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = Conv(width, width)
        self.second = nn.Sequential(nn.Conv2d(width, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width))

    def forward(self, x: Tensor) -> Tensor:
        """(n, width, h, w) -> the same shape."""
        return F.relu(x + cast(Tensor, self.second(self.first(x))))


def stage(wide_in: int, wide_out: int, blocks: int) -> nn.Sequential:
    """Half the size, then ``blocks`` residual blocks."""
    return nn.Sequential(Conv(wide_in, wide_out, 2), *[Block(wide_out) for _ in range(blocks)])


def normal(images: Tensor) -> Tensor:
    """Grey levels 0..255 to about -1..1."""
    return (images - 127.5) / 64.0


class WholeNet(nn.Module):
    """Finds faces and hands in the whole picture, and tells setting and lighting."""

    def __init__(self) -> None:
        super().__init__()
        self.outer = Conv(3, 24, 2)
        self.down4 = stage(24, 40, 1)
        self.down8 = stage(40, 80, 2)
        self.down16 = stage(80, 112, 2)
        self.down32 = stage(112, 128, 1)
        self.side32, self.side16, self.side8 = nn.Conv2d(128, 80, 1), nn.Conv2d(112, 80, 1), nn.Conv2d(80, 80, 1)
        self.joined16, self.joined8 = Conv(80, 80), Block(80)
        self.grid_outer = nn.Conv2d(80, GRID_VALUES, 1)
        self.grid_outer.weight.data.mul_(0.3)
        bias = torch.zeros(GRID_VALUES)
        bias[[FACE_SCORE, HAND_SCORE]] = -4.0  # nearly all cells are empty
        self.grid_outer.bias = nn.Parameter(bias)
        self.look = nn.Linear(2 * 128 + 80, 96)
        self.look_outer = nn.Linear(96, SETTING_VALUES)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """(n, 3, 128, 128) grey levels -> (n, GRID_VALUES, GRID, GRID), (n, SETTING_VALUES); layouts in nano_layout."""
        low = self.down8(self.down4(self.outer(normal(images))))
        middle = self.down16(low)
        high = self.down32(middle)
        up = self.side16(middle) + F.interpolate(self.side32(high), scale_factor=2.0, mode="nearest")
        up = self.side8(low) + F.interpolate(self.joined16(F.relu(up)), scale_factor=2.0, mode="nearest")
        grid = self.grid_outer(self.joined8(F.relu(up)))
        pooled = torch.cat([high.mean((2, 3)), high.amax((2, 3)), low.mean((2, 3))], dim=1)
        assert grid.shape[-1] == GRID
        return grid, self.look_outer(F.relu(self.look(pooled)))


class FaceNet(nn.Module):
    """Reads one face: where exactly it is, its pose, eyes, expression and quality."""

    def __init__(self) -> None:
        super().__init__()
        self.outer = Conv(3, 24, 2)
        self.down4 = stage(24, 40, 1)
        self.down8 = stage(40, 80, 2)
        self.down16 = stage(80, 128, 2)
        self.narrow = nn.Sequential(nn.Conv2d(128, 32, 1), nn.ReLU(inplace=True))
        cells = (FACE_SIZE // 16) ** 2
        self.deep = nn.Linear(32 * cells + 2 * 80, 160)
        self.deep_outer = nn.Linear(160, FACE_VALUES)

    def forward(self, crops: Tensor) -> Tensor:
        """(n, 3, FACE_SIZE, FACE_SIZE) grey levels -> (n, FACE_VALUES); layout in nano_layout."""
        middle = self.down8(self.down4(self.outer(normal(crops))))
        places = self.narrow(self.down16(middle)).flatten(1)
        pooled = torch.cat([places, middle.mean((2, 3)), middle.amax((2, 3))], dim=1)
        return cast(Tensor, self.deep_outer(F.relu(self.deep(pooled))))


class IdentityNet(nn.Module):
    """Turns a head into a vector that tells people apart."""

    def __init__(self) -> None:
        super().__init__()
        self.outer = Conv(3, 24, 2)
        self.down4 = stage(24, 48, 1)
        self.down8 = stage(48, 96, 2)
        self.down16 = stage(96, 128, 2)
        self.narrow = nn.Sequential(nn.Conv2d(128, 48, 1, bias=False), nn.BatchNorm2d(48), nn.ReLU(inplace=True))
        cells = (HEAD_SIZE // 16) ** 2
        self.deep_outer = nn.Linear(48 * cells + 128, EMBEDDING, bias=False)
        self.norm = nn.BatchNorm1d(EMBEDDING)

    def forward(self, crops: Tensor) -> Tensor:
        """(n, 3, HEAD_SIZE, HEAD_SIZE) grey levels -> (n, EMBEDDING), not yet of unit norm."""
        high = self.down16(self.down8(self.down4(self.outer(normal(crops)))))
        joined = torch.cat([self.narrow(high).flatten(1), high.mean((2, 3))], dim=1)
        return cast(Tensor, self.norm(self.deep_outer(joined)))
