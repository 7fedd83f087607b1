"""What the forecast says of SDXL at its real size, and, on a GPU, what a step really takes.

    python bench/memory_forecast.py [--rank 32] [--resolution 1024]

No weights are needed: the forecast works on shapes, and on a GPU the denoiser gets random ones. Per line: pictures at once, gradient checkpointing,
predicted peak of the denoiser's part in GiB; on a GPU also the measured peak, their ratio, seconds per step and TFLOP/s.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import torch
from diffusers import UNet2DConditionModel

from twinloop.adapters.diffusion.compute import Compute
from twinloop.adapters.trainers.adapted import adapted
from twinloop.adapters.trainers.budget import CONTEXT, Demand
from twinloop.adapters.trainers.dry_run import footprint
from twinloop.adapters.trainers.optimizer import Optimizer
from twinloop.domain.forecast import GIB
from twinloop.families import FAMILIES
from twinloop.ports import TrainingSettings

SDXL: dict[str, Any] = {
    "addition_embed_type": "text_time", "addition_time_embed_dim": 256, "attention_head_dim": [5, 10, 20], "block_out_channels": [320, 640, 1280],
    "cross_attention_dim": 2048, "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"],
    "up_block_types": ["CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"], "layers_per_block": 2, "projection_class_embeddings_input_dim": 2816,
    "sample_size": 128, "transformer_layers_per_block": [1, 2, 10], "use_linear_projection": True,
}  # fmt: skip
FAMILY = FAMILIES["sdxl"]
STEPS = 6


def base_of(device: str) -> Any:
    """As much of a base model as a step needs: bfloat16 weights without numbers, or random ones on a GPU."""
    make: Any = UNet2DConditionModel
    with torch.device("meta"):
        unet = make(**SDXL).to(torch.bfloat16)
    if device == "cuda":
        unet = unet.to_empty(device="cuda")
        for parameter in unet.parameters():
            torch.nn.init.normal_(parameter, std=0.02)
    compute = Compute(torch.device("cuda"), torch.bfloat16, torch.bfloat16)
    return SimpleNamespace(family=FAMILY, denoiser=unet, compute=compute, lora=SimpleNamespace(use=lambda path: None))


def words(count: int) -> dict[str, torch.Tensor]:
    return {"prompt_embeds": torch.zeros(count, 77, 2048), "pooled_prompt_embeds": torch.zeros(count, 1280)}


def measured(base: Any, settings: TrainingSettings, count: int, checkpointing: bool) -> tuple[int, float]:
    """Peak bytes and seconds of a step on a GPU."""
    side = settings.resolution // 8
    with adapted(base, FAMILY.targets, settings.rank, settings.alpha, 0, checkpointing=checkpointing) as denoiser:
        optimizer = Optimizer(denoiser.parameters, "adamw")
        inputs = torch.randn(count, 4, side, side).cuda(), torch.full((count,), 500.0).cuda()
        texts = {name: part.cuda() for name, part in words(count).items()}
        moments = []
        for _ in range(STEPS):
            denoiser(*inputs, texts, torch.zeros(count, 6).cuda()).square().mean().backward()
            optimizer.step(1e-4)
            torch.cuda.synchronize()
            moments.append(time.perf_counter())
    return torch.cuda.max_memory_allocated(), (moments[-1] - moments[0]) / (STEPS - 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rank", type=int, default=32)
    parser.add_argument("--resolution", type=int, default=1024)
    args = parser.parse_args()
    gpu = torch.cuda.is_available()
    base = base_of("cuda" if gpu else "meta")
    settings = TrainingSettings("sdxl", 1, args.rank, args.rank / 2, 1e-4, 1, args.resolution, 0)
    side = args.resolution // 8
    begun = time.perf_counter()
    one = footprint(base, FAMILY.targets, args.rank, (1, 4, side, side), words(1))
    print(f"counted in {time.perf_counter() - begun:.1f} s: {one.adapter / 1e6:.1f} M parameters of the LoRA, {one.forward / 1e12:.2f} TFLOP forward")
    demand = Demand(one, settings, others=0, gpu=True)
    for count in (1, 2, 4):
        for checkpointing in (False, True):
            predicted = demand.peak(count, checkpointing) - CONTEXT
            line = f"{count} at once, checkpointing {'on ' if checkpointing else 'off'}: predicted {predicted / GIB:6.2f} GiB"
            if gpu:
                torch.cuda.empty_cache()
                torch.cuda.reset_peak_memory_stats()
                peak, seconds = measured(base, settings, count, checkpointing)
                speed = count * demand.operations(checkpointing) / settings.effective_batch / seconds / 1e12
                line += f", measured {peak / GIB:6.2f} GiB, ratio {predicted / peak:.3f}; {seconds:.3f} s a step, {speed:.0f} TFLOP/s"
            print(line)


if __name__ == "__main__":
    main()
