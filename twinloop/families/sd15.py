"""Stable Diffusion 1.x and its many fine-tunes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twinloop.families import parts
from twinloop.families.base import SCHEDULERS, Family, Preset, SingleFile, TrainableEncoders
from twinloop.families.losses import DiffusionLoss
from twinloop.ports import GenerationSettings, TrainingSettings


def encode(pipeline: Any, text: str | list[str], device: Any) -> dict[str, Any]:
    words, _ = pipeline.encode_prompt(text, device, num_images_per_prompt=1, do_classifier_free_guidance=False)
    return {"prompt_embeds": words}


def encode_trained(pipeline: Any, texts: Sequence[str], cached: Any, device: Any) -> dict[str, Any]:
    return encode(pipeline, list(texts), device)


def denoise(model: Any, latents: Any, times: Any, words: Any, sizes: Any) -> Any:
    return model(latents, times, words["prompt_embeds"], return_dict=False)[0]


FAMILY = Family(
    name="sd15",
    pipeline="StableDiffusionPipeline",
    image_pipeline="StableDiffusionImg2ImgPipeline",
    reference="stable-diffusion-v1-5/stable-diffusion-v1-5",
    download="3 GB in half precision",
    half_copies=True,
    targets=("to_q", "to_k", "to_v", "to_out.0", "proj_in", "proj_out", "ff.net.0.proj", "ff.net.2"),
    architecture="stable-diffusion-v1",
    base_version="sd_v1",
    size_multiple=8,
    licence="Stable Diffusion 1.5: CreativeML Open RAIL-M; fine-tunes have their own terms.",
    denoiser="unet",
    patch=1,
    clip_alone=True,
    encode=encode,
    denoise=denoise,
    to_latents=parts.scaled,
    to_raw=parts.raw_of,
    loss=DiffusionLoss(),
    trainable_encoders=TrainableEncoders({"text_encoder": "lora_te_"}, encode_trained),
    schedulers=SCHEDULERS,
    single_file=SingleFile(
        whole=True,
        model="UNet2DConditionModel",
        marks=((
            "cond_stage_model.transformer.text_model.embeddings.position_embedding.weight", "model.diffusion_model.input_blocks.0.0.weight",
        ),),
    ),
    presets={
        "sd15": Preset(
            GenerationSettings(steps=30, guidance=7.5, width=512, height=512, batch_size=4),
            TrainingSettings(
                preset="sd15", steps=1500, rank=32, alpha=16.0, learning_rate=1e-4, batch_size=4, resolution=512, seed=0,
                warmup_steps=50, min_snr_gamma=5.0, checkpoint_every=250,
            ),
            repeats=10,
            hints=("sd15", "sd-1-5", "sd1.5", "v1-5", "stable-diffusion-v1", "sd-v1", "lcm-dreamshaper"),
        ),
    },
)  # fmt: skip
