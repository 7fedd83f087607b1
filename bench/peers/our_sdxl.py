"""Our side of ``bench/training_peer.py``, in a process of its own; one line of JSON at the end.

    our_sdxl.py train MODEL PHOTOS STEPS BATCH RESOLUTION PRECISION HOME [--preset-lora] [--checkpointing on|off]
        [--compile regional|off] [--draws FILE]
    our_sdxl.py generate MODEL RESOLUTION PRECISION LORA [--images STEPS,PROMPTS,SEEDS]

The LoRA has rank 16 and sits on the attention projections, as the script's does; with ``--preset-lora`` it is that of
the preset. ``--draws`` also writes what the training draws (photos, noise, times, the LoRA's start), for
`diffusers_script.py`.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clock import Clock

if TYPE_CHECKING:
    from twinloop.ports import TrainingSettings

CLOCK = Clock()

RANK = 16
CAPTION = "photo of ohwx ana"
ATTENTION = ("to_k", "to_q", "to_v", "to_out.0")


def settings_of(args: argparse.Namespace) -> TrainingSettings:
    """What the script does by default: a constant rate, AdamW, clipping at 1, no weighting by time."""
    from twinloop.ports import TrainingSettings

    rank = 32 if args.preset_lora else RANK
    return TrainingSettings(
        "sdxl",
        args.steps,
        rank,
        float(rank),
        1e-4,
        args.batch,
        args.resolution,
        0,
        schedule="constant",
        warmup_steps=0,
        min_snr_gamma=0.0,
        caption_dropout=0.0,
        checkpoint_every=500,
        gradient_checkpointing={"on": True, "off": False}.get(args.checkpointing),
        compile=args.compile,
    )


def train(
    model: str, photos: Path, settings: TrainingSettings, precision: str, home: Path, targets: tuple[str, ...]
) -> int:
    """Train once; the clock has the moments and the losses of single steps.

    Returns the peak of memory that was forecast for a GPU, in bytes; 0 = none.
    """
    import json
    from dataclasses import replace

    from twinloop.system.collector import importing

    with importing():  # as `wiring.extras.with_extra`
        from twinloop.adapters.diffusion.base_choice import BaseChoice
        from twinloop.adapters.diffusion.base_model import open_base
        from twinloop.adapters.trainers.diffusers_lora import DiffusersLoraTrainer
        from twinloop.domain.records import TrainingSample
        from twinloop.families import FAMILIES
        from twinloop.ports import TrainingSize
        from twinloop.store.atomic import sha256_file

    CLOCK.mark("imports")
    family = replace(FAMILIES["sdxl"], targets=targets or FAMILIES["sdxl"].targets)
    choice = BaseChoice(model, precision=precision)
    trainer = DiffusersLoraTrainer(choice, family)
    CLOCK.mark("model")
    samples = [TrainingSample(path, sha256_file(path), CAPTION, 1.0) for path in pictures(photos)]
    CLOCK.mark("photos")
    trainer.train(samples, settings, home / "lora.safetensors", home / "work", {}, lambda *_: CLOCK.step(0.0))
    lines = (home / "lora.metrics.jsonl").read_text().splitlines()
    CLOCK.losses = [json.loads(line)["loss"] for line in lines]
    if failure := open_base(choice, family).regions.training_failure:
        raise RuntimeError(f"the blocks were not compiled: {failure}")
    forecast = trainer.forecast(settings, TrainingSize(len(samples))) if CLOCK.gpu_peaks else None
    return 0 if forecast is None else forecast.plan.peak


def pictures(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix != ".jsonl")


def write_draws(model: str, photos: Path, settings: TrainingSettings, file: Path) -> None:
    """What `train` draws with these settings, by step."""
    import math

    import torch
    from safetensors.torch import save_file

    from twinloop.adapters.diffusion.base_choice import BaseChoice
    from twinloop.adapters.diffusion.base_model import open_base
    from twinloop.adapters.trainers.data.sampler import SampleSchedule
    from twinloop.adapters.trainers.lora.adapted_model import adapted
    from twinloop.adapters.trainers.lora.adapter_plan import AdapterPlan
    from twinloop.adapters.trainers.loss.noise_schedule import draw_noise, schedule_for
    from twinloop.families import FAMILIES

    base, count = open_base(BaseChoice(model, precision="float32"), FAMILIES["sdxl"]), len(pictures(photos))
    size, batch = settings.resolution, settings.batch_size
    order = SampleSchedule(
        [1.0] * count, [(size, size)] * count, batch=batch, seed=settings.seed, flip=False, dropout=0.0
    )
    drawn: dict[str, Any] = {"steps": torch.tensor(settings.steps)}
    drawn["order"] = torch.tensor(
        [sample for step in range(1, settings.steps + 1) for sample in order.draw(step).samples]
    )
    schedule = schedule_for(base.family, base.scheduler_config)
    cells = size // base.vae_scale
    for step in range(1, settings.steps + 1):
        (noise,) = draw_noise(schedule, [(batch, 4, cells, cells)], 0.0, settings.seed, step)
        drawn |= {f"noise.{step}": noise.noise, f"times.{step}": noise.times}
    with adapted(base, AdapterPlan(ATTENTION, RANK, RANK), settings.seed) as denoiser:
        drawn |= {
            f"start.{name}": part.detach().clone()
            for name, part in denoiser.parameters.items()
            if name.endswith("lora_A")
        }
    assert math.prod(drawn["order"].shape) == settings.steps * batch
    save_file(drawn, file)


def generate(model: str, size: int, precision: str, lora: Path, images: tuple[int, int, int]) -> dict[str, float]:
    """Images of several prompts, each with several seeds, and the exchange of a LoRA.

    Args:
        images: denoising steps, prompts, seeds.
    """
    from twinloop.adapters.diffusion.base_choice import BaseChoice
    from twinloop.adapters.diffusion.base_model import open_base
    from twinloop.adapters.generators.diffusers_generator import DiffusersGenerator
    from twinloop.domain.shots import Shot
    from twinloop.families import FAMILIES
    from twinloop.ports import GenerationSettings

    choice = BaseChoice(model, precision=precision)
    generator = DiffusersGenerator(choice, FAMILIES["sdxl"])
    prompts = open_base(choice, FAMILIES["sdxl"]).prompts
    generator.load_lora(lora)
    steps, texts, seeds = images
    shots = [
        Shot(f"s_{p}_{s}", "setting", "indoor", s, f"{CAPTION} smiling {'a ' * p}", "blurry", 100 + s)
        for p in range(texts) for s in range(seeds)
    ]  # fmt: skip
    settings = GenerationSettings(steps, 5.0, size, size, batch_size=seeds)
    before, begun = prompts.encoded, time.perf_counter()
    generator.expect(shots, settings)
    for start in range(0, len(shots), seeds):
        list(generator.generate(shots[start : start + seeds], settings))
    seconds, encoded = time.perf_counter() - begun, prompts.encoded - before
    other = lora.with_name("other.safetensors")
    other.write_bytes(lora.read_bytes())
    begun = time.perf_counter()
    generator.load_lora(other)
    swap = time.perf_counter() - begun
    list(generator.generate(shots, settings))  # the next version of the LoRA is measured by the same prompts
    again = prompts.encoded - before - encoded
    return {
        "s an image": seconds / len(shots),
        "texts encoded": encoded,
        "texts encoded again": again,
        "exchange of a LoRA, s": swap,
    }


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    kinds = parser.add_subparsers(dest="what", required=True)
    training, making = kinds.add_parser("train"), kinds.add_parser("generate")
    training.add_argument("model")
    training.add_argument("photos", type=Path)
    for name in ("steps", "batch", "resolution"):
        training.add_argument(name, type=int)
    training.add_argument("precision")
    training.add_argument("home", type=Path)
    training.add_argument("--preset-lora", action="store_true")
    training.add_argument("--checkpointing", choices=("on", "off"))
    training.add_argument("--compile", choices=("regional", "off"))
    training.add_argument("--draws", type=Path)
    making.add_argument("model")
    making.add_argument("resolution", type=int)
    making.add_argument("precision")
    making.add_argument("lora", type=Path)
    making.add_argument("--images", default="8,6,4")
    return parser.parse_args()


def main() -> None:
    args = parsed()
    if args.what == "generate":
        steps, texts, seeds = map(int, args.images.split(","))
        print(
            CLOCK.report(
                figures=generate(args.model, args.resolution, args.precision, args.lora, (steps, texts, seeds))
            )
        )
        return
    settings = settings_of(args)
    predicted = train(
        args.model, args.photos, settings, args.precision, args.home, () if args.preset_lora else ATTENTION
    )
    if args.draws is not None:
        write_draws(args.model, args.photos, settings, args.draws)
    print(CLOCK.report(predicted=predicted))


if __name__ == "__main__":
    main()
