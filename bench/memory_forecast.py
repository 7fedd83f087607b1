"""What the forecast says of training SDXL at its real size on a GPU, from shapes alone; needs neither weights nor a
GPU.

    python bench/memory_forecast.py [--rank 32] [--resolution 1024] [--lokr FACTOR]

Per line: pictures at once, gradient checkpointing, predicted peak of the denoiser's part in GiB. `gpu_sdxl.py` holds it
against what a training really takes.
"""

from __future__ import annotations

import argparse
import time
from types import SimpleNamespace
from typing import Any

import twinloop.adapters  # noqa: F401 - before PyTorch and diffusers: their import notes are left out

# isort: split
import torch
from diffusers import UNet2DConditionModel

from twinloop.adapters.diffusion.compute import Compute
from twinloop.adapters.trainers.lora.adapter_plan import AdapterPlan
from twinloop.adapters.trainers.memory.demand import CONTEXT, Demand
from twinloop.adapters.trainers.memory.dry_run import footprint
from twinloop.domain.forecast import GIB
from twinloop.families import FAMILIES
from twinloop.ports import TrainingSettings

SDXL: dict[str, Any] = {
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 256,
    "attention_head_dim": [5, 10, 20],
    "block_out_channels": [320, 640, 1280],
    "cross_attention_dim": 2048,
    "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"],
    "up_block_types": ["CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"],
    "layers_per_block": 2,
    "projection_class_embeddings_input_dim": 2816,
    "sample_size": 128,
    "transformer_layers_per_block": [1, 2, 10],
    "use_linear_projection": True,
}
FAMILY = FAMILIES["sdxl"]


def base_on_a_gpu() -> Any:
    """As much of a base model as counting needs: bfloat16 weights without numbers."""
    make: Any = UNet2DConditionModel
    with torch.device("meta"):
        unet = make(**SDXL).to(torch.bfloat16)
    return SimpleNamespace(
        family=FAMILY, denoiser=unet, compute=Compute(torch.device("cuda"), torch.bfloat16, torch.bfloat16)
    )


def words() -> dict[str, torch.Tensor]:
    return {"prompt_embeds": torch.zeros(1, 77, 2048), "pooled_prompt_embeds": torch.zeros(1, 1280)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rank", type=int, default=32)
    parser.add_argument("--resolution", type=int, default=1024)
    parser.add_argument(
        "--lokr", type=int, default=0, metavar="FACTOR", help="a LoKr of this factor, -1 = automatic, instead of a LoRA"
    )
    args = parser.parse_args()
    settings = TrainingSettings(
        "sdxl",
        1,
        args.rank,
        args.rank / 2,
        1e-4,
        1,
        args.resolution,
        0,
        adapter="lokr" if args.lokr else "lora",
        lokr_factor=args.lokr,
    )
    side = args.resolution // 8
    begun = time.perf_counter()
    plan = AdapterPlan(FAMILY.targets, args.rank, args.rank, lokr=args.lokr)
    one = footprint(base_on_a_gpu(), plan, (1, 4, side, side), words())
    print(
        f"counted in {time.perf_counter() - begun:.1f} s: {one.adapter / 1e6:.1f} M parameters of the adapter,"
        f" {one.forward / 1e12:.2f} TFLOP forward"
    )
    demand = Demand(one, settings, resident=0, gpu=True)
    for count in (1, 2, 4):
        for checkpointing in (False, True):
            predicted = demand.peak(count, checkpointing) - CONTEXT
            print(
                f"{count} at once, checkpointing {'on ' if checkpointing else 'off'}: {predicted / GIB:6.2f} GiB,"
                f" {demand.operations(checkpointing) * count / 1e12:.1f} TFLOP"
            )


if __name__ == "__main__":
    main()
