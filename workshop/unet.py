"""Train the UNet and both text encoders together on cached latents."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from diffusers.models.attention_processor import AttnProcessor
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import CLIPTokenizer

from twinloop.nano.world.params import Identity, Scene
from workshop import captions, checkpoint, latents
from workshop.models import SIZE, TOKENS, build_text, build_unet
from workshop.muon import MuonAdamW
from workshop.parallel import Team
from workshop.render import people
from workshop.schedule import TrainNoise
from workshop.tokenizer import write_tokenizer

TIME_IDS = (SIZE, SIZE, 0, 0, SIZE, SIZE)


@dataclass(frozen=True)
class UnetRun:
    """How to train: ``minutes`` of wall clock in all, the last ``decay`` share with a rate falling to zero."""

    work: Path
    name: str = "unet"
    minutes: float = 60.0
    decay: float = 0.45
    batch: int = 32
    lr: float = 2e-3
    lr_adam: float = 1e-3
    warmup: int = 100
    ema: float = 0.998
    save_every: float = 180.0
    start: str = ""

    @property
    def path(self) -> Path:
        """Where the checkpoint lies."""
        return self.work / f"{self.name}.safetensors"


class Parts(nn.Module):
    """Everything that is trained: ``unet``, ``text`` (layer before the last is read) and ``text_2`` (pooled, too)."""

    def __init__(self, vocabulary: int) -> None:
        super().__init__()
        self.unet = build_unet()
        self.text = build_text(vocabulary, vocabulary - 1, vocabulary - 2, projection=False, layers=2)
        self.text_2 = build_text(vocabulary, vocabulary - 1, vocabulary - 2, projection=True, layers=3)
        cast(Any, self.unet).set_attn_processor(AttnProcessor())
        for name, parameter in self.text.named_parameters():
            if "encoder.layers.1." in name or "final_layer_norm" in name:
                parameter.requires_grad_(False)

    def forward(self, noisy: Tensor, times: Tensor, ids: Tensor) -> Tensor:
        """(n, 16, 16, 16) noisy latents, (n,) time steps, (n, TOKENS) token ids -> predicted v."""
        first = self.text(ids, output_hidden_states=True).hidden_states[-2]
        second = self.text_2(ids, output_hidden_states=True)
        words = torch.cat([first, second.hidden_states[-2]], dim=-1)
        sizes = torch.tensor([TIME_IDS], dtype=torch.float32).expand(len(ids), -1)
        added = {"text_embeds": second.text_embeds, "time_ids": sizes}
        return cast(Tensor, cast(Any, self.unet)(noisy, times, words, added_cond_kwargs=added, return_dict=False)[0])


@dataclass(frozen=True)
class Data:
    """Latents (2, n, c, h, w), cell weights (n, h, w), and who and what each picture shows."""

    latents: NDArray[np.float16]
    weights: NDArray[np.float32]
    shown: list[tuple[Identity, Scene]]

    @classmethod
    def load(cls, work: Path) -> Data:
        """Read the cache of the step ``latents``."""
        stored, weights, truths = latents.load(work)
        return cls(stored, weights, [people(truth) for truth in truths])

    def draw(self, rng: random.Random, count: int) -> tuple[Tensor, Tensor, list[str]]:
        """Random latents, their weights (count, 1, h, w) and fresh captions; half are mirror images."""
        rows, texts, weights = [], [], []
        for _ in range(count):
            index, mirror = rng.randrange(len(self.shown)), rng.randrange(2)
            identity, scene = self.shown[index]
            rows.append(self.latents[mirror, index])
            weights.append(self.weights[index][:, ::-1] if mirror else self.weights[index])
            texts.append(words_for(identity, captions.mirrored(scene) if mirror else scene, rng))
        return torch.from_numpy(np.stack(rows)).float(), torch.from_numpy(np.stack(weights))[:, None], texts


def words_for(identity: Identity, scene: Scene, rng: random.Random) -> str:
    """A caption, or nothing, or the words of negative prompts, which faulty pictures get more often."""
    chance = rng.random()
    if chance < 0.05:
        return ""
    if chance < (0.5 if scene.blur > 0.8 or scene.noise > 3 else 0.1):
        return ", ".join(rng.sample(captions.NEGATIVE, rng.randint(1, 8)))
    return captions.caption(identity, scene, rng)


def train(team: Team, run: UnetRun) -> None:
    """Train until the minutes are over, with a checkpoint every ``save_every`` seconds to go on from."""
    data, folder = Data.load(run.work), run.work / "tokenizer"
    if team.rank == 0:
        write_tokenizer(folder, captions.vocabulary(), TOKENS)
    team.wait()
    tokenizer = CLIPTokenizer.from_pretrained(folder)
    torch.manual_seed(0)
    parts = Parts(len(tokenizer))
    optimizer = MuonAdamW(parts.named_parameters(), team)
    average = {name: value.detach().clone() for name, value in parts.state_dict().items()}
    step, used = _resume(run, parts, optimizer, average)
    noise, started, saved = TrainNoise(), time.monotonic(), time.monotonic()
    while True:
        clock = torch.tensor([used + time.monotonic() - started])
        team.add_up([clock], mean=True)
        share = float(clock) / (run.minutes * 60)
        if share >= 1:
            break
        step += 1
        rate = min(1.0, step / run.warmup) * min(1.0, (1 - share) / run.decay)
        loss = _step(parts, data, tokenizer, noise, random.Random(f"{step} {team.rank}"), run.batch)
        team.average_gradients(parts.parameters())
        optimizer.step(step, run.lr * rate, run.lr_adam * rate)
        if team.rank == 0:
            _average(parts, average, step, run.ema)
            _log(run, step, float(clock), loss, rate, team.size)
            if time.monotonic() - saved > run.save_every:
                saved = time.monotonic()
                checkpoint.save(
                    run.path,
                    step,
                    parts=parts.state_dict(),
                    ema=average,
                    optimizer=optimizer.state,
                    clock={"seconds": clock},
                )
    if team.rank == 0:
        checkpoint.save(
            run.path, step, parts=parts.state_dict(), ema=average, optimizer=optimizer.state, clock={"seconds": clock}
        )


def _resume(run: UnetRun, parts: Parts, optimizer: MuonAdamW, average: dict[str, Tensor]) -> tuple[int, float]:
    path = run.path if run.path.exists() or not run.start else run.work / f"{run.start}.safetensors"
    if not path.exists():
        return 0, 0.0
    step, groups = checkpoint.load(path)
    parts.load_state_dict(groups["parts"])
    optimizer.state.update(groups["optimizer"])
    average.update(groups["ema"])
    return step, float(groups["clock"]["seconds"])


def _step(
    parts: Parts, data: Data, tokenizer: CLIPTokenizer, noise: TrainNoise, rng: random.Random, batch: int
) -> float:
    torch.manual_seed(rng.randrange(2**31))
    clean, weights, texts = data.draw(rng, batch)
    ids = tokenizer(texts, padding="max_length", truncation=True, max_length=TOKENS, return_tensors="pt").input_ids
    times = noise.times(batch)
    noisy, wanted = noise.noisy(clean, times)
    with torch.autocast("cpu", torch.bfloat16):
        made = parts(noisy, times, ids)
    loss = ((made.float() - wanted).square() * weights).mean()
    torch.autograd.backward(loss)
    return float(loss.detach())


@torch.no_grad()
def _average(parts: Parts, average: dict[str, Tensor], step: int, keep: float, every: int = 4) -> None:
    if step % every:
        return
    keep = min(keep, (step + 1) / (step + 30)) ** every
    for name, value in parts.state_dict().items():
        if value.is_floating_point():
            average[name].lerp_(value, 1 - keep)


_recent: list[float] = []
_marks: list[float] = []


def _log(run: UnetRun, step: int, seconds: float, loss: float, rate: float, processes: int) -> None:
    _recent.append(loss)
    if step % 20:
        return
    mean = sum(_recent[-20:]) / len(_recent[-20:])
    _marks.append(time.monotonic())
    speed = 20 * run.batch * processes / (_marks[-1] - _marks[-2]) if len(_marks) > 1 else 0.0
    with open(run.path.with_suffix(".log"), "a", encoding="utf-8") as log:
        log.write(f"step {step} seconds {seconds:.0f} loss {mean:.4f} rate {rate:.3f} images/s {speed:.1f}\n")
