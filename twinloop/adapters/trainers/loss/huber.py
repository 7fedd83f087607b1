"""How an error counts by its size: squared, or squared only up to a threshold and about linear beyond it, so that
outliers count less.

The robust ones are those of sd-scripts (``loss_type``, ``huber_c``, ``huber_schedule``): smooth over the threshold
(pseudo-Huber), with a factor of two, so that ``smooth_l1`` is about twice the absolute error of what is far off, and
``huber`` the squared error of what is near.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from twinloop.domain.training_rules import LAST_TIME


def errors(kind: str, difference: Tensor, thresholds: Tensor | None = None) -> Tensor:
    """What each number of a difference (n, ...) adds to the loss.

    Args:
        thresholds: (n,), as `thresholds` gives them; None for ``l2``.
    """
    if thresholds is None:
        return difference.square()
    bend, square = thresholds.to(difference).view(-1, *(1,) * (difference.dim() - 1)), difference.square()
    # 2 (root(d^2 + c^2) - c), without the difference of two numbers that are nearly the same
    grown = 2 * square / ((square + bend.square()).sqrt() + bend)
    return bend * grown if kind == "huber" else grown


def thresholds(how: str, least: float, times: Tensor, noise_ratio: Tensor | None) -> Tensor:
    """(n,) differences up to which an error counts about as squared.

    Args:
        how: ``constant``: the same at all times. ``exponential``: from 1 without noise down to ``least`` at pure noise,
            by equal factors. ``snr``: the same way, by the ratio of noise to signal. least: ``huber_c``.
        times: (n,), 0..1000. noise_ratio: (n,) noise over signal at these times; None = a flow, for which sd-scripts
            has no ``snr``.
    """
    if how == "snr" and noise_ratio is not None:
        return least + (1 - least) / (1 + noise_ratio).square()
    if how == "exponential":
        return torch.exp(math.log(least) * times.float() / LAST_TIME)
    return torch.full(times.shape, least)
