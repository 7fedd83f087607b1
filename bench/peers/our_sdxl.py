"""Our side of ``bench/training_peer.py``: MODEL PHOTOS STEPS BATCH RESOLUTION PRECISION -> one line of JSON."""

from __future__ import annotations

import json
import resource
import statistics
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import torch

from twinloop.adapters.diffusion.base_model import open_base
from twinloop.adapters.generators.diffusers_generator import DiffusersGenerator
from twinloop.adapters.trainers.diffusers_lora import DiffusersLoraTrainer
from twinloop.domain.records import TrainingSample
from twinloop.domain.shots import Shot
from twinloop.families import FAMILIES
from twinloop.ports import GenerationSettings, TrainingSettings
from twinloop.store.atomic import sha256_file

PROMPTS, SEEDS, GENERATION_STEPS = 6, 4, 8
RANK = 16


def train(model: str, photos: Path, settings: TrainingSettings, precision: str, home: Path) -> dict[str, float]:
    samples = [TrainingSample(path, sha256_file(path), "photo of ohwx ana", 1.0) for path in sorted(photos.iterdir())]
    moments = [time.perf_counter()]
    trainer = DiffusersLoraTrainer(model, FAMILIES["sdxl"], precision=precision)
    trainer.train(samples, settings, home / "lora.safetensors", home / "work", {}, lambda *_: moments.append(time.perf_counter()))
    steps = [after - before for before, after in pairwise(moments[1:])]
    return {"steady step, s": statistics.median(steps), "load to the end of step 1, s": moments[1] - moments[0], "whole training, s": moments[-1] - moments[0]}


def generate(model: str, size: int, batch: int, precision: str, lora: Path) -> dict[str, float]:
    generator = DiffusersGenerator(model, FAMILIES["sdxl"], precision=precision)
    prompts = open_base(model, FAMILIES["sdxl"], "auto", False, precision).prompts
    generator.load_lora(lora)
    shots = [
        Shot(f"s_{p}_{s}", "setting", "indoor", s, f"photo of ohwx ana smiling {'a ' * p}", "blurry", 100 + s)
        for p in range(PROMPTS) for s in range(SEEDS)
    ]  # fmt: skip
    settings = GenerationSettings(GENERATION_STEPS, 5.0, size, size, batch_size=batch)
    before, begun = prompts.encoded, time.perf_counter()
    for start in range(0, len(shots), batch):
        list(generator.generate(shots[start : start + batch], settings))
    seconds, encoded = time.perf_counter() - begun, prompts.encoded - before
    other = lora.with_name("other.safetensors")
    other.write_bytes(lora.read_bytes())
    begun = time.perf_counter()
    generator.load_lora(other)
    return {"24 images (6 prompts, 4 seeds), s": seconds, "texts encoded": encoded, "exchange of a LoRA, s": time.perf_counter() - begun}


def main() -> None:
    model, photos, steps, batch, resolution, precision = sys.argv[1:]
    settings = TrainingSettings(
        "nano", int(steps), RANK, float(RANK), 1e-4, int(batch), int(resolution), 0, schedule="constant", warmup_steps=0, min_snr_gamma=0.0,
        caption_dropout=0.0, checkpoint_every=10**6, tensorboard=False,
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as home:
        figures = train(model, Path(photos), settings, precision, Path(home))
        figures["peak memory of the process, MiB"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        if torch.cuda.is_available():
            figures["peak memory of the GPU, MiB"] = torch.cuda.max_memory_allocated() / 2**20
        figures |= generate(model, int(resolution), 4, precision, Path(home) / "lora.safetensors")
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
