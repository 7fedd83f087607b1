"""SDXL and everything that shares its architecture: Animagine, Illustrious, Pony, and the embedded nano base."""

from __future__ import annotations

from dataclasses import replace

from twinloop.families.base import Family, Preset
from twinloop.ports import GenerationSettings, TrainingSettings

# 1000-2000 steps of one to two images, rank 16-32, 1e-4, min-SNR 5 and a little noise offset are what SDXL trainers agree on
_TRAINING = TrainingSettings(
    preset="sdxl", steps=1500, rank=32, alpha=16.0, learning_rate=1e-4, batch_size=2, resolution=1024, seed=0,
    warmup_steps=50, min_snr_gamma=5.0, noise_offset=0.0357, checkpoint_every=250,
)  # fmt: skip
_GENERATION = GenerationSettings(steps=30, guidance=7.5, width=1024, height=1024, batch_size=1)

FAMILY = Family(
    name="sdxl",
    pipeline="StableDiffusionXLPipeline",
    image_pipeline="StableDiffusionXLImg2ImgPipeline",
    reference="stabilityai/stable-diffusion-xl-base-1.0",
    targets=("to_q", "to_k", "to_v", "to_out.0", "proj_in", "proj_out", "ff.net.0.proj", "ff.net.2"),
    architecture="stable-diffusion-xl-v1-base",
    base_version="sdxl_base_v1-0",
    size_multiple=8,
    licence="SDXL base: CreativeML Open RAIL++-M; fine-tunes have their own terms.",
    presets={
        "sdxl": Preset(_GENERATION, _TRAINING, repeats=10),
        "animagine": Preset(
            replace(_GENERATION, steps=28, guidance=7.0), replace(_TRAINING, preset="animagine"), style="tags", repeats=10
        ),
        "nano": Preset(
            GenerationSettings(steps=20, guidance=4.0, width=256, height=256, batch_size=8),
            TrainingSettings(
                preset="nano", steps=220, rank=16, alpha=16.0, learning_rate=1e-3, batch_size=8, resolution=256, seed=0,
                warmup_steps=10, min_snr_gamma=0.0, noise_offset=0.0, checkpoint_every=40,
            ),
            aspect_buckets=False,
            true_sizes=False,
        ),
    },
)  # fmt: skip
