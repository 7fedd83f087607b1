"""One loop for the three networks: for so many minutes of processor time, with checkpoints, on one thread."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from workshop import checkpoint
from workshop.detectors import face, identity, whole
from workshop.detectors.nets import FaceNet, WholeNet
from workshop.detectors.pool import Pool
from workshop.muon import MuonAdamW
from workshop.parallel import Team

Loss = Callable[[np.random.Generator, int], tuple[Tensor, dict[str, float]]]


@dataclass(frozen=True)
class DetectorRun:
    """How to train: ``minutes`` of processor time for the whole run, the last ``decay`` share with a falling rate.

    Attributes:
        out: checkpoint to write, and to go on from. start: weights to begin from.
    """

    out: Path
    minutes: float
    start: Path | None = None
    decay: float = 0.5
    batch: int = 32
    lr: float = 2e-3
    lr_adam: float = 2e-3
    warmup: int = 30
    save_every: float = 60.0


def train_whole(run: DetectorRun, pool: Pool) -> None:
    """Faces, hands, setting and lighting from the whole picture."""
    net = WholeNet()
    _fit(net, lambda rng, count: whole.loss_of(net, pool, rng, count), run)


def train_face(run: DetectorRun, pool: Pool) -> None:
    """Place, pose, eyes, expression and quality from the face crop."""
    net = FaceNet()
    _fit(net, lambda rng, count: face.loss_of(net, pool, rng, count), run)


def train_identity(run: DetectorRun, pool: Pool) -> None:
    """Identity from the head crop."""
    net = identity.PeopleNet(pool.people)
    _fit(net, lambda rng, count: identity.loss_of(net, pool, rng, count), run)


def _fit(net: nn.Module, loss_of: Loss, run: DetectorRun) -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = MuonAdamW(net.named_parameters(), Team())
    step, used = _resume(net, optimizer, run)
    started, saved = time.process_time(), time.monotonic()
    net.train()
    while True:
        seconds = used + time.process_time() - started
        share = seconds / (run.minutes * 60)
        if share >= 1:
            break
        step += 1
        rate = min(1.0, step / run.warmup) * min(1.0, (1 - share) / run.decay)
        loss, figures = loss_of(np.random.default_rng([11, step, int(run.start is not None)]), run.batch)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step(step, run.lr * rate, run.lr_adam * rate)
        _log(run, step, seconds, {"loss": float(loss.detach()), **figures})
        if time.monotonic() - saved > run.save_every:
            saved = time.monotonic()
            _save(run, step, net, optimizer, seconds)
    _save(run, step, net, optimizer, seconds)


def _resume(net: nn.Module, optimizer: MuonAdamW, run: DetectorRun) -> tuple[int, float]:
    if run.out.exists():
        step, groups = checkpoint.load(run.out)
        net.load_state_dict(groups["net"])
        optimizer.state.update(groups["optimizer"])
        return step, float(groups["clock"]["seconds"])
    if run.start is not None:
        net.load_state_dict(checkpoint.load(run.start)[1]["net"])
    return 0, 0.0


def _save(run: DetectorRun, step: int, net: nn.Module, optimizer: MuonAdamW, seconds: float) -> None:
    clock = {"seconds": torch.tensor([seconds])}
    checkpoint.save(run.out, step, net=net.state_dict(), optimizer=optimizer.state, clock=clock)


_recent: list[dict[str, float]] = []


def _log(run: DetectorRun, step: int, seconds: float, figures: dict[str, float]) -> None:
    _recent.append(figures)
    if step % 20:
        return
    means = {name: float(np.nanmean([f[name] for f in _recent])) for name in figures}
    _recent.clear()
    with open(run.out.with_suffix(".log"), "a", encoding="utf-8") as log:
        log.write(f"step {step} seconds {seconds:.0f} " + " ".join(f"{n} {v:.4f}" for n, v in means.items()) + "\n")
