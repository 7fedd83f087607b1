"""Muon for matrices and convolutions, AdamW for the rest, in one small optimiser with a flat, savable state.

Muon (Keller Jordan, 2024): momentum, then the nearest orthogonal matrix by a few Newton-Schulz steps.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from workshop.parallel import Team

_NS = (
    (4.0848, -6.8946, 2.9270),
    (3.9505, -6.3029, 2.6377),
    (3.7418, -5.5913, 2.3037),
    (2.8769, -3.1427, 1.2046),
    (2.8366, -3.0525, 1.2012),
)


@torch.no_grad()
def orthogonal(matrix: Tensor) -> Tensor:
    """(rows, columns) -> a matrix of the same shape whose singular values are all near 1; five steps in bf16."""
    x = matrix.to(torch.bfloat16)
    tall = x.shape[0] > x.shape[1]
    x = x.T if tall else x
    x = x / (x.norm() * 1.02 + 1e-7)
    for a, b, c in _NS:
        square = x @ x.T
        x = a * x + (b * square + c * (square @ square)) @ x
    return torch.Tensor.float(x.T if tall else x)


def is_matrix(name: str, value: Tensor) -> bool:
    """Whether Muon updates this parameter: two or more axes, and neither an embedding nor an in- or output layer."""
    outer = ("embedding", "conv_in.", "conv_out.", "encoder.layers.0.weight", "outer")
    return value.ndim >= 2 and min(value.shape[0], value[0].numel()) >= 16 and not any(part in name for part in outer)


class MuonAdamW:
    """Updates named parameters; state tensors live in ``state`` under ``<parameter>.<kind>``.

    Args:
        named: the parameters, in an order that is the same in every process.
        team: the work of Newton-Schulz is divided among its processes.
        matrices: whether Muon takes the matrices; False leaves everything to AdamW.
    """

    def __init__(
        self, named: Iterable[tuple[str, nn.Parameter]], team: Team, weight_decay: float = 0.01, matrices: bool = True
    ) -> None:
        self.named = [(name, p) for name, p in named if p.requires_grad]
        self.team, self.weight_decay = team, weight_decay
        self.muon = [(n, p) for n, p in self.named if matrices and is_matrix(n, p)]
        self.adam = [(n, p) for n, p in self.named if not (matrices and is_matrix(n, p))]
        self.state: dict[str, Tensor] = {}
        for name, p in self.muon:
            self.state[f"{name}.momentum"] = torch.zeros_like(p)
        for name, p in self.adam:
            self.state[f"{name}.mean"], self.state[f"{name}.square"] = torch.zeros_like(p), torch.zeros_like(p)

    @torch.no_grad()
    def step(self, step: int, lr_muon: float, lr_adam: float, momentum: float = 0.95) -> None:
        """One update from the gradients, which are cleared; ``step`` counts from 1."""
        self._step_muon(lr_muon, momentum)
        beta1, beta2 = 0.9, 0.99
        scale = math.sqrt(1 - beta2**step) / (1 - beta1**step)
        for name, p in self.adam:
            if p.grad is None:
                continue
            mean, square = self.state[f"{name}.mean"], self.state[f"{name}.square"]
            mean.lerp_(p.grad, 1 - beta1)
            square.mul_(beta2).addcmul_(p.grad, p.grad, value=1 - beta2)
            p.addcdiv_(mean, square.sqrt().add_(1e-8), value=-lr_adam * scale)
            p.grad = None

    def _step_muon(self, lr: float, momentum: float) -> None:
        updates, sizes = [], [p.numel() for _, p in self.muon]
        mine = _share(sizes, self.team.size)
        for index, (name, p) in enumerate(self.muon):
            buffer = self.state[f"{name}.momentum"]
            if p.grad is not None:
                buffer.lerp_(p.grad, 1 - momentum)
            if mine[index] != self.team.rank:
                updates.append(torch.zeros_like(p))
                continue
            grad = buffer if p.grad is None else p.grad.lerp(buffer, momentum)
            flat = grad.reshape(p.shape[0], -1)
            updates.append(orthogonal(flat).view_as(p))
        self.team.add_up(updates)
        for (_, p), update in zip(self.muon, updates, strict=True):
            # RMS of an orthogonal update is 1/sqrt(columns); 0.2*sqrt(larger side) brings it to AdamW's size
            p.mul_(1 - lr * self.weight_decay).add_(update, alpha=-lr * 0.2 * math.sqrt(max(p.shape[0], p[0].numel())))
            p.grad = None


def _share(sizes: list[int], processes: int) -> list[int]:
    """Which process does which matrix: always to the one with least work so far, largest first."""
    load, owner = [0] * processes, [0] * len(sizes)
    for index in sorted(range(len(sizes)), key=lambda i: -sizes[i]):
        owner[index] = min(range(processes), key=lambda rank: load[rank])
        load[owner[index]] += sizes[index]
    return owner
