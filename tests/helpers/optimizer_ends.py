"""The ends of the ranges of optimizers' arguments: values that are still taken, and the nearest that are not."""

from __future__ import annotations

from typing import Any

LONGEST = 0.999999
ENDS: dict[str, dict[str, tuple[list[Any], list[Any]]]] = {
    "adamw": {
        "weight_decay": ([0, 1], [-0.01, 1.01]),
        "betas": ([[0, 0], [LONGEST, LONGEST]], [[-0.1, 0], [0, 0.9999999]]),
        "eps": ([1e-30, 1], [9e-31, 1.01, 0]),
    },
    "prodigy": {
        "betas": ([[0, 0], [0.999, LONGEST]], [[0.9991, 0.9], [0.9, 1.0]]),
        "eps": ([1e-20, 1], [9e-21, 1.01]),
        "beta3": ([0, LONGEST], [1.0, -0.1]),
        "d0": ([1e-12, 1], [9e-13, 1.1]),
        "d_coef": ([1e-3, 1000], [9e-4, 1001]),
        "growth_rate": ([1.01, 100.0], [1, 0.99]),
        "slice_p": ([1, 1000], [0, 1001]),
    },
    "adafactor": {
        "eps": ([[1e-30, 0.001], [1, 0.001]], [[1e-31, 0.001], [1.1, 0.001]]),
        "clip_threshold": ([0.001, 100], [0.0009, 0]),
        "decay_rate": ([-1, -0.001], [-1.1, 0.0]),
        "beta1": ([0, LONGEST], [1.0]),
    },
    "came": {
        "betas": ([[0.01] * 3, [LONGEST] * 3], [[0.009, 0.9, 0.9], [0.9, 0.9, 1.0]]),
        "clip_threshold": ([0.001], [0.0009]),
        "eps1": ([1e-30, 1], [1e-31, 1.1]),
        "eps2": ([1e-30, 1], [1e-31, 1.1]),
    },
    "lion": {"betas": ([[0, 0], [LONGEST] * 2], [[0, 1.0]])},
    "adamw_schedulefree": {
        "betas": ([[0.01, 0.01], [LONGEST] * 2], [[0.009, 0.9], [0.9, 1.0]]),
        "eps": ([1e-30, 1], [1e-31]),
        "r": ([0, 10], [-0.1, 10.1]),
        "weight_lr_power": ([0, 10], [-0.1, 10.1]),
    },
}
