"""Train the autoencoder on crops, with weight on eyes, mouth, face and hands."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderTiny
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from workshop import checkpoint, render
from workshop.models import SIZE, build_vae, level_latents
from workshop.muon import MuonAdamW
from workshop.parallel import Team

CROP = 128
WEIGHTS = {"face_box": 2.0, "hand_boxes": 2.5, "mouth": 5.0, "eye_boxes": 6.0}


@dataclass(frozen=True)
class VaeRun:
    """How to train: ``minutes`` of wall clock for the whole run, the last ``decay`` share with a falling rate."""

    data: Path
    out: Path
    minutes: float = 13.0
    decay: float = 0.85
    batch: int = 6
    lr: float = 6e-4
    noise: float = 0.3
    save_every: float = 120.0


def weight_map(truth: dict[str, Any]) -> NDArray[np.uint8]:
    """(SIZE, SIZE) weights times 10: background 10, face, hands, mouth and eyes more."""
    weights = np.full((SIZE, SIZE), 10, np.uint8)
    (ax, ay), (bx, by) = truth["landmarks"][3:5]
    middle, half = ((ax + bx) / 2, (ay + by) / 2), max(abs(bx - ax) * 0.7, 8.0)
    mouth = [[middle[0] - half, middle[1] - half, middle[0] + half, middle[1] + half]]
    boxes = {
        "face_box": [truth["face_box"]],
        "hand_boxes": truth["hand_boxes"],
        "mouth": mouth,
        "eye_boxes": truth["eye_boxes"],
    }
    for name, weight in WEIGHTS.items():
        for x0, y0, x1, y1 in boxes[name]:
            weights[max(0, int(y0)) : max(0, int(y1) + 1), max(0, int(x0)) : max(0, int(x1) + 1)] = int(weight * 10)
    return weights


def _corner(truth: dict[str, Any], rng: np.random.Generator, size: int) -> tuple[int, int]:
    if rng.random() < 0.75:
        x0, y0, x1, y1 = truth["face_box"]
        places = [*truth["eye_boxes"], *truth["hand_boxes"], [x0, y0, x1, y1]]
        x0, y0, x1, y1 = places[int(rng.integers(len(places)))]
        x, y = (x0 + x1) / 2 + rng.normal(0, 20) - CROP / 2, (y0 + y1) / 2 + rng.normal(0, 20) - CROP / 2
        return int(np.clip(x, 0, size - CROP)), int(np.clip(y, 0, size - CROP))
    return int(rng.integers(size - CROP + 1)), int(rng.integers(size - CROP + 1))


def batch_of(
    images: NDArray[np.uint8], truths: list[dict[str, Any]], rng: np.random.Generator, count: int
) -> tuple[Tensor, Tensor]:
    """Crops (count, 3, CROP, CROP) in -1..1 and their weights (count, 1, CROP, CROP); half of them mirrored."""
    pictures, weights = [], []
    for index in rng.integers(len(images), size=count):
        x, y = _corner(truths[index], rng, images.shape[1])
        part = np.s_[y : y + CROP, x : x + CROP]
        step = 1 if rng.random() < 0.5 else -1
        pictures.append(images[index][part][:, ::step])
        weights.append(weight_map(truths[index])[part][:, ::step])
    stacked = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float().div_(127.5).sub_(1)
    return stacked, torch.from_numpy(np.stack(weights))[:, None].float().div_(10)


def reconstruction_loss(made: Tensor, wanted: Tensor, weights: Tensor) -> Tensor:
    """Weighted L1 of the pixels and of their differences to the right and lower neighbour, and L1 of 8 px means: the
    colours.
    """
    gap = made - wanted
    edges = (gap.diff(dim=-1).abs() * weights[..., 1:]).mean() + (gap.diff(dim=-2).abs() * weights[..., 1:, :]).mean()
    colours = F.avg_pool2d(gap, 8).abs().mean()
    return (gap.abs() * weights).mean() + 0.7 * edges + 0.5 * (gap.square() * weights).mean() + colours


def _encode(vae: AutoencoderTiny, pictures: Tensor) -> Tensor:
    return vae.encoder(pictures)  # type: ignore[no-any-return]


def train(team: Team, run: VaeRun) -> None:
    """Train until the minutes are over; writes ``out`` every ``save_every`` seconds and goes on from it."""
    images, truths = render.load(run.data)
    torch.manual_seed(0)
    vae = build_vae().to(memory_format=torch.channels_last)
    level_latents(vae, torch.from_numpy(images[:: len(images) // 100]).permute(0, 3, 1, 2).float().div(127.5).sub(1))
    # Muon's full-rank steps wash out the colours that the start carries (docs/log.md)
    optimizer = MuonAdamW(vae.named_parameters(), team, weight_decay=0.0, matrices=False)
    step, used = 0, 0.0
    if run.out.exists():
        step, groups = checkpoint.load(run.out)
        vae.load_state_dict(groups["vae"])
        optimizer.state.update(groups["optimizer"])
        used = float(groups["clock"]["seconds"])
    started = saved = time.monotonic()
    while True:
        # every process must stop at the same step: they share the clock of the slowest
        clock = torch.tensor([used + time.monotonic() - started])
        team.add_up([clock], mean=True)
        share = float(clock) / (run.minutes * 60)
        if share >= 1.0:
            break
        step += 1
        rate = min(1.0, step / 60) * min(1.0, (1 - share) / run.decay)
        parts = _step(vae, run, team, step, images, truths)
        optimizer.step(step, 0.0, run.lr * rate)
        if team.rank == 0 and step % 20 == 0:
            _log(run, step, clock, parts)
        if team.rank == 0 and time.monotonic() - saved > run.save_every:
            saved = time.monotonic()
            _save(run, step, vae, optimizer, clock)
    if team.rank == 0:
        _save(run, step, vae, optimizer, clock)


def _step(
    vae: AutoencoderTiny, run: VaeRun, team: Team, step: int, images: NDArray[np.uint8], truths: list[dict[str, Any]]
) -> tuple[float, float, float]:
    rng = np.random.default_rng([3, step, team.rank])
    torch.manual_seed(int(rng.integers(2**31)))
    pictures, weights = batch_of(images, truths, rng, run.batch)
    pictures = pictures.contiguous(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16):
        latents = _encode(vae, pictures).float()
        # noise makes near latents decode to near pictures, so that small errors of the UNet do not show
        sigma = torch.rand(len(latents), 1, 1, 1) * run.noise
        made = vae.decoder(latents + sigma * torch.randn_like(latents)).float()
    loss = reconstruction_loss(made, pictures, weights)
    mean, spread = latents.mean((0, 2, 3)), latents.std((0, 2, 3))
    level = mean.square().mean() + (spread - 1).square().mean()
    torch.autograd.backward(loss + 0.1 * level)
    team.average_gradients(vae.parameters())
    psnr = 10 * math.log10(4 / float(F.mse_loss(made.detach(), pictures)))
    return float(loss.detach()), float(level.detach()), psnr


def _save(run: VaeRun, step: int, vae: AutoencoderTiny, optimizer: MuonAdamW, clock: Tensor) -> None:
    checkpoint.save(run.out, step, vae=vae.state_dict(), optimizer=optimizer.state, clock={"seconds": clock})


def _log(run: VaeRun, step: int, clock: Tensor, parts: tuple[float, float, float]) -> None:
    line = f"step {step} seconds {float(clock):.0f} loss {parts[0]:.4f} level {parts[1]:.3f} psnr {parts[2]:.2f}\n"
    with open(run.out.with_suffix(".log"), "a", encoding="utf-8") as log:
        log.write(line)
