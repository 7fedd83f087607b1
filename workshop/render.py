"""Render the training pictures to shards: ``shard_NNNN.npz`` (images) beside ``shard_NNNN.json`` (truths)."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twinloop.nano.world.params import Identity, Scene, sample_identity, sample_scene
from twinloop.nano.world.render import render

PER_PERSON = 8
CALM = 0.7
"""Pitch and roll are drawn with this share of the world's spread: fewer poses are learned sooner."""


def render_shard(folder: Path, number: int, count: int, size: int, seed: int) -> int:
    """Write one shard of ``count`` pictures (count, size, size, 3) uint8; an existing shard is left alone.

    Every run of ``PER_PERSON`` pictures shows the same person.
    """
    target = folder / f"shard_{number:04d}.npz"
    if target.exists():
        return 0
    rng = np.random.default_rng([seed, number])
    images, truths = np.empty((count, size, size, 3), np.uint8), []
    identity = sample_identity(rng)
    for index in range(count):
        if index % PER_PERSON == 0:
            identity = sample_identity(rng)
        scene = sample_scene(rng)
        drawn = render(identity, replace(scene, pitch=scene.pitch * CALM, roll=scene.roll * CALM), size)
        images[index] = drawn.image
        truths.append(drawn.truth.to_json())
    target.with_suffix(".json").write_text(json.dumps(truths))
    partial = folder / f".{target.name}"
    with open(partial, "wb") as out:
        np.savez(out, images=images)
    os.replace(partial, target)
    return count


def render_all(
    folder: Path, *, shards: int, per_shard: int, size: int, seed: int, processes: int, first: int = 0
) -> None:
    """Render ``shards`` shards with ``processes`` processes; can be stopped and started again."""
    folder.mkdir(parents=True, exist_ok=True)
    jobs = [(folder, first + number, per_shard, size, seed) for number in range(shards)]
    with get_context("spawn").Pool(processes) as pool:
        pool.starmap(render_shard, jobs, chunksize=1)


def load(folder: Path) -> tuple[NDArray[np.uint8], list[dict[str, Any]]]:
    """All pictures (n, size, size, 3) and truths of a folder of shards, in order of their numbers."""
    images, truths = [], []
    for path in sorted(folder.glob("shard_*.npz")):
        with np.load(path, allow_pickle=False) as shard:
            images.append(shard["images"])
        truths += json.loads(path.with_suffix(".json").read_text())
    return np.concatenate(images), truths


def people(truth: dict[str, Any]) -> tuple[Identity, Scene]:
    """The person and the scene of a truth as it lies in a shard."""
    scene = dict(truth["scene"], offset=tuple(truth["scene"]["offset"]))
    return Identity(**truth["identity"]), Scene(**scene)
