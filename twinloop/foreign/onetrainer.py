"""Nerogar/OneTrainer: configuration and concepts.

Source: its modules/util/config/TrainConfig.py and ConceptConfig.py, modules/util/enum and training_presets/*.json."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from twinloop.foreign import TITLES
from twinloop.foreign.job import SHIFTS, Job, known, more_steps, quantized, trigger_goes, without_parts
from twinloop.foreign.pictures import Folder
from twinloop.foreign.program import MASKED, Program
from twinloop.system import shell

TITLE = TITLES["onetrainer"]
VERSION = 10
"""Of its configuration, as these keys have it. Without the number they are taken for those of its first version, and
``optimizer`` breaks."""
MODEL_TYPES = {
    "sd15": "STABLE_DIFFUSION_15",
    "sdxl": "STABLE_DIFFUSION_XL_10_BASE",
    "sd35": "STABLE_DIFFUSION_35",
    "flux": "FLUX_DEV_1",
    "flux2": "FLUX_2",
    "flux2-klein": "FLUX_2",
    "zimage": "Z_IMAGE",
    "qwen-image": "QWEN",
    "chroma": "CHROMA_1",
    "anima": "ANIMA",
    "krea2": "KREA_2",
}
ABLE = frozenset(
    (
        "text_encoder text_encoder_learning_rate smaller_resolutions flow_sampling flow_shift shuffle_captions "
        "keep_tokens prior_weight mask_floor"
    ).split()
) | {MASKED}
TEXT_ENCODERS = {"sdxl": 2, "sd35": 3, "flux": 2}
SCHEDULES = {"cosine_restarts": "COSINE_WITH_HARD_RESTARTS"}
QUANTIZATIONS = {"fp8": "FLOAT_8", "nf4": "NFLOAT_4"}
"""A ``weight_dtype`` of the denoiser. Its INT_8 cannot be chosen in its interface."""
OPTIMIZERS = {
    "adamw": "ADAMW",
    "adamw8bit": "ADAMW_8BIT",
    "prodigy": "PRODIGY",
    "adafactor": "ADAFACTOR",
    "lion": "LION",
    "came": "CAME",
    "adamw_schedulefree": "SCHEDULE_FREE_ADAMW",
}


def config_json(job: Job, concepts: str) -> str:
    """The configuration: load it in the interface, or ``python scripts/train.py --config-path FILE``.

    Raises:
        InputError: it does not train the family, or does not know the quantization.
    """
    settings = job.settings
    config: dict[str, Any] = {
        "__version": VERSION,
        "training_method": "LORA",
        "model_type": known(TITLE, MODEL_TYPES, job.family),
        "base_model_name": job.base,
        "workspace_dir": str(job.output / "workspace"),
        "cache_dir": str(job.output / "cache"),
        "output_model_destination": str(job.output / f"{job.name}.safetensors"),
        "output_model_format": "SAFETENSORS",
        "concept_file_name": concepts,
        "aspect_ratio_bucketing": True,
        "latent_caching": True,
        "resolution": ",".join(map(str, sorted((settings.resolution, *settings.smaller_resolutions)))),
        "batch_size": settings.batch_size,
        "gradient_accumulation_steps": settings.gradient_accumulation,
        "epochs": max(1, math.ceil(settings.steps * settings.effective_batch / job.drawn)),
        "learning_rate": settings.learning_rate,
        "learning_rate_scheduler": SCHEDULES.get(settings.schedule, settings.schedule.upper()),
        "learning_rate_warmup_steps": job.in_turns(settings.warmup_steps),
        "learning_rate_cycles": settings.restarts,
        "clip_grad_norm": settings.clip_norm or None,
        "lora_rank": settings.rank,
        "lora_alpha": settings.network_alpha,
        "optimizer": {
            "optimizer": OPTIMIZERS.get(settings.optimizer, settings.optimizer.upper()),
            "weight_decay": settings.weight_decay,
        },
        "train_dtype": _half(job),
        "output_dtype": "FLOAT_16",
        "sample_after_unit": "NEVER",
        **_checkpointing(job),
        **({"save_every": job.in_turns(settings.save_every), "save_every_unit": "STEP"} if settings.save_every else {}),
        **_parts(job),
        **_loss(job),
        **_masked(job),
    }
    return json.dumps(config, indent=4, ensure_ascii=False) + "\n"


def _checkpointing(job: Job) -> dict[str, Any]:
    """Of gradients; its own usual is ON."""
    asked = job.settings.gradient_checkpointing
    return {} if asked is None else {"gradient_checkpointing": "ON" if asked else "OFF"}


def _parts(job: Job) -> dict[str, Any]:
    """The parts of the model: which are trained, and in which precision they lie."""
    denoiser = "unet" if job.family.denoiser == "unet" else "transformer"
    settings = job.settings
    clips = job.family.text_encoders().prefixes if settings.text_encoder else {}
    texts = {"weight_dtype": _half(job), "dropout_probability": settings.caption_dropout}
    names = [f"text_encoder{'' if n == 1 else f'_{n}'}" for n in range(1, TEXT_ENCODERS.get(job.family.name, 1) + 1)]
    return {
        denoiser: {"train": True, "weight_dtype": quantized(TITLE, QUANTIZATIONS, job.quantization) or _half(job)},
        **{name: {**texts, **_trained(job, name in clips)} for name in names},
        "vae": {"weight_dtype": "FLOAT_32"},
    }


def _half(job: Job) -> str:
    return "FLOAT_16" if job.float16 else "BFLOAT_16"


def _trained(job: Job, wanted: bool) -> dict[str, Any]:
    return {"train": True, "learning_rate": job.settings.text_encoder_rate} if wanted else {"train": False}


def _loss(job: Job) -> dict[str, Any]:
    """Times of a flow; weights, noise and prediction of the others."""
    if job.family.flow:
        shift = job.settings.flow_shift or SHIFTS.get(job.family.name)
        moved: dict[str, Any] = {"dynamic_timestep_shifting": True} if shift is None else {"timestep_shift": shift}
        return {"timestep_distribution": (job.settings.flow_sampling or "logit_normal").upper(), **moved}
    loss: dict[str, Any] = (
        {"loss_weight_fn": "MIN_SNR_GAMMA", "loss_weight_strength": job.min_snr_gamma} if job.min_snr_gamma > 0 else {}
    )
    loss |= {"offset_noise_weight": job.noise_offset} if job.noise_offset > 0 else {}
    if job.prediction.velocity:
        loss |= {"force_v_prediction": True, "rescale_noise_scheduler_to_zero_terminal_snr": job.prediction.zero_snr}
    return loss


def _masked(job: Job) -> dict[str, Any]:
    """As this program does it: every step is masked, and an image's weights have a mean of 1."""
    if not job.masked:
        return {}
    return {
        "masked_training": True,
        "unmasked_probability": 0.0,
        "unmasked_weight": job.settings.mask_floor,  # which the masks that are written have in them
        "normalize_masked_area_loss": True,
    }


def concepts_json(job: Job) -> str:
    """The dataset: one concept per folder; captions lie beside the pictures (``prompt_source`` "sample")."""
    concepts = [
        {
            "name": folder.name,
            "path": job.place(folder),
            "seed": job.settings.seed,
            "enabled": True,
            "include_subdirectories": False,
            "balancing": _repeats(job, folder),
            "balancing_strategy": "REPEATS",
            "loss_weight": job.settings.prior_weight if folder.prior else 1.0,
            "image": {"enable_crop_jitter": False, "enable_random_flip": job.settings.flip},
            "text": {
                "prompt_source": "sample",
                "enable_tag_shuffling": job.settings.shuffle_captions,
                "tag_delimiter": ",",
                "keep_tags_count": job.keep_tokens,
            },
        }
        for folder in job.folders
    ]
    return json.dumps(concepts, indent=4, ensure_ascii=False) + "\n"


def _repeats(job: Job, folder: Folder) -> float:
    """How often a pass has each picture of a folder; of prior images it has as many as of the others, as our steps have
    a batch of each.
    """
    return round(job.drawn / job.prior_pictures, 4) if folder.prior else float(folder.repeats)


def notes(job: Job) -> tuple[str, ...]:
    """What of the settings this program cannot do, in words."""
    told = more_steps(TITLE, job)
    if job.prior_pictures and job.settings.caption_dropout:
        told += (f"captions of prior images are dropped as often as the others: {TITLE} has one number for all",)
    return (*told, *trigger_goes(TITLE, job))


def _files(job: Job) -> Mapping[str, str]:
    without_parts(TITLE, job)
    return {"config.json": config_json(job, job.file("concepts.json")), "concepts.json": concepts_json(job)}


def _start(job: Job) -> tuple[str, ...]:
    return (
        "Load config.json in the interface, or in the folder of OneTrainer:",
        f"  python scripts/train.py --config-path {shell.quote(job.file('config.json'))}",
    )


PROGRAM = Program("onetrainer", _files, _start, notes, ABLE, QUANTIZATIONS, masks_beside=True)
