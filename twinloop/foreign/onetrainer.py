"""Nerogar/OneTrainer: configuration and concepts. Source: its training_presets/*.json and modules/util/config/ConceptConfig.py."""

from __future__ import annotations

import json
import math
from typing import Any

from twinloop.foreign.job import Job, known

PROGRAM = "OneTrainer"
MODEL_TYPES = {
    "sd15": "STABLE_DIFFUSION_15", "sdxl": "STABLE_DIFFUSION_XL_10_BASE", "sd35": "STABLE_DIFFUSION_35", "flux": "FLUX_DEV_1",
    "flux2": "FLUX_2", "flux2-klein": "FLUX_2", "zimage": "Z_IMAGE", "qwen-image": "QWEN",
}  # fmt: skip
SCHEDULES = {"cosine_restarts": "COSINE_WITH_RESTARTS"}
OPTIMIZERS = {"adamw": "ADAMW", "adamw8bit": "ADAMW_8BIT", "prodigy": "PRODIGY", "adafactor": "ADAFACTOR"}


def config_json(job: Job, concepts: str) -> str:
    """The configuration: load it in the interface, or ``python scripts/train.py --config-path FILE``.

    Raises:
        InputError: it does not train the family.
    """
    settings = job.settings
    drawn = sum(folder.repeats * len(folder.pictures) for folder in job.folders)
    config: dict[str, Any] = {
        "training_method": "LORA", "model_type": known(PROGRAM, MODEL_TYPES, job.family), "base_model_name": job.base,
        "workspace_dir": str(job.output / "workspace"), "cache_dir": str(job.output / "cache"),
        "output_model_destination": str(job.output / f"{job.name}.safetensors"), "output_model_format": "SAFETENSORS",
        "concept_file_name": concepts, "aspect_ratio_bucketing": True, "latent_caching": True, "resolution": str(settings.resolution),
        "batch_size": settings.batch_size, "gradient_accumulation_steps": settings.gradient_accumulation, "epochs": max(1, math.ceil(settings.steps * settings.effective_batch / drawn)),
        "learning_rate": settings.learning_rate, "learning_rate_scheduler": SCHEDULES.get(settings.schedule, settings.schedule.upper()),
        "learning_rate_warmup_steps": settings.warmup_steps,
        "optimizer": {"optimizer": OPTIMIZERS.get(settings.optimizer, settings.optimizer.upper())},
        "lora_rank": settings.rank, "lora_alpha": settings.alpha, "seed": settings.seed,
        "train_dtype": "BFLOAT_16", "weight_dtype": "BFLOAT_16", "output_dtype": "FLOAT_16",
        "text_encoder": {"train": False}, "text_encoder_2": {"train": False}, "vae": {"weight_dtype": "FLOAT_32"},
    }  # fmt: skip
    if job.family.flow:
        config["timestep_distribution"] = "LOGIT_NORMAL"
    elif settings.noise_offset > 0:
        config["offset_noise_weight"] = settings.noise_offset
    return json.dumps(config, indent=4, ensure_ascii=False) + "\n"


def concepts_json(job: Job) -> str:
    """The dataset: one concept per folder; captions lie beside the pictures (``prompt_source`` "sample")."""
    concepts = [
        {
            "name": folder.name, "path": job.place(folder), "seed": job.settings.seed, "enabled": True, "include_subdirectories": False,
            "balancing": float(folder.repeats), "balancing_strategy": "REPEATS", "loss_weight": 1.0,
            "image": {"enable_crop_jitter": False, "enable_random_flip": job.settings.flip},
            "text": {"prompt_source": "sample", "enable_tag_shuffling": False},
        }
        for folder in job.folders
    ]  # fmt: skip
    return json.dumps(concepts, indent=4, ensure_ascii=False) + "\n"
