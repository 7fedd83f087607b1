"""kohya-ss/sd-scripts: the TOML of a training, and how one is started.

Source: its argument parsers (library/train_util.py, flux_ and sd3_train_utils.py, train_network.py) and its
docs/*_train_network.md."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from twinloop.domain.training_rules import LARGEST_RANK, LAST_TIME, beyond_flow, told
from twinloop.domain.wording import agree
from twinloop.errors import InputError
from twinloop.families.clip import CHUNKS, TOKENS, about_tokens
from twinloop.foreign.job import Job, check_convolutions, more_steps, quantized, trigger_goes
from twinloop.foreign.kohya_dataset import dataset_toml
from twinloop.foreign.kohya_scripts import LYCORIS, SWAPPING, TITLE, script
from twinloop.foreign.kohya_training import training_arguments
from twinloop.foreign.program import MASKED, Program
from twinloop.foreign.toml import dumps
from twinloop.ports import TrainingSettings
from twinloop.system import shell

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
ABLE = frozenset(
    (
        "lokr_factor text_encoder text_encoder_learning_rate shuffle_captions keep_tokens caption_tag_dropout_rate "
        "optimizer_args loss huber_c huber_schedule debiased_estimation_loss ip_noise_gamma multires_noise_iterations "
        "multires_noise_discount min_timestep max_timestep clip_skip prior_weight mask_floor network_dropout "
        "rank_dropout module_dropout loraplus_lr_ratio scale_weight_norms conv_rank conv_alpha max_step_saves_to_keep "
        "blocks_to_swap"
    ).split()
) | {"adapter lokr", MASKED}
QUANTIZATIONS = {"fp8": "fp8_base"}
"""The argument that asks for it."""


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
            job.family.name: {
                **script(job).own(job),
                **({"cache_text_encoder_outputs": True} if script(job).caches_texts else {}),
            },
        }
    )


def part_arguments(job: Job) -> dict[str, str]:
    """Argument -> file of each part that does not come with the base.

    Raises:
        InputError: sd-scripts has no argument for one, or does not train the family.
    """
    known = script(job).arguments
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
        "network_module": script(job).network,
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
        network |= _lokr(job)
    return network


def _lokr(job: Job) -> dict[str, Any]:
    factor, own = f"factor={job.settings.lokr_factor}", script(job).lokr
    if own:  # a large rank alone gives it whole matrices
        return {"network_module": own, "network_args": [factor]}
    whole = ["full_matrix=True"] if job.settings.rank > LARGEST_RANK else []
    return {"network_module": LYCORIS, "network_args": ["algo=lokr", factor, "preset=attn-mlp", *whole]}


def _training(job: Job) -> dict[str, Any]:
    settings = job.settings
    arguments = training_arguments(job, OPTIMIZERS, job.precision)
    if settings.blocks_to_swap and script(job).swaps:
        arguments["blocks_to_swap"] = settings.blocks_to_swap
    if job.quantization and not script(job).packs:
        raise InputError(
            f"quantization: {TITLE} trains {job.family.name} with the weights as they are. Leave it out, or use"
            ' "trainer": "builtin".'
        )
    if wanted := quantized(TITLE, QUANTIZATIONS, job.quantization):
        arguments[wanted] = True
    if job.prior_pictures:
        arguments["prior_loss_weight"] = float(settings.prior_weight)
    arguments |= {"min_snr_gamma": float(job.min_snr_gamma)} if job.min_snr_gamma > 0 else {}
    arguments |= _loss(job)
    arguments |= {"noise_offset": float(job.noise_offset)} if job.noise_offset > 0 else {}
    return arguments | _noise(job) | _clip_skip(job)


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
        raise InputError(told(fields, problem))
    first, last = settings.min_timestep, settings.max_timestep
    times = {**({"min_timestep": first} if first else {}), **({"max_timestep": last} if last != LAST_TIME else {})}
    if times and not script(job).limits_times:
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


def notes(job: Job) -> tuple[str, ...]:
    """What of the settings this program cannot do, in words."""
    lines, cached = [*more_steps("sd-scripts", job)], script(job).caches_texts
    if cached and job.settings.caption_dropout > 0:
        lines.append("captions are not dropped: sd-scripts caches the text encoders' outputs for this family")
    else:
        lines += trigger_goes("sd-scripts", job)
    if cached and job.settings.caption_tag_dropout_rate > 0:
        lines.append("captions keep all their parts: sd-scripts caches the text encoders' outputs for this family")
    if cached and job.settings.shuffle_captions:
        lines.append("captions keep their order: sd-scripts caches the text encoders' outputs for this family")
    if job.settings.blocks_to_swap and not script(job).swaps:
        lines.append(f"all blocks stay on the GPU: sd-scripts swaps those of {SWAPPING} only")
    return tuple(lines)


def followed(job: Job) -> TrainingSettings:
    """What it trains with."""
    settings = replace(job.settings, min_snr_gamma=job.min_snr_gamma, noise_offset=job.noise_offset)
    if script(job).caches_texts:
        return replace(settings, caption_dropout=0.0, caption_tag_dropout_rate=0.0, shuffle_captions=False)
    return replace(settings, keep_trigger=False)


def check_captions(job: Job, given: Collection[str]) -> None:
    """Raises InputError where captions shall change from step to step and cannot, or dropped ones shall keep the
    trigger.

    Args:
        given: fields of ``training`` that the configuration sets itself: captions are dropped now and then without
            being asked for.
    """
    settings = job.settings
    asked = {
        "caption_dropout": "caption_dropout" in given and settings.caption_dropout > 0,
        "caption_tag_dropout_rate": settings.caption_tag_dropout_rate > 0,
        "shuffle_captions": settings.shuffle_captions,
        "keep_tokens": settings.keep_tokens > 0,
    }
    if script(job).caches_texts and (vain := [f"training.{name}" for name, wanted in asked.items() if wanted]):
        raise InputError(
            f"{', '.join(vain)}: {TITLE} caches the text encoders' outputs for {job.family.name}, so that captions stay"
            f" as they are. Leave {agree(len(vain), 'it', 'them')} out,"
            ' or use "trainer": "builtin".'
        )
    if "keep_trigger" in given and trigger_goes(TITLE, job) and not script(job).caches_texts:
        raise InputError(
            f"training.keep_trigger: {TITLE} drops a caption as a whole, with the trigger words. Leave it out, set"
            ' caption_dropout to 0, or use "trainer": "builtin".'
        )


def check_parts(job: Job, arguments: tuple[str, ...]) -> None:
    """Raises InputError where sd-scripts would miss a model file."""
    given = {argument.lstrip("-").partition("=")[0] for argument in arguments if argument.startswith("--")}
    given |= part_arguments(job).keys()
    missing = [part for part in script(job).parts if part not in given]
    if missing and not (script(job).one_file and job.base.endswith(".safetensors")):
        raise InputError(
            f"{TITLE} trains {job.family.name} from single files. Name the others in base_parts, or in"
            f" training.extra_args: {', '.join(f'--{part}=FILE' for part in missing)}; base_model is the denoiser's"
            " .safetensors file."
        )
    if script(job).file_alone and not job.base.endswith(".safetensors"):
        raise InputError(
            f"base_model: {TITLE} trains {job.family.name} from the denoiser's .safetensors file in its original names,"
            ' and from no folder or hub id. Name that file, or use "trainer": "builtin".'
        )


def check_swapping(job: Job) -> None:
    """Raises InputError where blocks cannot be swapped, though that is asked for."""
    if job.settings.blocks_to_swap and not script(job).swaps:
        raise InputError(
            f"training.blocks_to_swap: {TITLE} swaps blocks of {SWAPPING} only, not of {job.family.name}. Leave it out."
        )


def _files(job: Job) -> Mapping[str, str]:
    return {"dataset.toml": dataset_toml(job), "training.toml": training_toml(job, job.file("dataset.toml"))}


def _start(job: Job) -> tuple[str, ...]:
    parts = [part for part in script(job).parts if part not in part_arguments(job)]
    command = (
        "accelerate launch --num_cpu_threads_per_process 1",
        script(job).file,
        "--config_file",
        shell.quote(job.file("training.toml")),
        *(f"--{part} FILE" for part in parts),
    )
    singly = (f"Put the path of each FILE: sd-scripts takes {job.family.name} from single files.",) if parts else ()
    return ("In the folder of sd-scripts:", f"  {' '.join(command)}", *singly)


PROGRAM = Program("kohya", _files, _start, notes, ABLE, QUANTIZATIONS, followed)
