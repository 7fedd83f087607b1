"""bghira/SimpleTuner: configuration and data backends. Source: its documentation/OPTIONS.md and DATALOADER.md, and the
argument parsers and trainers of 3.1.6 and 4.10.1.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

from twinloop.foreign import TITLES
from twinloop.foreign.job import SHIFTS, Job, known, more_steps, quantized, trigger_goes, without_parts
from twinloop.foreign.program import Program
from twinloop.system import shell

TITLE = TITLES["simpletuner"]
FAMILIES = {
    "sd15": "sd1x",
    "sdxl": "sdxl",
    "sd35": "sd3",
    "flux": "flux",
    "flux2": "flux2",
    "flux2-klein": "flux2",
    "zimage": "z_image",
    "qwen-image": "qwen_image",
    "chroma": "chroma",
    "anima": "anima",
    "krea2": "krea2",
}
OLDER_NAMES = {"zimage": "z-image"}
"""What version 3 calls it."""
SINCE_4 = frozenset(("anima", "flux2-klein", "krea2"))
FLAVOURS = {"zimage-turbo": "turbo"}
"""Preset -> ``model_flavour``, where it has to be told: with this one it takes a training adapter from the hub."""
SCHEDULES = {"constant": "constant_with_warmup", "cosine_restarts": "cosine"}
"""Its ``cosine_with_restarts`` never falls (it takes the step modulo -1)."""
FALLING = frozenset(("cosine", "cosine_restarts"))
"""Its ``cosine`` takes ``lr_warmup_steps`` for the steps in which it falls, and rises again after them."""
OPTIMIZERS = {
    "adamw": "adamw_bf16",
    "adamw8bit": "bnb-adamw8bit",
    "prodigy": "prodigy",
    "lion": "optimi-lion",
    "adamw_schedulefree": "adamw_schedulefree",
}
USUAL_OPTIMIZER = "adamw_bf16"
"""Where it has not the one that is asked for: no CAME, and an Adafactor that multiplies the rate by the size of the
weights.
"""
FLOAT16_OPTIMIZER = "optimi-adamw"
"""Instead of ``adamw_bf16``, which takes bfloat16 only."""
QUANTIZATIONS = {"int8": "int8-quanto", "fp8": "fp8-torchao", "nf4": "nf4-bnb"}
"""Its ``base_model_precision``; it refuses ``fp8-quanto`` for SD 1.5, SDXL and SD 3.5."""
SINGLE_FILES = (".safetensors", ".ckpt")
SEED_INSTEAD_OF_0 = 24301
"""It takes 0 for the clock's time."""
ABLE = frozenset(("max_step_saves_to_keep",))


def config_json(job: Job, backends: str) -> str:
    """``config/config.json``.

    Raises:
        InputError: it does not train the family, or does not know the quantization.
    """
    settings, steps = job.settings, job.in_turns(job.settings.steps)
    config: dict[str, Any] = {
        "model_type": "lora",
        "lora_type": "standard",
        "model_family": known(TITLE, FAMILIES, job.family),
        "pretrained_model_name_or_path": job.base,
        "data_backend_config": backends,
        "output_dir": str(job.output),
        "lora_rank": settings.rank,
        "lora_alpha": settings.rank,  # its last file does not say alpha, which programs then take for the rank
        "lora_dropout": 0.0,
        "max_train_steps": steps,
        "num_train_epochs": 0,
        "train_batch_size": settings.batch_size,
        "learning_rate": settings.learning_rate,
        "lr_scheduler": SCHEDULES.get(settings.schedule, settings.schedule),
        "gradient_accumulation_steps": settings.gradient_accumulation,
        "lr_warmup_steps": steps if _falls(job) else job.in_turns(settings.warmup_steps),
        "lr_end": 0,
        "max_grad_norm": settings.clip_norm,
        "optimizer": _optimizer(job),
        "optimizer_config": f"weight_decay={settings.weight_decay:g}",
        "mixed_precision": job.precision,
        "gradient_checkpointing": settings.gradient_checkpointing is not False,
        "resolution": settings.resolution,
        "resolution_type": "pixel_area",
        "caption_dropout_probability": settings.caption_dropout,
        "checkpoint_step_interval": job.in_turns(job.save_every),
        "checkpoints_total_limit": job.saves_kept or steps,
        "resume_from_checkpoint": "latest",
        "seed": settings.seed or SEED_INSTEAD_OF_0,
        "minimum_image_size": 0,
        "aspect_bucket_rounding": 2,
        "validation_prompt": job.trigger,
        "validation_step_interval": job.in_turns(job.save_every),
        "validation_resolution": str(settings.resolution),
        "report_to": "none",
    }
    config |= {"snr_gamma": _whole_gamma(job)} if job.min_snr_gamma > 0 else {}
    if job.noise_offset > 0:
        config |= {"offset_noise": True, "noise_offset": job.noise_offset, "noise_offset_probability": 1.0}
    if wanted := quantized(TITLE, QUANTIZATIONS, job.quantization):
        config["base_model_precision"] = wanted
    config |= _parts(job) | _predicts(job)
    return json.dumps(config, indent=4, ensure_ascii=False) + "\n"


def _falls(job: Job) -> bool:
    """Whether the rate falls as half a cosine; without a schedule of its own an optimizer warms up by itself."""
    return job.settings.schedule in FALLING and job.settings.optimizer != "adamw_schedulefree"


def _whole_gamma(job: Job) -> int:
    """Its parser takes whole numbers only."""
    return max(1, round(job.min_snr_gamma))


def _parts(job: Job) -> dict[str, Any]:
    """The variant of a family, where it matters, and an autoencoder that it would otherwise take from the hub."""
    parts = {"model_flavour": FLAVOURS[job.settings.preset]} if job.settings.preset in FLAVOURS else {}
    if job.family.name == "flux2-klein":
        parts["model_flavour"] = "klein-9b" if "9b" in job.base.lower() else "klein-4b"
    if job.family.name == "sdxl" and PurePath(job.base).suffix not in SINGLE_FILES:
        parts["pretrained_vae_model_name_or_path"] = job.base
    return parts


def _optimizer(job: Job) -> str:
    name = OPTIMIZERS.get(job.settings.optimizer, USUAL_OPTIMIZER)
    return FLOAT16_OPTIMIZER if job.float16 and name == USUAL_OPTIMIZER else name


def _predicts(job: Job) -> dict[str, Any]:
    """What is predicted; for flows the shift of their times, fixed or by the pictures' size."""
    if job.prediction.velocity:
        return {"prediction_type": "v_prediction", "rescale_betas_zero_snr": job.prediction.zero_snr}
    if not job.family.flow:
        return {}
    shift = SHIFTS.get(job.family.name)
    if shift is None:
        return {"flow_schedule_auto_shift": True, "flow_schedule_shift": 0.0}  # its default of 3 would come first
    return {"flow_schedule_shift": shift}


def backends_json(job: Job) -> str:
    """``config/multidatabackend.json``: one backend per folder, and the cache of text embeddings.

    SimpleTuner counts repeats beyond the first: 0 means once. It stops where one shape of picture, a bucket, has fewer
    pictures than a step takes; all repeats are multiplied by that number, which keeps their proportion. A step has
    pictures of one backend, drawn by their share. With prior images it learns what the base model makes of them.
    """
    side = job.settings.resolution
    a_step = job.settings.batch_size * job.settings.gradient_accumulation
    backends: list[dict[str, Any]] = [
        {
            "id": f"pictures-{number}",
            "type": "local",
            "dataset_type": "image",
            "instance_data_dir": job.place(folder),
            "caption_strategy": "textfile",
            "metadata_backend": "discovery",
            "repeats": job.whole_repeats(folder) * a_step - 1,
            "crop": False,
            "resolution": side,
            "resolution_type": "pixel_area",
            "minimum_image_size": 0,
            "maximum_image_size": 2 * side,
            "target_downsample_size": side,
            "is_regularisation_data": folder.prior,
            "cache_dir_vae": str(job.output / "cache" / "vae" / f"pictures-{number}"),
        }
        for number, folder in enumerate(job.folders)
    ]
    texts = {
        "id": "text-embeds", "type": "local", "dataset_type": "text_embeds", "default": True,
        "cache_dir": str(job.output / "cache" / "text"), "write_batch_size": 128,
    }  # fmt: skip
    return json.dumps([*backends, texts], indent=4, ensure_ascii=False) + "\n"


def notes(job: Job) -> tuple[str, ...]:
    """What of the settings this program cannot do, in words."""
    told = [*more_steps(TITLE, job), *trigger_goes(TITLE, job)]
    if job.prior_pictures and job.settings.caption_dropout:
        told.append(f"captions of prior images are dropped as often as the others: {TITLE} has one number for all")
    if job.settings.flip:
        told.append("photos are not mirrored, which SimpleTuner has no word for")
    if job.settings.optimizer not in OPTIMIZERS:
        told.append(f"the optimizer is {_optimizer(job)}: SimpleTuner has no {job.settings.optimizer} of the same kind")
    told.extend(_of_schedule(job))
    if (alpha := job.settings.network_alpha) != job.settings.rank:
        told.append(
            f"alpha is {job.settings.rank} instead of {alpha:g}, as {TITLE}'s last file does not say it: updates are"
            f" {job.settings.rank / alpha:g} times as strong at the same learning rate"
        )
    if job.min_snr_gamma > 0 and _whole_gamma(job) != job.min_snr_gamma:
        told.append(f"min_snr_gamma is {_whole_gamma(job)}: SimpleTuner takes whole numbers only")
    if job.settings.seed == 0:
        told.append(f"the seed is {SEED_INSTEAD_OF_0}: SimpleTuner takes 0 for the clock's time")
    if job.family.name in OLDER_NAMES:
        told.append(
            f'before version 4, SimpleTuner calls the model_family "{OLDER_NAMES[job.family.name]}": change it in'
            " config.json there"
        )
    if job.family.name in SINCE_4:
        told.append(f"{job.family.name} needs SimpleTuner 4 or newer")
    if job.float16:
        told.append(
            "it is told to compute in float16, but SimpleTuner is made for bfloat16: it may refuse, or the training may"
            " break down"
        )
    return tuple(told)


def _of_schedule(job: Job) -> tuple[str, ...]:
    if not _falls(job):
        return ()
    told = ["the rate falls from the first step on: SimpleTuner's cosine has no warm-up"] * (
        job.settings.warmup_steps > 0
    )
    if job.settings.schedule == "cosine_restarts":
        told.append(
            f"cosine_restarts falls once, not {job.settings.restarts} times: SimpleTuner's own restarts leave the rate"
            " as it is"
        )
    return tuple(told)


def _files(job: Job) -> Mapping[str, str]:
    without_parts(TITLE, job)
    backends = "multidatabackend.json"
    return {"config.json": config_json(job, job.file(backends)), backends: backends_json(job)}


def _start(job: Job) -> tuple[str, ...]:
    return ("In the environment of SimpleTuner:", f"  simpletuner train --env {shell.quote(str(job.root.parent))}")


PROGRAM = Program("simpletuner", _files, _start, notes, ABLE, QUANTIZATIONS)
