"""kohya-ss/sd-scripts: dataset and training TOML.

Source: its argument parsers (library/train_util.py, flux_ and sd3_train_utils.py, train_network.py), the schema in
library/config_util.py, and its docs/*_train_network.md."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from twinloop.domain.choices import SCHEDULE_FREE
from twinloop.domain.optimizer_args import in_python
from twinloop.domain.training_rules import LARGEST_RANK, LAST_TIME, beyond_flow
from twinloop.errors import InputError
from twinloop.families.clip import CHUNKS, TOKENS, about_tokens
from twinloop.foreign import TITLES
from twinloop.foreign.job import Job, check_convolutions, known, more_steps, quantized, trigger_goes
from twinloop.foreign.pictures import Folder
from twinloop.foreign.program import MASKED, Program
from twinloop.foreign.toml import dumps
from twinloop.system import shell

TITLE = TITLES["kohya"]
SCRIPTS = {
    "sd15": "train_network.py",
    "sdxl": "sdxl_train_network.py",
    "sd35": "sd3_train_network.py",
    "flux": "flux_train_network.py",
}
NETWORKS = {"sd15": "networks.lora", "sdxl": "networks.lora", "sd35": "networks.lora_sd3", "flux": "networks.lora_flux"}
OPTIMIZERS = {
    "adamw": "AdamW",
    "adamw8bit": "AdamW8bit",
    "prodigy": "Prodigy",
    "adafactor": "Adafactor",
    "lion": "Lion",
    "came": "pytorch_optimizer.CAME",
    "adamw_schedulefree": "AdamWScheduleFree",
}
"""A name with a dot is a class that it imports."""
OPTIMIZER_ARGUMENTS = {
    # without these Adafactor ignores the given rate and takes one of its own
    "adafactor": ("relative_step=False", "scale_parameter=False", "warmup_init=False"),
    "prodigy": ("decouple=True", "use_bias_correction=True", "safeguard_warmup=True"),
}
"""What the built-in trainer sets too, beside the weight decay."""
LYCORIS = "lycoris.kohya"
"""The network module of LyCORIS (``pip install lycoris-lora`` in sd-scripts' environment)."""
ABLE = frozenset(
    (
        "adapter lokr",
        "lokr_factor",
        "text_encoder",
        "text_encoder_learning_rate",
        "shuffle_captions",
        "keep_tokens",
        "caption_tag_dropout_rate",
        "optimizer_args",
        "loss",
        "huber_c",
        "huber_schedule",
        "debiased_estimation_loss",
        "ip_noise_gamma",
        "multires_noise_iterations",
        "multires_noise_discount",
        "min_timestep",
        "max_timestep",
        "clip_skip",
        "prior_weight",
        MASKED,
        "mask_floor",
        "network_dropout",
        "rank_dropout",
        "module_dropout",
        "loraplus_lr_ratio",
        "scale_weight_norms",
        "conv_rank",
        "conv_alpha",
        "max_step_saves_to_keep",
        "blocks_to_swap",
    )
)
QUANTIZATIONS = {"fp8": "fp8_base"}
"""The argument that asks for it."""
PARTS = {"flux": ("clip_l", "t5xxl", "ae"), "sd35": ("clip_l", "clip_g", "t5xxl")}
"""Files that sd-scripts wants beside the denoiser's; this program knows where they lie if ``base_parts`` says it."""
ARGUMENTS = {
    "sd15": {"vae": "vae"},
    "sdxl": {"vae": "vae"},
    "flux": {"text_encoder": "clip_l", "text_encoder_2": "t5xxl", "vae": "ae"},
    "sd35": {"text_encoder": "clip_l", "text_encoder_2": "clip_g", "text_encoder_3": "t5xxl", "vae": "vae"},
}
"""diffusers' names of parts that may come from files of their own -> the arguments for them."""
_CACHED_TEXTS = ("flux", "sd35")
"""Families whose text encoders are too large to stay beside the denoiser, so that their outputs are cached: captions
then cannot be dropped."""
SWAPPING = ("flux", "sd35")
"""Families whose scripts keep blocks in main memory."""
_BUCKET_STEP = 64


def script(job: Job) -> str:
    """The file of sd-scripts that trains the family.

    Raises:
        InputError: none does.
    """
    return known(TITLE, SCRIPTS, job.family)


def dataset_toml(job: Job) -> str:
    """For ``--dataset_config``: one subset per folder, so that every photo is drawn as often as its weight says.

    Prior images are repeated by sd-scripts itself until they are as many as the subject's pictures with their repeats;
    those beyond that number it would never read, so that the subject's have more repeats where there are fewer of them.

    Raises:
        InputError: masks, and pictures for prior preservation, which its datasets of pictures with masks do not take.
    """
    settings = job.settings
    dropout = 0.0 if job.family.name in _CACHED_TEXTS else settings.caption_dropout
    passes = max(1, math.ceil(job.prior_pictures / job.drawn))
    subsets = [
        {
            "image_dir": job.place(folder), "num_repeats": folder.repeats * (1 if folder.prior else passes),
            "caption_dropout_rate": 0.0 if folder.prior else float(dropout), "flip_aug": settings.flip,
            **_kind(job, folder),
        }
        for folder in job.folders
    ]  # fmt: skip
    side = settings.resolution
    dataset: dict[str, Any] = {
        "resolution": side,
        "batch_size": settings.batch_size,
        "enable_bucket": True,
        "bucket_no_upscale": True,
        "bucket_reso_steps": _BUCKET_STEP,
        "min_bucket_reso": _stepped(min(256, side)),
        "max_bucket_reso": _stepped(2 * side),
        "subsets": subsets,
    }
    return dumps(
        {
            "general": {
                "caption_extension": ".txt",
                "shuffle_caption": settings.shuffle_captions and job.family.name not in _CACHED_TEXTS,
                "keep_tokens": job.keep_tokens,
                **_tag_dropout(job),
            },
            "datasets": [dataset],
        }
    )


def _tag_dropout(job: Job) -> dict[str, Any]:
    rate = 0.0 if job.family.name in _CACHED_TEXTS else job.settings.caption_tag_dropout_rate
    return {"caption_tag_dropout_rate": rate} if rate else {}


def _kind(job: Job, folder: Folder) -> dict[str, Any]:
    """What a subset of pictures with captions has, or one of pictures with masks, which are those of a ControlNet to
    sd-scripts.
    """
    if not job.masked:
        return {"is_reg": folder.prior, "class_tokens": job.settings.class_word if folder.prior else job.trigger}
    if job.prior_pictures:
        raise InputError(f"{TITLE} takes training.masks or prior_images, not both. Leave one out.")
    return {"conditioning_data_dir": job.place_of_masks(folder)}


def _stepped(side: int) -> int:
    return max(_BUCKET_STEP, side // _BUCKET_STEP * _BUCKET_STEP)


def training_toml(job: Job, dataset_config: str) -> str:
    """For ``--config_file``: the arguments of the script, in sections for people (sd-scripts does not look at their
    names).
    """
    return dumps(
        {
            "model": {"pretrained_model_name_or_path": job.base, **part_arguments(job), **_predicts(job)},
            "dataset": {
                "dataset_config": dataset_config,
                "cache_latents": True,
                **_reads(job),
                **({"masked_loss": True} if job.masked else {}),
            },
            "output": {
                "output_dir": str(job.output),
                "output_name": job.name,
                "save_model_as": "safetensors",
                "save_precision": "fp16",
                "save_every_n_steps": job.in_turns(job.save_every),
                **_saves(job),
                "save_state": True,
                "save_last_n_steps_state": 1,
            },
            "network": _network(job),
            "training": _training(job),
            job.family.name: _of_family(job),
        }
    )


def part_arguments(job: Job) -> dict[str, str]:
    """Argument -> file of each part that does not come with the base.

    Raises:
        InputError: sd-scripts has no argument for one.
    """
    known = ARGUMENTS.get(job.family.name, {})
    unknown = [name for name in job.parts if name not in known]
    if unknown:
        raise InputError(
            f"base_parts.{unknown[0]}: {TITLE} takes no file for it with {job.family.name}; it takes"
            f' {", ".join(known) or "none"}. Leave it out, or use "trainer": "builtin".'
        )
    return {known[name]: file for name, file in job.parts.items()}


def _saves(job: Job) -> dict[str, Any]:
    """Which LoRAs of earlier steps go: it is told how many steps before the newest one the last of them may lie."""
    kept = job.saves_kept
    return {"save_last_n_steps": max(1, (kept - 1) * job.in_turns(job.save_every))} if kept else {}


def token_length(job: Job) -> int | None:
    """How many tokens of a caption sd-scripts shall read, where one may have more than the usual 75 (`about_tokens`);
    None = those.
    """
    if not job.family.clip_alone:
        return None
    long = any(about_tokens(picture.caption) > TOKENS for folder in job.folders for picture in folder.pictures)
    return CHUNKS * TOKENS if long else None


def header_texts(job: Job) -> dict[str, str]:
    """What sd-scripts was told beyond what every header names."""
    length = token_length(job)
    return {} if length is None else {"ss_max_token_length": str(length)}


def _reads(job: Job) -> dict[str, Any]:
    length = token_length(job)
    return {} if length is None else {"max_token_length": length}


def _predicts(job: Job) -> dict[str, Any]:
    if not job.prediction.velocity:
        return {}
    return {"v_parameterization": True, **({"zero_terminal_snr": True} if job.prediction.zero_snr else {})}


def _network(job: Job) -> dict[str, Any]:
    settings = job.settings
    network: dict[str, Any] = {
        "network_module": known(TITLE, NETWORKS, job.family),
        "network_dim": settings.rank,
        "network_alpha": float(settings.network_alpha),
        # with the text encoders it is CLIP's that are trained; T5 needs an argument of its own
        **(
            {"text_encoder_lr": float(settings.text_encoder_rate)}
            if settings.text_encoder
            else {"network_train_unet_only": True}
        ),
    }
    network |= {"network_dropout": float(settings.network_dropout)} if settings.network_dropout else {}
    network |= {"scale_weight_norms": float(settings.scale_weight_norms)} if settings.scale_weight_norms else {}
    dropouts = {"rank_dropout": settings.rank_dropout, "module_dropout": settings.module_dropout}
    told = {**dropouts, "loraplus_lr_ratio": settings.loraplus_lr_ratio}
    if arguments := [f"{name}={number:g}" for name, number in told.items() if number]:
        network["network_args"] = arguments
    if settings.conv_rank:
        check_convolutions(TITLE, job.family)
        own = [f"conv_dim={settings.conv_rank}", f"conv_alpha={settings.convolution_alpha:g}"]
        network["network_args"] = [*network.get("network_args", ()), *own]
    if settings.lokr:
        whole = ["full_matrix=True"] if settings.rank > LARGEST_RANK else []
        arguments = ["algo=lokr", f"factor={settings.lokr_factor}", "preset=attn-mlp", *whole]
        network |= {"network_module": LYCORIS, "network_args": arguments}
    return network


def _training(job: Job) -> dict[str, Any]:
    settings = job.settings
    arguments: dict[str, Any] = {
        "max_train_steps": job.in_turns(settings.steps),
        "learning_rate": float(settings.learning_rate),
        "optimizer_type": OPTIMIZERS.get(settings.optimizer, settings.optimizer),
        "optimizer_args": _optimizer_arguments(job),
        "lr_scheduler": _schedule(job),
        "lr_warmup_steps": 0 if settings.optimizer in SCHEDULE_FREE else _warmup(job),
        "max_grad_norm": float(settings.clip_norm),
        "gradient_accumulation_steps": settings.gradient_accumulation,
        "gradient_checkpointing": settings.gradient_checkpointing is not False,
        "seed": settings.seed,
        "mixed_precision": job.precision,
        "sdpa": True,
        "max_data_loader_n_workers": 2,
    }
    if settings.blocks_to_swap and job.family.name in SWAPPING:
        arguments["blocks_to_swap"] = settings.blocks_to_swap
    if wanted := quantized(TITLE, QUANTIZATIONS, job.quantization):
        arguments[wanted] = True
    if settings.schedule == "cosine_restarts":
        arguments["lr_scheduler_num_cycles"] = settings.restarts
    if job.prior_pictures:
        arguments["prior_loss_weight"] = float(settings.prior_weight)
    arguments |= {"min_snr_gamma": float(job.min_snr_gamma)} if job.min_snr_gamma > 0 else {}
    arguments |= _loss(job)
    arguments |= {"noise_offset": float(job.noise_offset)} if job.noise_offset > 0 else {}
    return arguments | _noise(job) | _clip_skip(job)


def _optimizer_arguments(job: Job) -> list[str]:
    """The usual ones, but for those that are set."""
    settings, given = job.settings, in_python(job.settings.optimizer_args)
    names = [name for name, _ in settings.optimizer_args]
    usual = [one for one in OPTIMIZER_ARGUMENTS.get(settings.optimizer, ()) if one.partition("=")[0] not in names]
    # it makes no schedule for these, and they warm up by themselves
    own = [f"warmup_steps={_warmup(job)}"] if settings.optimizer in SCHEDULE_FREE else []
    return [f"weight_decay={settings.weight_decay:g}", *usual, *own, *given]


def _warmup(job: Job) -> int:
    return job.in_turns(min(job.settings.warmup_steps, max(job.settings.steps - 1, 0)))


def _loss(job: Job) -> dict[str, Any]:
    """Nothing for the usual one.

    Raises:
        InputError: a schedule that it has not for flows.
    """
    settings, flow = job.settings, job.family.flow
    if settings.loss == "l2":
        return {}
    schedule = settings.huber_schedule_of(flow=flow)
    if flow and schedule == "snr":
        raise InputError(
            f'training.huber_schedule: {TITLE} has no "snr" for {job.family.name}, a flow model. Set "constant" or'
            ' "exponential".'
        )
    return {"loss_type": settings.loss, "huber_schedule": schedule, "huber_c": float(settings.huber_c)}


def _noise(job: Job) -> dict[str, Any]:
    """What is seldom asked of weights, noise and times.

    Raises:
        InputError: its script for the family does not look at it.
    """
    settings, family = job.settings, job.family
    for fields, problem in beyond_flow(settings, family.name) if family.flow else ():
        raise InputError(f"training{'' if fields[1:] else f'.{fields[0]}'}: {problem}.")
    first, last = settings.min_timestep, settings.max_timestep
    times = {**({"min_timestep": first} if first else {}), **({"max_timestep": last} if last != LAST_TIME else {})}
    if times and family.name == "flux":
        raise InputError(
            f"training.{next(iter(times))}: {TITLE} trains all noise levels of {family.name}, whatever it is told."
            " Leave it out."
        )
    found: dict[str, Any] = {"debiased_estimation_loss": True} if settings.debiased_estimation_loss else {}
    found |= {"ip_noise_gamma": float(settings.ip_noise_gamma)} if settings.ip_noise_gamma else {}
    if settings.multires_noise_iterations:
        discount = float(settings.multires_noise_discount)
        found |= {
            "multires_noise_iterations": settings.multires_noise_iterations,
            "multires_noise_discount": discount,
        }
    return found | times


def _clip_skip(job: Job) -> dict[str, Any]:
    skip = job.settings.clip_skip
    job.family.check_clip_skip(skip)
    return {"clip_skip": skip} if skip != 1 else {}


def _schedule(job: Job) -> str:
    settings = job.settings
    if settings.schedule == "constant":
        return (
            "constant_with_warmup" if settings.warmup_steps and settings.optimizer not in SCHEDULE_FREE else "constant"
        )
    return "cosine_with_restarts" if settings.schedule == "cosine_restarts" else settings.schedule


def _of_family(job: Job) -> dict[str, Any]:
    if job.family.name == "flux":
        # [schnell] was made without a shift
        times = "sigmoid" if job.settings.preset == "flux-schnell" else "flux_shift"
        return {
            "guidance_scale": 1.0,
            "timestep_sampling": times,
            "model_prediction_type": "raw",
            "cache_text_encoder_outputs": True,
        }
    if job.family.name == "sd35":
        return {"training_shift": 3.0, "weighting_scheme": "logit_normal", "cache_text_encoder_outputs": True}
    if job.family.name == "sdxl":
        settings = job.settings
        changing = settings.caption_dropout or settings.caption_tag_dropout_rate or settings.shuffle_captions
        cached = not changing and not job.settings.text_encoder
        return {"no_half_vae": True, **({"cache_text_encoder_outputs": True} if cached else {})}
    return {}


def notes(job: Job) -> tuple[str, ...]:
    """What of the settings this program cannot do, in words."""
    lines = [*more_steps("sd-scripts", job)]
    if job.family.name in _CACHED_TEXTS and job.settings.caption_dropout > 0:
        lines.append("captions are not dropped: sd-scripts caches the text encoders' outputs for this family")
    else:
        lines += trigger_goes("sd-scripts", job)
    if job.family.name in _CACHED_TEXTS and job.settings.caption_tag_dropout_rate > 0:
        lines.append("captions keep all their parts: sd-scripts caches the text encoders' outputs for this family")
    if job.family.name in _CACHED_TEXTS and job.settings.shuffle_captions:
        lines.append("captions keep their order: sd-scripts caches the text encoders' outputs for this family")
    if job.settings.blocks_to_swap and job.family.name not in SWAPPING:
        lines.append(f"all blocks stay on the GPU: sd-scripts swaps those of {' and '.join(SWAPPING)} only")
    return tuple(lines)


def check_parts(job: Job, arguments: tuple[str, ...]) -> None:
    """Raises InputError where sd-scripts would miss a model file."""
    given = {argument.lstrip("-").partition("=")[0] for argument in arguments if argument.startswith("--")}
    given |= part_arguments(job).keys()
    missing = [part for part in PARTS.get(job.family.name, ()) if part not in given]
    if job.family.name == "sd35" and job.base.endswith(".safetensors"):
        return  # a single file may hold them all
    if missing:
        raise InputError(
            f"{TITLE} trains {job.family.name} from single files. Name the others in base_parts, or in"
            f" training.extra_args: {', '.join(f'--{part}=FILE' for part in missing)}; base_model is the denoiser's"
            " .safetensors file."
        )


def check_swapping(job: Job) -> None:
    """Raises InputError where blocks cannot be swapped, though that is asked for."""
    if job.settings.blocks_to_swap and job.family.name not in SWAPPING:
        raise InputError(
            f"training.blocks_to_swap: {TITLE} swaps blocks of {' and '.join(SWAPPING)} only, not of"
            f" {job.family.name}. Leave it out."
        )


def _files(job: Job) -> Mapping[str, str]:
    script(job)
    return {"dataset.toml": dataset_toml(job), "training.toml": training_toml(job, job.file("dataset.toml"))}


def _start(job: Job) -> tuple[str, ...]:
    parts = [part for part in PARTS.get(job.family.name, ()) if part not in part_arguments(job)]
    command = (
        "accelerate launch --num_cpu_threads_per_process 1",
        script(job),
        "--config_file",
        shell.quote(job.file("training.toml")),
        *(f"--{part} FILE" for part in parts),
    )
    singly = (f"Put the path of each FILE: sd-scripts takes {job.family.name} from single files.",) if parts else ()
    return ("In the folder of sd-scripts:", f"  {' '.join(command)}", *singly)


PROGRAM = Program("kohya", _files, _start, notes, ABLE, QUANTIZATIONS)
