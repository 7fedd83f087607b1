"""The other side of ``bench/training_peer.py``: the loop that the diffusers documentation leads to, nothing of twinloop in it.

MODEL PHOTOS STEPS BATCH RESOLUTION PRECISION -> one line of JSON.
"""

from __future__ import annotations

import json
import resource
import statistics
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import DDPMScheduler, StableDiffusionXLPipeline
from peft import LoraConfig
from peft.utils import get_peft_model_state_dict
from PIL import Image

PROMPTS, SEEDS, GENERATION_STEPS = 6, 4, 8
RANK = 16
LAYERS = ["to_q", "to_k", "to_v", "to_out.0", "proj_in", "proj_out", "ff.net.0.proj", "ff.net.2"]
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


class Photos(torch.utils.data.Dataset[torch.Tensor]):
    """Decoded, resized and cropped whenever they are asked for."""

    def __init__(self, folder: Path, size: int) -> None:
        self.paths, self.size = sorted(folder.iterdir()), size

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, number: int) -> torch.Tensor:
        image = Image.open(self.paths[number]).convert("RGB")
        scale = self.size / min(image.size)
        image = image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.BILINEAR)
        left, top = (image.width - self.size) // 2, (image.height - self.size) // 2
        pixels = np.asarray(image.crop((left, top, left + self.size, top + self.size)), np.float32)
        return torch.from_numpy(pixels / 127.5 - 1).permute(2, 0, 1)


def train(model: str, photos: Path, steps: int, batch: int, size: int, dtype: torch.dtype, home: Path) -> dict[str, float]:
    moments = [time.perf_counter()]
    pipeline: Any = StableDiffusionXLPipeline.from_pretrained(model, torch_dtype=dtype, use_safetensors=True).to(DEVICE)
    unet, vae, schedule = pipeline.unet, pipeline.vae, DDPMScheduler.from_config(pipeline.scheduler.config)
    vae.to(torch.float32)
    for part in (unet, vae, pipeline.text_encoder, pipeline.text_encoder_2):
        part.requires_grad_(False)
    unet.add_adapter(LoraConfig(r=RANK, lora_alpha=RANK, init_lora_weights="gaussian", target_modules=LAYERS))
    weights = [parameter for parameter in unet.parameters() if parameter.requires_grad]
    for parameter in weights:
        parameter.data = parameter.data.float()
    optimizer = torch.optim.AdamW(weights, lr=1e-4, weight_decay=1e-2)
    with torch.no_grad():
        words, _, pooled, _ = pipeline.encode_prompt("photo of ohwx ana", do_classifier_free_guidance=False)
    sizes = torch.tensor([[size, size, 0, 0, size, size]], device=DEVICE, dtype=dtype)
    unet.train()
    loader = torch.utils.data.DataLoader(Photos(photos, size), batch_size=batch, shuffle=True, drop_last=True)
    step = 0
    while step < steps:
        for pixels in loader:
            clean = vae.encode(pixels.to(DEVICE)).latent_dist.sample() * vae.config.scaling_factor
            noise = torch.randn_like(clean)
            times = torch.randint(0, schedule.config.num_train_timesteps, (len(clean),), device=DEVICE)
            noisy = schedule.add_noise(clean, noise, times).to(dtype)
            more = {"text_embeds": pooled.repeat(len(clean), 1), "time_ids": sizes.repeat(len(clean), 1)}
            with torch.autocast(DEVICE, dtype, enabled=dtype != torch.float32):
                made = unet(noisy, times, words.repeat(len(clean), 1, 1), added_cond_kwargs=more).sample
            loss = torch.nn.functional.mse_loss(made.float(), noise.float())
            loss.backward()
            torch.nn.utils.clip_grad_norm_(weights, 1.0)
            optimizer.step()
            optimizer.zero_grad()
            loss.detach().item()  # for the progress bar
            moments.append(time.perf_counter())
            step += 1
            if step == steps:
                break
    StableDiffusionXLPipeline.save_lora_weights(home, unet_lora_layers=get_peft_model_state_dict(unet))
    between = [after - before for before, after in pairwise(moments[1:])]
    return {"steady step, s": statistics.median(between), "load to the end of step 1, s": moments[1] - moments[0], "whole training, s": moments[-1] - moments[0]}


def generate(model: str, size: int, dtype: torch.dtype, lora: Path) -> dict[str, float]:
    pipeline: Any = StableDiffusionXLPipeline.from_pretrained(model, torch_dtype=dtype, use_safetensors=True).to(DEVICE)
    pipeline.set_progress_bar_config(disable=True)
    pipeline.load_lora_weights(str(lora), use_safetensors=True)
    begun = time.perf_counter()
    for number in range(PROMPTS):
        for seed in range(SEEDS):
            pipeline(
                f"photo of ohwx ana smiling {'a ' * number}", negative_prompt="blurry", num_inference_steps=GENERATION_STEPS, guidance_scale=5.0, width=size,
                height=size, generator=torch.Generator("cpu").manual_seed(100 + seed),
            )  # fmt: skip
    seconds = time.perf_counter() - begun
    begun = time.perf_counter()
    pipeline.unload_lora_weights()
    pipeline.load_lora_weights(str(lora), use_safetensors=True)
    return {"24 images (6 prompts, 4 seeds), s": seconds, "texts encoded": 2 * PROMPTS * SEEDS, "exchange of a LoRA, s": time.perf_counter() - begun}


def main() -> None:
    model, photos, steps, batch, resolution, precision = sys.argv[1:]
    dtype = getattr(torch, precision)
    with tempfile.TemporaryDirectory() as home:
        figures = train(model, Path(photos), int(steps), int(batch), int(resolution), dtype, Path(home))
        figures["peak memory of the process, MiB"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        if torch.cuda.is_available():
            figures["peak memory of the GPU, MiB"] = torch.cuda.max_memory_allocated() / 2**20
        figures |= generate(model, int(resolution), dtype, Path(home))
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
