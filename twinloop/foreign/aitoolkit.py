"""ostris/ai-toolkit: one job file. Source: its config/examples/train_lora_*.yaml, jobs/process, and the model table
of its interface."""

from __future__ import annotations

from typing import Any

import yaml

from twinloop.foreign.job import Job, known

PROGRAM = "ai-toolkit"
ARCHITECTURES = {
    "sd15": "sd15", "sdxl": "sdxl", "sd35": "sd3", "flux": "flux", "flux2": "flux2", "flux2-klein": "flux2_klein_4b",
    "zimage": "zimage", "qwen-image": "qwen_image",
}  # fmt: skip
SCHEDULES = {"cosine_restarts": "cosine_with_restarts"}
ABLE = frozenset({"ema_decay", "output_preservation"})
_TURBO_ADAPTER = "ostris/zimage_turbo_training_adapter/zimage_turbo_training_adapter_v2.safetensors"


def job_yaml(job: Job) -> str:
    """The job: ``python run.py FILE``.

    Raises:
        InputError: it does not train the family.
    """
    process = {
        "type": "sd_trainer", "training_folder": str(job.output), "device": "cuda:0", "training_seed": job.settings.seed, "trigger_word": job.trigger,
        "network": {"type": "lora", "linear": job.settings.rank, "linear_alpha": job.settings.alpha},
        "save": {
            "dtype": "float16", "save_every": job.settings.checkpoint_every, "max_step_saves_to_keep": 2, "push_to_hub": False,
        },
        "datasets": [_dataset(job, n) for n in range(len(job.folders))],
        "train": _train(job),
        "model": _model(job),
        "sample": {"sampler": _scheduler(job), "sample_every": job.settings.steps + 1, "prompts": []},
    }  # fmt: skip
    data = {"job": "extension", "config": {"name": job.name, "process": [process]}, "meta": {"name": "[name]", "version": "1.0"}}
    return str(yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=1000))


def _dataset(job: Job, number: int) -> dict[str, Any]:
    folder = job.folders[number]
    return {
        "folder_path": job.place(folder), "caption_ext": "txt", "caption_dropout_rate": job.settings.caption_dropout,
        "shuffle_tokens": False, "cache_latents_to_disk": not job.settings.flip, "resolution": [job.settings.resolution],
        "num_repeats": folder.repeats, "flip_x": job.settings.flip, "is_reg": folder.prior,
    }  # fmt: skip


def _train(job: Job) -> dict[str, Any]:
    settings = job.settings
    train: dict[str, Any] = {
        "batch_size": settings.batch_size, "steps": settings.steps, "gradient_accumulation_steps": settings.gradient_accumulation,
        "train_unet": True, "train_text_encoder": False, "gradient_checkpointing": settings.gradient_checkpointing is not False, "noise_scheduler": _scheduler(job), "optimizer": settings.optimizer,
        "lr": settings.learning_rate, "optimizer_params": {"weight_decay": settings.weight_decay},
        "lr_scheduler": SCHEDULES.get(settings.schedule, settings.schedule), "max_grad_norm": settings.clip_norm, "skip_first_sample": True,
        "disable_sampling": True, "dtype": "bf16",
    }  # fmt: skip
    if not job.family.flow:
        train |= {"min_snr_gamma": settings.min_snr_gamma} if settings.min_snr_gamma > 0 else {}
        train |= {"noise_offset": settings.noise_offset} if settings.noise_offset > 0 else {}
    if settings.ema_decay:
        train["ema_config"] = {"use_ema": True, "ema_decay": settings.ema_decay}
    if settings.output_preservation:
        train |= {
            "diff_output_preservation": True, "diff_output_preservation_multiplier": settings.output_preservation,
            "diff_output_preservation_class": settings.class_word,
        }  # fmt: skip
    return train


def _scheduler(job: Job) -> str:
    return "flowmatch" if job.family.flow else "ddpm"


def _model(job: Job) -> dict[str, Any]:
    name = known(PROGRAM, ARCHITECTURES, job.family)
    if name == "sd3":
        return {"name_or_path": job.base, "is_v3": True, "quantize": True}
    if name == "flux2_klein_4b" and "9b" in job.base.lower():
        name = "flux2_klein_9b"
    model: dict[str, Any] = {"name_or_path": job.base, "arch": name}
    if job.family.flow:
        model |= {"quantize": True, "quantize_te": True}
    if job.settings.preset == "zimage-turbo":
        model["assistant_lora_path"] = _TURBO_ADAPTER
    return model


def notes(job: Job) -> tuple[str, ...]:
    """What of the settings this program cannot do, in words."""
    return ("the learning rate is not warmed up",) if job.settings.warmup_steps else ()
