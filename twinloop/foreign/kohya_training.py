"""What kohya's programs, sd-scripts and musubi-tuner, are told of a training in the same words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from twinloop.domain.choices import SCHEDULE_FREE
from twinloop.domain.optimizer_args import in_python
from twinloop.foreign.job import Job

_USUAL = {
    # without these Adafactor ignores the given rate and takes one of its own
    "adafactor": ("relative_step=False", "scale_parameter=False", "warmup_init=False"),
    "prodigy": ("decouple=True", "use_bias_correction=True", "safeguard_warmup=True"),
}
"""What the built-in trainer sets too, beside the weight decay."""


def training_arguments(job: Job, optimizers: Mapping[str, str], precision: str) -> dict[str, Any]:
    """Steps, optimizer, schedule and how a step is taken.

    Args:
        optimizers: name here -> the program's; the others have the same. precision: for ``mixed_precision``.
    """
    settings = job.settings
    arguments: dict[str, Any] = {
        "max_train_steps": job.in_turns(settings.steps),
        "learning_rate": float(settings.learning_rate),
        "optimizer_type": optimizers.get(settings.optimizer, settings.optimizer),
        "optimizer_args": _optimizer_arguments(job),
        "lr_scheduler": _schedule(job),
        "lr_warmup_steps": _schedule_warmup(job),
        "max_grad_norm": float(settings.clip_norm),
        "gradient_accumulation_steps": settings.gradient_accumulation,
        "gradient_checkpointing": settings.gradient_checkpointing is not False,
        "seed": settings.seed,
        "mixed_precision": precision,
        "sdpa": True,
        "max_data_loader_n_workers": 2,
    }
    if settings.schedule == "cosine_restarts":
        arguments["lr_scheduler_num_cycles"] = settings.restarts
    return arguments


def _optimizer_arguments(job: Job) -> list[str]:
    """The usual ones, but for those that are set."""
    settings, given = job.settings, in_python(job.settings.optimizer_args)
    names = [name for name, _ in settings.optimizer_args]
    usual = [one for one in _USUAL.get(settings.optimizer, ()) if one.partition("=")[0] not in names]
    # no schedule is made for these, and they warm up by themselves
    own = [f"warmup_steps={_warmup(job)}"] if settings.optimizer in SCHEDULE_FREE else []
    return [f"weight_decay={settings.weight_decay:g}", *usual, *own, *given]


def _schedule(job: Job) -> str:
    """A constant rate has another name where it is warmed up, and under its own refuses to be."""
    settings = job.settings
    if settings.schedule == "constant":
        return "constant_with_warmup" if _schedule_warmup(job) else "constant"
    return "cosine_with_restarts" if settings.schedule == "cosine_restarts" else settings.schedule


def _schedule_warmup(job: Job) -> int:
    return 0 if job.settings.optimizer in SCHEDULE_FREE else _warmup(job)


def _warmup(job: Job) -> int:
    return job.in_turns(min(job.settings.warmup_steps, max(job.settings.steps - 1, 0)))
