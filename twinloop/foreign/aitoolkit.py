"""ostris/ai-toolkit: one job file.

Source: its toolkit/config_modules.py, scheduler.py and optimizer.py, jobs/process, and the model table of its interface
(ui/src/app/jobs/new/options.ts)."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from twinloop.domain.training_rules import LARGEST_RANK
from twinloop.errors import InputError
from twinloop.foreign import TITLES
from twinloop.foreign.job import Job, check_convolutions, known, more_steps, quantized, without_parts
from twinloop.foreign.program import MASKED, Program
from twinloop.ports import TrainingSettings
from twinloop.system import shell

TITLE = TITLES["ai-toolkit"]
ARCHITECTURES = {
    "sd15": "sd1", "sdxl": "sdxl", "sd35": "sd3", "flux": "flux", "flux2": "flux2", "flux2-klein": "flux2_klein_4b",
    "zimage": "zimage", "qwen-image": "qwen_image", "krea2": "krea2",
    "chroma": "chroma", "anima": "anima",
}  # fmt: skip
SCHEDULES = {"cosine_restarts": "cosine"}
"""Its ``cosine_with_restarts`` restarts after ``total_iters``, which it sets to all steps, whatever the job says: one
fall."""
WEIGHTED = ("flux2", "flux2-klein", "zimage", "qwen-image", "krea2")
"""Families for which its interface draws times evenly and weighs the error by them, instead of drawing them from a
logistic-normal."""
NO_CLIP = 1e9
"""Its ``max_grad_norm`` has no value for "any"; 0 would scale all gradients to nothing."""
ALL_SAVES = 10_000
"""It has no value for "keep all"."""
OPTIMIZERS = ("adamw", "adamw8bit", "prodigy", "adafactor", "lion")
QUANTIZATIONS = {"int8": "qint8", "fp8": "qfloat8"}
"""Its ``qtype``."""
ABLE = frozenset(
    (
        "ema_decay output_preservation prior_weight lokr_factor text_encoder text_encoder_learning_rate "
        "smaller_resolutions only_layers skip_layers shuffle_captions keep_tokens caption_tag_dropout_rate "
        "optimizer_args network_dropout rank_dropout mask_floor assistant_lora conv_rank conv_alpha "
        "max_step_saves_to_keep"
    ).split()
) | {"adapter lokr", MASKED}
"""Not ``module_dropout``: its network takes the argument, and breaks at the first layer that is left out."""
TEXT_ENCODERS = ("sd15", "sdxl")
"""Families of which it trains the text encoders."""
OF_ONE_FILE = ("chroma", "krea2")
"""Families whose denoiser it takes from a file in the original code's names, here or on the hub, and not from
diffusers' folders."""
OF_FOLDERS = ("anima",)
"""Families that it takes from a folder of diffusers, here or on the hub, and not from a file."""
ASSISTED = ("flux", "zimage", "krea2")
"""Families of which a model wears a training adapter there."""
OWN_ADAPTERS = {
    "zimage-turbo": "ostris/zimage_turbo_training_adapter/zimage_turbo_training_adapter_v2.safetensors",
    "krea2-turbo": "ostris/krea2_turbo_training_adapter/krea2_turbo_training_adapter_v1.safetensors",
}
"""`Program.own_adapters`."""


def job_yaml(job: Job) -> str:
    """The job: ``python run.py FILE``.

    Raises:
        InputError: it does not train the family, or not its text encoders, or not with what else is asked for.
    """
    if job.settings.text_encoder and job.family.name not in TEXT_ENCODERS:
        raise InputError(
            f"training.text_encoder: {TITLE} trains the text encoders of {' and '.join(TEXT_ENCODERS)} only, not of"
            f" {job.family.name}. Set it to false."
        )
    if job.settings.text_encoder and job.settings.output_preservation:
        raise InputError(
            f"training.output_preservation: {TITLE} stops where it is to train text encoders, too. Set text_encoder to"
            " false, or output_preservation to 0."
        )
    process = {
        "type": "sd_trainer",
        "training_folder": str(job.output),
        "device": "cuda:0",
        "training_seed": job.settings.seed,
        "trigger_word": job.trigger,
        "network": _network(job),
        "save": {
            "dtype": "float16",
            "save_every": job.in_turns(job.save_every),
            # one more than it would go on from, since the newest may be cut short
            "max_step_saves_to_keep": 2 if job.run_here else job.saves_kept or ALL_SAVES,
            "push_to_hub": False,
        },
        "datasets": [_dataset(job, n) for n in range(len(job.folders))],
        "train": _train(job),
        "model": _model(job),
        "sample": {"sampler": _scheduler(job), "sample_every": job.in_turns(job.settings.steps) + 1, "prompts": []},
    }
    data = {
        "job": "extension",
        "config": {"name": job.name, "process": [process]},
        "meta": {"name": "[name]", "version": "1.0"},
    }
    return str(yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=1000))


def _network(job: Job) -> dict[str, Any]:
    settings = job.settings
    network: dict[str, Any] = {
        "type": "lokr" if settings.lokr else "lora",
        "linear": settings.rank,
        "linear_alpha": settings.network_alpha,
    }
    if settings.lokr:
        network |= {"lokr_factor": settings.lokr_factor, "lokr_full_rank": settings.rank > LARGEST_RANK}
    network |= {"dropout": settings.network_dropout} if settings.network_dropout else {}
    if settings.conv_rank:
        check_convolutions(TITLE, job.family)
        network |= {"conv": settings.conv_rank, "conv_alpha": settings.convolution_alpha}
    layers = {"only_if_contains": settings.only_layers, "ignore_if_contains": settings.skip_layers}
    chosen: dict[str, Any] = {name: list(texts) for name, texts in layers.items() if texts}
    chosen |= {"rank_dropout": settings.rank_dropout} if settings.rank_dropout else {}
    if chosen:
        network["network_kwargs"] = chosen
    return network


def _dataset(job: Job, number: int) -> dict[str, Any]:
    folder = job.folders[number]
    # its least value stays 0: the masks that are written have the floor in them
    masked = {"mask_path": job.place_of_masks(folder), "mask_min_value": 0.0} if job.masked and not folder.prior else {}
    return {
        "folder_path": job.place(folder),
        "caption_ext": "txt",
        "caption_dropout_rate": 0.0 if folder.prior else job.settings.caption_dropout,
        "shuffle_tokens": job.settings.shuffle_captions,
        "keep_tokens": job.keep_tokens,
        **({"token_dropout_rate": dropped} if (dropped := job.settings.caption_tag_dropout_rate) else {}),
        "cache_latents_to_disk": True,
        "resolution": sorted((job.settings.resolution, *job.settings.smaller_resolutions)),
        "num_repeats": folder.repeats,
        "flip_x": job.settings.flip,
        "is_reg": folder.prior,
        **masked,
    }


def _train(job: Job) -> dict[str, Any]:
    settings = job.settings
    train: dict[str, Any] = {
        "batch_size": settings.batch_size,
        # where there are prior images, every second step is one of theirs alone
        "steps": job.in_turns(settings.steps),
        # not gradient_accumulation_steps, which would count every micro-batch as a step
        "gradient_accumulation": settings.gradient_accumulation,
        "train_unet": True,
        "train_text_encoder": settings.text_encoder,
        "gradient_checkpointing": settings.gradient_checkpointing is not False,
        "noise_scheduler": _scheduler(job),
        "optimizer": _optimizer(job),
        "lr": settings.learning_rate,
        "optimizer_params": _optimizer_arguments(job),
        **_rates(job),
        "max_grad_norm": settings.clip_norm or NO_CLIP,
        "skip_first_sample": True,
        "disable_sampling": True,
        "dtype": job.precision,
    }
    train |= {"timestep_type": "weighted"} if job.family.name in WEIGHTED else {}
    train |= {"min_snr_gamma": job.min_snr_gamma} if job.min_snr_gamma > 0 else {}
    train |= {"noise_offset": job.noise_offset} if job.noise_offset > 0 else {}
    train |= {"reg_weight": settings.prior_weight} if job.prior_pictures else {}
    if settings.text_encoder:
        train |= {"unet_lr": settings.learning_rate, "text_encoder_lr": settings.text_encoder_rate}
    if settings.ema_decay:
        train["ema_config"] = {"use_ema": True, "ema_decay": settings.ema_decay}
    if settings.output_preservation:
        train |= {
            "diff_output_preservation": True, "diff_output_preservation_multiplier": settings.output_preservation,
            "diff_output_preservation_class": settings.class_word,
        }  # fmt: skip
    return train


def _optimizer(job: Job) -> str:
    """Its names are ours.

    Raises:
        InputError: it has none of that name.
    """
    name = job.settings.optimizer
    if name not in OPTIMIZERS:
        raise InputError(
            f'training.optimizer: {TITLE} has no "{name}"; it knows {", ".join(OPTIMIZERS)}. Set one of these, or use'
            ' "trainer": "builtin".'
        )
    return name


def _optimizer_arguments(job: Job) -> dict[str, Any]:
    """Lists instead of tuples, which plain YAML does not know.

    Raises:
        InputError: ``eps``, which it fixes at 1e-6 for all optimizers but Adafactor, and refuses to be told.
    """
    settings = job.settings
    given = {name: list(value) if isinstance(value, tuple) else value for name, value in settings.optimizer_args}
    if "eps" in given and settings.optimizer != "adafactor":
        raise InputError(
            f"training.optimizer_args: {TITLE} has an eps of 1e-6 of its own with {settings.optimizer}. Leave eps out."
        )
    return {"weight_decay": settings.weight_decay, **given}


def _rates(job: Job) -> dict[str, Any]:
    """Only a constant rate can be warmed up; a linear one rises from a third of it unless told otherwise."""
    schedule = SCHEDULES.get(job.settings.schedule, job.settings.schedule)
    if _warms_up(job.settings):
        return {
            "lr_scheduler": "constant_with_warmup",
            "lr_scheduler_params": {"num_warmup_steps": job.in_turns(job.settings.warmup_steps)},
        }
    if schedule == "linear":
        return {"lr_scheduler": "linear", "lr_scheduler_params": {"start_factor": 1.0, "end_factor": 0.0}}
    return {"lr_scheduler": schedule}


def _warms_up(settings: TrainingSettings) -> bool:
    return settings.schedule == "constant" and settings.warmup_steps > 0


def _scheduler(job: Job) -> str:
    return "flowmatch" if job.family.flow else "ddpm"


def _model(job: Job) -> dict[str, Any]:
    name = known(TITLE, ARCHITECTURES, job.family)
    if name == "flux2_klein_4b" and "9b" in job.base.lower():
        name = "flux2_klein_9b"
    if job.family.name in OF_ONE_FILE and Path(job.base).expanduser().is_dir():
        raise InputError(
            f"base_model: {TITLE} trains {job.family.name} from a .safetensors file of the denoiser in its original"
            f" names, not from a folder. Name the file, or {job.family.reference}."
        )
    if job.family.name in OF_FOLDERS and job.base.endswith(".safetensors"):
        raise InputError(
            f"base_model: {TITLE} trains {job.family.name} from a folder of diffusers, not from a single file. Name the"
            f" folder, or {job.family.reference}."
        )
    model: dict[str, Any] = {"name_or_path": job.base, "arch": name}
    if job.family.flow:
        model |= {"quantize": True, "quantize_te": True}
    if wanted := quantized(TITLE, QUANTIZATIONS, job.quantization):
        model |= {"quantize": True, "qtype": wanted} | ({"qtype_te": wanted} if job.family.flow else {})
    if job.prediction.velocity:
        model["is_v_pred"] = True
    if job.settings.assistant_lora:
        if job.family.name not in ASSISTED:
            raise InputError(
                f"training.assistant_lora: {TITLE} puts a training adapter on models of {', '.join(ASSISTED)}"
                f' only, not of {job.family.name}. Leave it out, or let this program train: "trainer": "builtin".'
            )
        model["assistant_lora_path"] = str(Path(job.settings.assistant_lora).absolute())
    elif job.settings.preset in OWN_ADAPTERS:
        model["assistant_lora_path"] = OWN_ADAPTERS[job.settings.preset]
    return model


def notes(job: Job) -> tuple[str, ...]:
    """What of the settings this program cannot do, in words."""
    settings, told = job.settings, [*more_steps("ai-toolkit", job)]
    alpha = settings.network_alpha
    if job.family.denoiser != "unet" and not settings.lokr and alpha != settings.rank:
        told.append(
            f"alpha is {settings.rank} instead of {alpha:g}: ai-toolkit sets it to the rank in LoRAs of"
            f" transformers, so that updates are {settings.rank / alpha:g} times as strong at the same"
            " learning rate"
        )
    if settings.warmup_steps and not _warms_up(settings):
        told.append("the learning rate is not warmed up: ai-toolkit can do that with a constant one only")
    if settings.schedule == "cosine_restarts" and settings.restarts > 1:
        told.append("the learning rate falls once, without restarts")
    if settings.caption_dropout and not settings.keep_trigger:
        told.append("dropped captions keep the trigger words: ai-toolkit puts them back (training.keep_trigger)")
    if job.prediction.zero_snr:
        told.append(
            "this base model's noise ends without any signal, which ai-toolkit has no word for: the darkest and"
            " brightest pictures may suffer"
        )
    return tuple(told)


def followed(job: Job) -> TrainingSettings:
    """What it trains with; alpha is that of the file's layers anyway."""
    settings = job.settings
    return replace(
        settings,
        schedule=SCHEDULES.get(settings.schedule, settings.schedule),
        warmup_steps=settings.warmup_steps if _warms_up(settings) else 0,
        keep_trigger=True,
        min_snr_gamma=job.min_snr_gamma,
        noise_offset=job.noise_offset,
    )


def check_captions(job: Job, given: Collection[str]) -> None:
    """Raises InputError where dropped captions shall lose the trigger.

    Args:
        given: fields of ``training`` that the configuration sets itself.
    """
    if "keep_trigger" in given and job.settings.caption_dropout and not job.settings.keep_trigger:
        raise InputError(
            f"training.keep_trigger: {TITLE} puts the trigger words back where it drops a caption. Leave it out, set"
            ' caption_dropout to 0, or use "trainer": "builtin".'
        )


def _start(job: Job) -> tuple[str, ...]:
    return ("In the folder of ai-toolkit:", f"  python run.py {shell.quote(job.file('job.yaml'))}")


def _files(job: Job) -> Mapping[str, str]:
    without_parts(TITLE, job)
    return {"job.yaml": job_yaml(job)}


PROGRAM = Program("ai-toolkit", _files, _start, notes, ABLE, QUANTIZATIONS, followed, OWN_ADAPTERS)
