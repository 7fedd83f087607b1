"""The loop that the diffusers documentation leads to, nothing of twinloop in it: the other side of
``bench/training_peer.py`` where the script is not at hand.

plain_sdxl.py train MODEL PHOTOS STEPS BATCH RESOLUTION PRECISION HOME
plain_sdxl.py generate MODEL RESOLUTION PRECISION LORA [--images STEPS,PROMPTS,SEEDS]
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from clock import Clock
from diffusers import DDPMScheduler, StableDiffusionXLPipeline
from peft import LoraConfig
from peft.utils import get_peft_model_state_dict
from PIL import Image

CLOCK = Clock()
RANK = 16
CAPTION = "photo of ohwx ana"
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


class Photos(torch.utils.data.Dataset[torch.Tensor]):
    """Decoded, resized and cropped whenever they are asked for."""

    def __init__(self, folder: Path, size: int) -> None:
        self.paths, self.size = sorted(path for path in folder.iterdir() if path.suffix != ".jsonl"), size

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, number: int) -> torch.Tensor:
        image = Image.open(self.paths[number]).convert("RGB")
        scale = self.size / min(image.size)
        image = image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.BILINEAR)
        left, top = (image.width - self.size) // 2, (image.height - self.size) // 2
        pixels = np.asarray(image.crop((left, top, left + self.size, top + self.size)), np.float32)
        return torch.from_numpy(pixels / 127.5 - 1).permute(2, 0, 1)


def train(model: str, photos: Path, steps: int, batch: int, size: int, dtype: torch.dtype, home: Path) -> None:
    CLOCK.mark("imports")
    pipeline: Any = StableDiffusionXLPipeline.from_pretrained(model, dtype=dtype, use_safetensors=True).to(DEVICE)
    unet, vae, schedule = pipeline.unet, pipeline.vae, DDPMScheduler.from_config(pipeline.scheduler.config)
    vae.to(torch.float32)
    for part in (unet, vae, pipeline.text_encoder, pipeline.text_encoder_2):
        part.requires_grad_(False)
    unet.add_adapter(
        LoraConfig(
            r=RANK, lora_alpha=RANK, init_lora_weights="gaussian", target_modules=["to_k", "to_q", "to_v", "to_out.0"]
        )
    )
    weights = [parameter for parameter in unet.parameters() if parameter.requires_grad]
    for parameter in weights:
        parameter.data = parameter.data.float()
    optimizer = torch.optim.AdamW(weights, lr=1e-4, weight_decay=1e-2)
    with torch.no_grad():
        words, _, pooled, _ = pipeline.encode_prompt(CAPTION, do_classifier_free_guidance=False)
    sizes = torch.tensor([[size, size, 0, 0, size, size]], device=DEVICE, dtype=dtype)
    unet.train()
    loader = torch.utils.data.DataLoader(Photos(photos, size), batch_size=batch, shuffle=True, drop_last=True)
    while len(CLOCK.steps) < steps:
        for pixels in loader:
            clean = vae.encode(pixels.to(DEVICE)).latent_dist.sample() * vae.config.scaling_factor
            noise = torch.randn_like(clean)
            times = torch.randint(0, schedule.config.num_train_timesteps, (len(clean),), device=DEVICE)
            noisy = schedule.add_noise(clean, noise, times).to(dtype)
            more = {"text_embeds": pooled.repeat(len(clean), 1), "time_ids": sizes.repeat(len(clean), 1)}
            with torch.autocast(DEVICE, dtype, enabled=dtype != torch.float32):
                made = unet(noisy, times, words.repeat(len(clean), 1, 1), added_cond_kwargs=more).sample
            loss = torch.nn.functional.mse_loss(made.float(), noise.float())
            torch.autograd.backward(loss)
            torch.nn.utils.clip_grad_norm_(weights, 1.0)
            optimizer.step()
            optimizer.zero_grad()
            CLOCK.step(loss.detach().item())
            if len(CLOCK.steps) == steps:
                break
    StableDiffusionXLPipeline.save_lora_weights(home, unet_lora_layers=get_peft_model_state_dict(unet))


def generate(model: str, size: int, dtype: torch.dtype, lora: Path, images: tuple[int, int, int]) -> dict[str, float]:
    steps, prompts, seeds = images
    pipeline: Any = StableDiffusionXLPipeline.from_pretrained(model, dtype=dtype, use_safetensors=True).to(DEVICE)
    pipeline.set_progress_bar_config(disable=True)
    pipeline.load_lora_weights(str(lora), use_safetensors=True)
    begun = time.perf_counter()
    for number in range(prompts):
        for seed in range(seeds):
            pipeline(
                f"{CAPTION} smiling {'a ' * number}",
                negative_prompt="blurry",
                num_inference_steps=steps,
                guidance_scale=5.0,
                width=size,
                height=size,
                generator=torch.Generator("cpu").manual_seed(100 + seed),
            )
    seconds = time.perf_counter() - begun
    begun = time.perf_counter()
    pipeline.unload_lora_weights()
    pipeline.load_lora_weights(str(lora), use_safetensors=True)
    texts = 2 * prompts * seeds
    return {
        "s an image": seconds / (prompts * seeds), "texts encoded": texts, "texts encoded again": texts,
        "exchange of a LoRA, s": time.perf_counter() - begun,
    }  # fmt: skip


def main() -> None:
    what, model, *rest = sys.argv[1:]
    if what == "generate":
        size, precision, lora, *counts = rest
        denoising, prompts, seeds = map(int, (counts[1] if counts else "8,6,4").split(","))
        print(
            CLOCK.report(
                figures=generate(model, int(size), dtype_of(precision), Path(lora), (denoising, prompts, seeds))
            )
        )
        return
    photos, steps, batch, size, precision, home = rest
    train(model, Path(photos), int(steps), int(batch), int(size), dtype_of(precision), Path(home))
    print(CLOCK.report())


def dtype_of(precision: str) -> torch.dtype:
    """``auto``: what our side takes by itself."""
    if precision == "auto":
        return torch.bfloat16 if DEVICE == "cuda" else torch.float32
    found: torch.dtype = getattr(torch, precision)
    return found


if __name__ == "__main__":
    main()
