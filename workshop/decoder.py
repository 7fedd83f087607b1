"""Train the decoder alone, for longer, on what it will be fed: latents of pictures, and latents as the UNet imagines
them.

A picture's latents are given noise, the UNet guesses them back, and the decoder learns to draw the true picture from
the guess. So its eyes stay clean where the UNet's are a little soft. The encoder, and with it the space the UNet knows,
stays as it is.
"""

from __future__ import annotations

import json
import os
import random
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderTiny
from numpy.typing import NDArray
from torch import Tensor
from transformers import CLIPTokenizer

from workshop import checkpoint
from workshop.models import GRID, TOKENS, build_vae
from workshop.muon import MuonAdamW
from workshop.parallel import Team
from workshop.render import people
from workshop.schedule import TrainNoise
from workshop.unet import Parts, words_for
from workshop.vae import reconstruction_loss, weight_map

CELL = 16
CROP_CELLS = 8
MARGIN = 8
"""Pixels along the edge of a crop that do not count: the decoder sees zeros beyond it there, which whole pictures never
show."""


@dataclass(frozen=True)
class DecoderRun:
    """How to train: ``minutes`` of wall clock with a rate that falls to zero; ``imagined`` is the share of the UNet's
    guesses.
    """

    work: Path
    unet: str = "unet"
    minutes: float = 8.0
    batch: int = 8
    lr: float = 5e-4
    imagined: float = 0.6
    noise: float = 0.2
    shards: int = 24


@torch.inference_mode()
def imagine(team: Team, run: DecoderRun) -> None:
    """Write ``imagined/shard_NNNN.npy`` (n, channels, GRID, GRID) fp16: latents guessed back from noise of sigma 0.15
    to 1.
    """
    folder = run.work / "imagined"
    folder.mkdir(exist_ok=True)
    tokenizer = CLIPTokenizer.from_pretrained(run.work / "tokenizer")
    parts = Parts(len(tokenizer)).eval()
    parts.load_state_dict(checkpoint.load(run.work / f"{run.unet}.safetensors")[1]["ema"])
    noise = TrainNoise(mean=-0.8, spread=0.5, even=0.0)
    for path in sorted((run.work / "latents").glob("shard_*.npy"))[: run.shards][team.rank :: team.size]:
        clean = torch.from_numpy(np.load(path, allow_pickle=False)[0]).float()
        shown = [people(truth) for truth in json.loads((run.work / f"{path.stem}.json").read_text())]
        guesses = [
            _guess(parts, tokenizer, noise, clean[i : i + 25], shown[i : i + 25], f"{path.stem} {i}")
            for i in range(0, len(clean), 25)
        ]
        partial = folder / f".{path.name}"
        with open(partial, "wb") as out:
            np.save(out, torch.cat(guesses).half().numpy())
        os.replace(partial, folder / path.name)


def _guess(parts: Parts, tokenizer: CLIPTokenizer, noise: TrainNoise, clean: Tensor, shown: Any, seed: str) -> Tensor:
    rng = random.Random(seed)
    torch.manual_seed(rng.randrange(2**31))
    texts = [words_for(identity, scene, rng) for identity, scene in shown]
    ids = tokenizer(texts, padding="max_length", truncation=True, max_length=TOKENS, return_tensors="pt").input_ids
    times = noise.times(len(clean))
    noisy, _ = noise.noisy(clean, times)
    with torch.autocast("cpu", torch.bfloat16):
        made = parts(noisy, times, ids).float()
    a, s = noise.signal[times][:, None, None, None], noise.noise[times][:, None, None, None]
    guess: Tensor = a * noisy - s * made
    return guess


@dataclass(frozen=True)
class _Data:
    images: NDArray[np.uint8]
    truths: list[dict[str, Any]]
    latents: NDArray[np.float16]
    imagined: NDArray[np.float16]

    @classmethod
    def load(cls, run: DecoderRun) -> _Data:
        names = [path.stem for path in sorted((run.work / "imagined").glob("shard_*.npy"))]
        images, truths, latents, imagined = [], [], [], []
        for name in names:
            with np.load(run.work / f"{name}.npz", allow_pickle=False) as shard:
                images.append(shard["images"])
            truths += json.loads((run.work / f"{name}.json").read_text())
            latents.append(np.load(run.work / "latents" / f"{name}.npy", allow_pickle=False)[0])
            imagined.append(np.load(run.work / "imagined" / f"{name}.npy", allow_pickle=False))
        return cls(np.concatenate(images), truths, np.concatenate(latents), np.concatenate(imagined))

    def batch(self, rng: np.random.Generator, run: DecoderRun) -> tuple[Tensor, Tensor, Tensor]:
        """Latent crops (n, c, 8, 8), their pictures (n, 3, 128, 128) in -1..1 and weights (n, 1, 128, 128)."""
        cells, pictures, weights = [], [], []
        for index in rng.integers(len(self.images), size=run.batch):
            x, y = _corner(self.truths[index], rng)
            source = self.imagined if rng.random() < run.imagined else self.latents
            cells.append(source[index][:, y : y + CROP_CELLS, x : x + CROP_CELLS].astype(np.float32))
            part = np.s_[y * CELL : (y + CROP_CELLS) * CELL, x * CELL : (x + CROP_CELLS) * CELL]
            pictures.append(self.images[index][part])
            inside = np.zeros((CROP_CELLS * CELL,) * 2, np.float32)
            inside[MARGIN:-MARGIN, MARGIN:-MARGIN] = 0.1
            weights.append(weight_map(self.truths[index])[part] * inside)
        wanted = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float().div_(127.5).sub_(1)
        return torch.from_numpy(np.stack(cells)), wanted, torch.from_numpy(np.stack(weights))[:, None]


def _corner(truth: dict[str, Any], rng: np.random.Generator) -> tuple[int, int]:
    x0, y0, x1, y1 = truth["face_box"]
    if rng.random() < 0.25:
        return int(rng.integers(GRID - CROP_CELLS + 1)), int(rng.integers(GRID - CROP_CELLS + 1))
    x, y = ((x0 + x1) / 2 + rng.normal(0, 25)) / CELL, ((y0 + y1) / 2 + rng.normal(0, 25)) / CELL
    high = GRID - CROP_CELLS
    return int(np.clip(round(x - CROP_CELLS / 2), 0, high)), int(np.clip(round(y - CROP_CELLS / 2), 0, high))


def train(team: Team, run: DecoderRun) -> None:
    """Imagine what is missing, then train until the minutes are over; writes ``decoder.safetensors``, a whole
    autoencoder.
    """
    imagine(team, run)
    team.wait()
    data = _Data.load(run)
    vae = build_vae().to(memory_format=torch.channels_last)
    vae.load_state_dict(checkpoint.load(run.work / "vae.safetensors")[1]["vae"])
    vae.encoder.requires_grad_(False)
    optimizer = MuonAdamW(vae.named_parameters(), team, weight_decay=0.0, matrices=False)
    started, step = time.monotonic(), 0
    while True:
        clock = torch.tensor([time.monotonic() - started])
        team.add_up([clock], mean=True)
        share = float(clock) / (run.minutes * 60)
        if share >= 1:
            break
        step += 1
        loss = _step(vae, data, run, team, step)
        optimizer.step(step, 0.0, run.lr * min(1.0, step / 30) * (1 - share))
        if team.rank == 0 and step % 20 == 0:
            with open(run.work / "decoder.log", "a", encoding="utf-8") as log:
                log.write(f"step {step} seconds {float(clock):.0f} loss {loss:.4f}\n")
    if team.rank == 0:
        checkpoint.save(run.work / "decoder.safetensors", step, vae=vae.state_dict())


def _step(vae: AutoencoderTiny, data: _Data, run: DecoderRun, team: Team, step: int) -> float:
    rng = np.random.default_rng([5, step, team.rank])
    torch.manual_seed(int(rng.integers(2**31)))
    cells, wanted, weights = data.batch(rng, run)
    cells = cells + torch.rand(len(cells), 1, 1, 1) * run.noise * torch.randn_like(cells)
    with torch.autocast("cpu", torch.bfloat16):
        made = vae.decoder(cells.contiguous(memory_format=torch.channels_last)).float()
    loss = reconstruction_loss(made, wanted, weights)
    torch.autograd.backward(loss)
    team.average_gradients(vae.parameters())
    return float(loss.detach())
