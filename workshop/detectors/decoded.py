"""Renders as the base model's autoencoder gives them back, whole and ruined: detectors must read what the base model
makes.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderTiny
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from workshop import checkpoint, render
from workshop.export import vae_path
from workshop.models import build_vae

BATCH, PER_FILE = 10, 200
RUINED = 1.0
"""Fault that stands for latents which were smoothed or mixed with another picture's."""


def decode_renders(work: Path, out: Path, count: int, seed: int = 5) -> None:
    """Write ``decoded_NNN.npz``: images (n, size, size, 3) uint8, sources (n,) numbers of the renders, faults (n,).

    A fault is the standard deviation of the noise on the latents (which have about unit variance themselves): for a
    third of the pictures next to none, for a third up to 0.5, for the others 0.9 to 1.6, or else smoothed or mixed
    latents.
    """
    torch.set_num_threads(1)
    out.mkdir(parents=True, exist_ok=True)
    images, _ = render.load(work)
    vae = build_vae()
    vae.load_state_dict(checkpoint.load(vae_path(work))[1]["vae"])
    vae = vae.eval().to(memory_format=torch.channels_last)
    for number in range(-(-count // PER_FILE)):
        target = out / f"decoded_{number:03d}.npz"
        if target.exists():
            continue
        rng = np.random.default_rng([seed, number])
        sources = rng.choice(len(images), size=PER_FILE, replace=False)
        made, faults = [], []
        for first in range(0, PER_FILE, BATCH):
            pictures, fault = _decoded(vae, images[sources[first : first + BATCH]], rng)
            made.append(pictures)
            faults.append(fault)
        _save(target, np.concatenate(made), sources, np.concatenate(faults))


@torch.inference_mode()
def _decoded(
    vae: AutoencoderTiny, images: NDArray[np.uint8], rng: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2).float().div(127.5).sub(1)
    with torch.autocast("cpu", torch.bfloat16):
        latents = vae.encoder(pixels.contiguous(memory_format=torch.channels_last)).float()
        changed, faults = _changed(latents, rng)
        made = vae.decoder(changed).float().clamp(-1, 1)
    back = made.add(1).mul(127.5).round().permute(0, 2, 3, 1).numpy().astype(np.uint8)
    return back, faults


def _changed(latents: Tensor, rng: np.random.Generator) -> tuple[Tensor, NDArray[np.float32]]:
    smooth, others = F.avg_pool2d(latents, 3, 1, 1, count_include_pad=False), latents.roll(1, 0)
    out, faults = latents.clone(), np.zeros(len(latents), np.float32)
    for place in range(len(latents)):
        kind = int(rng.integers(9))
        if kind < 7:
            low, high = ((0.0, 0.1), (0.1, 0.5), (0.9, 1.6))[0 if kind < 3 else 1 if kind < 6 else 2]
            faults[place] = rng.uniform(low, high)
            noise = rng.standard_normal(latents[place].shape).astype(np.float32)
            out[place] += float(faults[place]) * torch.from_numpy(noise)
        else:
            share = float(rng.uniform(0.6, 1.0) if kind == 7 else rng.uniform(0.4, 0.5))
            out[place] = latents[place].lerp((smooth if kind == 7 else others)[place], share)
            faults[place] = RUINED
    return out, faults


def _save(target: Path, images: NDArray[np.uint8], sources: NDArray[np.int64], faults: NDArray[np.float32]) -> None:
    partial = target.with_name(f".{target.name}")
    with open(partial, "wb") as file:
        np.savez(file, images=images, sources=sources, faults=faults)
    os.replace(partial, target)
