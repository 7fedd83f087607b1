"""Optimizer and schedule of a training as kohya's programs, sd-scripts and musubi-tuner, are told them."""

from __future__ import annotations

from twinloop.domain.choices import SCHEDULE_FREE
from twinloop.domain.optimizer_args import in_python
from twinloop.foreign.job import Job

_USUAL = {
    # without these Adafactor ignores the given rate and takes one of its own
    "adafactor": ("relative_step=False", "scale_parameter=False", "warmup_init=False"),
    "prodigy": ("decouple=True", "use_bias_correction=True", "safeguard_warmup=True"),
}
"""What the built-in trainer sets too, beside the weight decay."""


def optimizer_arguments(job: Job) -> list[str]:
    """For ``optimizer_args``: the usual ones, but for those that are set."""
    settings, given = job.settings, in_python(job.settings.optimizer_args)
    names = [name for name, _ in settings.optimizer_args]
    usual = [one for one in _USUAL.get(settings.optimizer, ()) if one.partition("=")[0] not in names]
    # no schedule is made for these, and they warm up by themselves
    own = [f"warmup_steps={_warmup(job)}"] if settings.optimizer in SCHEDULE_FREE else []
    return [f"weight_decay={settings.weight_decay:g}", *usual, *own, *given]


def schedule(job: Job) -> str:
    """For ``lr_scheduler``. A constant rate has another name where it is warmed up."""
    settings = job.settings
    if settings.schedule == "constant":
        return "constant_with_warmup" if schedule_warmup(job) else "constant"
    return "cosine_with_restarts" if settings.schedule == "cosine_restarts" else settings.schedule


def schedule_warmup(job: Job) -> int:
    """For ``lr_warmup_steps``."""
    return 0 if job.settings.optimizer in SCHEDULE_FREE else _warmup(job)


def _warmup(job: Job) -> int:
    return job.in_turns(min(job.settings.warmup_steps, max(job.settings.steps - 1, 0)))
