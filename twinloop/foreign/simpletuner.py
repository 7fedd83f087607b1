"""bghira/SimpleTuner: configuration and data backends. Source: its documentation/OPTIONS.md and DATALOADER.md."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from twinloop.foreign import TITLES
from twinloop.foreign.job import SHIFTS, Job, known, quantized, trigger_goes, without_parts
from twinloop.foreign.program import Program

TITLE = TITLES["simpletuner"]
FAMILIES = {
    "sd15": "sd1x",
    "sdxl": "sdxl",
    "sd35": "sd3",
    "flux": "flux",
    "flux2": "flux2",
    "flux2-klein": "flux2",
    "zimage": "z-image",
    "qwen-image": "qwen_image",
}
SCHEDULES = {"constant": "constant_with_warmup", "cosine_restarts": "cosine_with_restarts"}
OPTIMIZERS = {
    "adamw": "adamw_bf16",
    "adamw8bit": "bnb-adamw8bit",
    "prodigy": "prodigy",
    "lion": "optimi-lion",
    "adamw_schedulefree": "adamw_schedulefree",
}
USUAL_OPTIMIZER = "adamw_bf16"
"""Where it has not the one that is asked for: it knows no Adafactor and no CAME."""
FLOAT16_OPTIMIZER = "optimi-adamw"
"""Instead of ``adamw_bf16``, which takes bfloat16 only."""
QUANTIZATIONS = {"int8": "int8-quanto", "fp8": "fp8-quanto", "nf4": "nf4-bnb"}
"""Its ``base_model_precision``."""
ABLE = frozenset(("max_step_saves_to_keep",))


def config_json(job: Job, backends: str) -> str:
    """``config/config.json``.

    Raises:
        InputError: it does not train the family, or does not know the quantization.
    """
    settings = job.settings
    config: dict[str, Any] = {
        "model_type": "lora",
        "lora_type": "standard",
        "model_family": known(TITLE, FAMILIES, job.family),
        "pretrained_model_name_or_path": job.base,
        "data_backend_config": backends,
        "output_dir": str(job.output),
        "lora_rank": settings.rank,
        "lora_alpha": settings.network_alpha,
        "max_train_steps": settings.steps,
        "num_train_epochs": 0,
        "train_batch_size": settings.batch_size,
        "learning_rate": settings.learning_rate,
        "lr_scheduler": SCHEDULES.get(settings.schedule, settings.schedule),
        "gradient_accumulation_steps": settings.gradient_accumulation,
        "lr_warmup_steps": settings.warmup_steps,
        "lr_num_cycles": settings.restarts,
        "max_grad_norm": settings.clip_norm,
        "optimizer": _optimizer(job),
        "optimizer_config": f"weight_decay={settings.weight_decay:g}",
        "mixed_precision": job.precision,
        "gradient_checkpointing": settings.gradient_checkpointing is not False,
        "resolution": settings.resolution,
        "resolution_type": "pixel_area",
        "caption_dropout_probability": settings.caption_dropout,
        "checkpointing_steps": job.save_every,
        **({"checkpoints_total_limit": job.saves_kept} if job.saves_kept else {}),
        "resume_from_checkpoint": "latest",
        "seed": settings.seed,
        "minimum_image_size": 0,
        "aspect_bucket_rounding": 2,
        "validation_prompt": job.trigger,
        "report_to": "tensorboard",
    }
    config |= {"snr_gamma": job.min_snr_gamma} if job.min_snr_gamma > 0 else {}
    config |= {"offset_noise": True, "noise_offset": job.noise_offset} if job.noise_offset > 0 else {}
    if wanted := quantized(TITLE, QUANTIZATIONS, job.quantization):
        config["base_model_precision"] = wanted
    config |= _predicts(job)
    return json.dumps(config, indent=4, ensure_ascii=False) + "\n"


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
    return {"flow_schedule_auto_shift": True} if shift is None else {"flow_schedule_shift": shift}


def backends_json(job: Job) -> str:
    """``config/multidatabackend.json``: one backend per folder, and the cache of text embeddings.

    SimpleTuner counts repeats beyond the first: 0 means once. Regularisation it knows for LyCORIS alone: prior images
    are there, but switched off, else they would take steps from the subject.
    """
    side = job.settings.resolution
    backends: list[dict[str, Any]] = [
        {
            "id": f"pictures-{number}",
            "type": "local",
            "dataset_type": "image",
            "instance_data_dir": job.place(folder),
            "caption_strategy": "textfile",
            "metadata_backend": "discovery",
            "repeats": folder.repeats - 1,
            "crop": False,
            "resolution": side,
            "resolution_type": "pixel_area",
            "minimum_image_size": 0,
            "maximum_image_size": 2 * side,
            "target_downsample_size": side,
            "is_regularisation_data": folder.prior,
            **({"disabled": True} if folder.prior else {}),
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
    told = [*trigger_goes(TITLE, job)]
    if job.prior_pictures:
        told.append(
            'prior images are switched off ("disabled"): SimpleTuner has regularisation for LyCORIS, not for a LoRA of'
            " lora_type standard"
        )
    if job.settings.flip:
        told.append("photos are not mirrored, which SimpleTuner has no word for")
    if job.settings.optimizer not in OPTIMIZERS:
        told.append(f"the optimizer is {_optimizer(job)}: SimpleTuner has no {job.settings.optimizer}")
    if job.float16:
        told.append(
            "it is told to compute in float16, but SimpleTuner is made for bfloat16: it may refuse, or the training may"
            " break down"
        )
    return tuple(told)


def _files(job: Job) -> Mapping[str, str]:
    without_parts(TITLE, job)
    backends = "multidatabackend.json"
    return {"config.json": config_json(job, job.file(backends)), backends: backends_json(job)}


def _start(job: Job) -> tuple[str, ...]:
    return (
        "Put both files into a folder of SimpleTuner's config/, as config/NAME, and:",
        "  simpletuner train --env NAME",
    )


PROGRAM = Program("simpletuner", _files, _start, notes, ABLE, QUANTIZATIONS)
