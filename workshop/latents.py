"""Encode every picture and its mirror image once: the UNet never sees pixels."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray

from workshop import checkpoint
from workshop.models import GRID, LATENT_CHANNELS, SIZE, build_vae
from workshop.parallel import Team, run_team

FACE, EYES, MOUTH, HANDS = 1.5, 2.5, 2.5, 1.8
"""Weights of the loss per latent cell, for what a cell holds; background is 1."""


def cell_weights(truth: dict[str, Any]) -> NDArray[np.float32]:
    """(GRID, GRID) weights with mean 1; a cell partly covered counts by its share."""
    pixels = np.ones((SIZE, SIZE), np.float32)
    (ax, ay), (bx, by) = truth["landmarks"][3:5]
    half = max(abs(bx - ax) * 0.7, 10.0)
    mouth = [(ax + bx) / 2 - half, (ay + by) / 2 - half, (ax + bx) / 2 + half, (ay + by) / 2 + half]
    marked = [(truth["face_box"], FACE), *((box, HANDS) for box in truth["hand_boxes"]), (mouth, MOUTH)]
    for (x0, y0, x1, y1), weight in [*marked, *((box, EYES) for box in truth["eye_boxes"])]:
        pixels[max(0, int(y0)) : max(0, int(y1) + 1), max(0, int(x0)) : max(0, int(x1) + 1)] = weight
    step = SIZE // GRID
    cells = pixels.reshape(GRID, step, GRID, step).mean((1, 3))
    return cast(NDArray[np.float32], cells / cells.mean())


def _encode_shard(team: Team, work: Path) -> None:
    _, groups = checkpoint.load(work / "vae.safetensors")
    vae = build_vae()
    vae.load_state_dict(groups["vae"])
    vae = vae.eval().to(memory_format=torch.channels_last)
    for path in sorted(work.glob("shard_*.npz"))[team.rank :: team.size]:
        target = work / "latents" / f"{path.stem}.npy"
        if target.exists():
            continue
        with np.load(path, allow_pickle=False) as shard:
            images = shard["images"]
        out = np.empty((2, len(images), LATENT_CHANNELS, GRID, GRID), np.float16)
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
            for first in range(0, len(images), 20):
                part = torch.from_numpy(images[first : first + 20]).permute(0, 3, 1, 2).float().div(127.5).sub(1)
                for mirror in (0, 1):
                    pixels = part.flip(-1) if mirror else part
                    latents = vae.encoder(pixels.contiguous(memory_format=torch.channels_last))
                    out[mirror, first : first + 20] = latents.float().numpy()
        partial = target.with_name(f".{target.name}")
        with open(partial, "wb") as file:
            np.save(file, out)
        os.replace(partial, target)


def encode_all(work: Path, *, processes: int) -> None:
    """Write ``latents/shard_NNNN.npy`` (2, n, channels, GRID, GRID) fp16, plain and mirrored; existing ones stay."""
    (work / "latents").mkdir(exist_ok=True)
    run_team(processes, 29613, _encode_shard, work)


def load(work: Path) -> tuple[NDArray[np.float16], NDArray[np.float32], list[dict[str, Any]]]:
    """Latents (2, n, channels, GRID, GRID), cell weights (n, GRID, GRID) and truths of all encoded shards."""
    import json

    latents, truths = [], []
    for path in sorted((work / "latents").glob("shard_*.npy")):
        latents.append(np.load(path, allow_pickle=False))
        truths += json.loads((work / f"{path.stem}.json").read_text())
    return np.concatenate(latents, axis=1), np.stack([cell_weights(t) for t in truths]), truths
