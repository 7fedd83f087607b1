"""The user's numbers over the preset's."""

from __future__ import annotations

import math
from dataclasses import fields, replace
from pathlib import Path

from twinloop.config import Settings
from twinloop.domain.choices import SCHEDULE_FREE
from twinloop.domain.optimizer_args import ordered
from twinloop.ports import GenerationSettings, TrainingSettings
from twinloop.store.atomic import sha256_file
from twinloop.store.models.part_hashes import hashes_of_parts


def generation_settings(settings: Settings, default: GenerationSettings) -> GenerationSettings:
    """The user's numbers over the preset's, which decides what the configuration leaves null
    (`families.preset_fields`).
    """
    asked = settings.generation
    return replace(
        default,
        steps=asked.num_inference_steps or default.steps,
        guidance=default.guidance if asked.guidance_scale is None else asked.guidance_scale,
        width=asked.width or default.width,
        height=asked.height or default.height,
        batch_size=asked.batch_size or default.batch_size,
        lora_scale=asked.lora_scale,
        strength=asked.strength,
        extra_loras=tuple((lora.path, lora.scale) for lora in asked.extra_loras),
        scheduler=asked.scheduler or "",
        timestep_spacing=asked.timestep_spacing,
        offload=asked.offload,
        vae_tiling=asked.vae_tiling,
        quantization=settings.quantization,
        precision=settings.precision,
        references=asked.references or default.references,
        compile=settings.compile,
        guidance_rescale=asked.guidance_rescale,
        base_prediction=settings.base_prediction,
        zero_terminal_snr=settings.zero_terminal_snr,
        clip_skip=settings.clip_skip,
        base_parts=tuple(hashes_of_parts(settings.base_parts.given).items()),
    )


PRODIGY_RATE = 1.0
"""Prodigy multiplies its own estimate by the rate."""
LION_DIVISOR = 3
"""Lion's rate is 3 to 10 times smaller than AdamW's (arXiv 2302.06675, section 5), for which the presets are."""
WARMUP_SHARE = 10
"""A preset's warm-up is for its own number of steps; a shorter training warms up for a tenth of its own at most."""


def training_settings(settings: Settings, default: TrainingSettings, repeats: int, images: int) -> TrainingSettings:
    """The user's numbers over the preset's, which decides what the configuration leaves null
    (`families.preset_fields`); ``epochs`` become steps by the number of images.

    Args:
        repeats: of the preset.
    """
    asked = settings.training
    given = {
        name: value
        for name in (field.name for field in fields(TrainingSettings) if field.name != "preset")
        if (value := getattr(asked, name, None)) is not None
    }
    if asked.start_from and Path(asked.start_from).is_file():
        given["start_sha256"] = sha256_file(Path(asked.start_from))
    if asked.assistant_lora and Path(asked.assistant_lora).is_file():
        given["assistant_sha256"] = sha256_file(Path(asked.assistant_lora))
    arguments = dict(ordered(asked.optimizer, asked.optimizer_args))
    if "weight_decay" in arguments:  # one place for it, wherever it was said
        given["weight_decay"] = arguments.pop("weight_decay")
    given["optimizer_args"] = tuple(arguments.items())
    given["memory"] = 0 if asked.memory == "auto" else asked.memory
    if asked.optimizer == "prodigy":
        given = {"learning_rate": PRODIGY_RATE, **given}
    if asked.optimizer == "lion":
        given = {"learning_rate": default.learning_rate / LION_DIVISOR, **given}
    if asked.debiased_estimation_loss:
        given = {"min_snr_gamma": 0.0, **given}
    if asked.optimizer in SCHEDULE_FREE:
        given = {"schedule": "constant", **given}
    given |= {"seed": settings.seed, "trigger": settings.person_trigger, "clip_skip": settings.clip_skip}
    chosen = replace(default, **given, compile=settings.compile)
    if asked.steps is None and asked.epochs is not None:
        wanted = math.ceil(asked.epochs * (asked.repeats or repeats) * images / chosen.effective_batch)
        chosen = replace(chosen, steps=min(wanted, asked.max_train_steps or wanted))
    if asked.warmup_steps is None:
        chosen = replace(chosen, warmup_steps=min(chosen.warmup_steps, chosen.steps // WARMUP_SHARE))
    if asked.validate_every is None and asked.trainer == "builtin":
        chosen = replace(chosen, validate_every=None)
    return chosen
