"""kohya-ss/musubi-tuner: the TOML of a dataset and of a training, for the families that sd-scripts does not train.

Source: its docs/dataset_config.md, advanced_config.md and loha_lokr.md, the schema in dataset/config_utils.py, and
training/parser_common.py. It was never run.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from twinloop.domain.training_rules import LAST_TIME
from twinloop.errors import InputError
from twinloop.foreign.job import SHIFTS, Job, more_steps, quantized
from twinloop.foreign.kohya_training import training_arguments
from twinloop.foreign.musubi_files import half, shell_script, unnamed
from twinloop.foreign.musubi_scripts import TITLE, script
from twinloop.foreign.program import Program
from twinloop.foreign.toml import dumps
from twinloop.system import shell

OPTIMIZERS = {
    "adamw": "AdamW",
    "adamw8bit": "AdamW8bit",
    "adafactor": "Adafactor",
    "prodigy": "prodigyopt.Prodigy",
    "lion": "lion_pytorch.Lion",
    "came": "pytorch_optimizer.CAME",
    "adamw_schedulefree": "schedulefree.AdamWScheduleFree",
}
"""A name with a dot is a class that it imports."""
PACKAGES = {
    "prodigy": "prodigyopt",
    "lion": "lion-pytorch",
    "came": "pytorch-optimizer",
    "adamw_schedulefree": "schedulefree",
}
"""Optimizer -> what has to be installed beside it."""
QUANTIZATIONS = {"fp8": "fp8_scaled", "int8": "fp8_scaled"}
"""Its only kind of 8 bits, beside ``fp8_base``."""
LOKR = "networks.lokr"
ABLE = frozenset(
    (
        "lokr_factor optimizer_args network_dropout rank_dropout module_dropout loraplus_lr_ratio scale_weight_norms "
        "smaller_resolutions flow_sampling flow_shift min_timestep max_timestep assistant_lora max_step_saves_to_keep "
        "blocks_to_swap"
    ).split()
) | {"adapter lokr"}


def dataset_toml(job: Job) -> str:
    """For ``--dataset_config``: a dataset per folder and resolution, each with a cache of its own.

    musubi-tuner knows no regularisation. Prior images are a dataset like the others, drawn about as often as the
    subject's pictures altogether; that is what a weight of 1 comes to.
    """
    settings = job.settings
    sides = sorted({settings.resolution, *settings.smaller_resolutions})
    datasets = [
        {
            "image_directory": job.place(folder),
            "cache_directory": str(job.output / "cache" / f"{folder.name} {side}"),
            "resolution": side,
            "num_repeats": job.whole_repeats(folder),
        }
        for folder in job.folders
        for side in sides
    ]
    general = {
        "caption_extension": ".txt", "batch_size": settings.batch_size, "enable_bucket": True,
        "bucket_no_upscale": True,
    }  # fmt: skip
    return dumps({"general": general, "datasets": datasets})


def training_toml(job: Job, dataset_config: str) -> str:
    """For ``--config_file``: the arguments of the script, in sections for people (it does not look at their names);
    model files, some of which it wants on the command line, are left to that.

    Raises:
        InputError: a family that it does not train, or settings that do not go together there.
    """
    script(job)
    return dumps(
        {
            "dataset": {"dataset_config": dataset_config},
            "output": {
                "output_dir": str(job.output),
                "output_name": job.name,
                "save_every_n_steps": job.in_turns(job.save_every),
                **_saves(job),
                "metadata_title": job.name,
                "metadata_description": f"Trigger words: {job.trigger}",
            },
            "network": _network(job),
            "training": _training(job),
            "noise": _times(job),
        }
    )


def _saves(job: Job) -> dict[str, Any]:
    """Which LoRAs of earlier steps go: it is told how many steps before the newest one the last of them may lie."""
    kept = job.saves_kept
    return {"save_last_n_steps": max(1, (kept - 1) * job.in_turns(job.save_every))} if kept else {}


def _network(job: Job) -> dict[str, Any]:
    settings = job.settings
    numbers = {
        "rank_dropout": settings.rank_dropout,
        "module_dropout": settings.module_dropout,
        "loraplus_lr_ratio": settings.loraplus_lr_ratio,
    }
    arguments = [f"factor={settings.lokr_factor}"] if settings.lokr else []
    arguments += [f"{name}={number:g}" for name, number in numbers.items() if number]
    network: dict[str, Any] = {
        # a rank beyond half of the large matrix leaves that whole
        "network_module": LOKR if settings.lokr else script(job).network,
        "network_dim": settings.rank,
        "network_alpha": float(settings.network_alpha),
    }
    network |= {"network_dropout": float(settings.network_dropout)} if settings.network_dropout else {}
    network |= {"scale_weight_norms": float(settings.scale_weight_norms)} if settings.scale_weight_norms else {}
    network |= {"network_args": arguments} if arguments else {}
    if settings.assistant_lora:
        if settings.lokr:
            raise InputError(
                f"training.assistant_lora: {TITLE} puts it into the base model as what it trains itself, here a LoKr."
                ' Leave it out, or set training.adapter to "lora".'
            )
        network["base_weights"] = [str(Path(settings.assistant_lora).absolute())]
    return network


def _training(job: Job) -> dict[str, Any]:
    arguments = training_arguments(job, OPTIMIZERS, half(job)) | {"persistent_data_loader_workers": True}
    if wanted := quantized(TITLE, QUANTIZATIONS, job.quantization):
        arguments |= {"fp8_base": True, wanted: True}
    swapped = job.settings.blocks_to_swap
    return arguments | ({"blocks_to_swap": swapped} if swapped else {})


def _shift(job: Job) -> float | None:
    """By how much times are moved towards noise; None = by the size of the pictures."""
    return job.settings.flow_shift or SHIFTS.get(job.family.name)


def _times(job: Job) -> dict[str, Any]:
    """How the times of the steps are drawn.

    Its ``shift`` and those by size draw from a logistic normal distribution; ``sigma`` draws evenly, and ``uniform``
    does so without a shift.

    Raises:
        InputError: times that are drawn evenly, shifted, and limited: it limits those before the shift.
    """
    settings, shift = job.settings, _shift(job)
    evenly = settings.flow_sampling == "uniform"
    if shift is None:
        found: dict[str, Any] = {"timestep_sampling": "uniform" if evenly else script(job).by_size}
    else:
        found = {"timestep_sampling": "sigma" if evenly else "shift", "discrete_flow_shift": float(shift)}
    first, last = settings.min_timestep, settings.max_timestep
    limits = {**({"min_timestep": first} if first else {}), **({"max_timestep": last} if last != LAST_TIME else {})}
    if limits and found["timestep_sampling"] == "sigma":
        raise InputError(
            f"training.{next(iter(limits))}: {TITLE} does not limit times as this program does where they are drawn"
            ' evenly (flow_sampling "uniform") and shifted. Leave one of the two out.'
        )
    return {**found, "weighting_scheme": "none", **limits}


def notes(job: Job) -> tuple[str, ...]:
    """What of the settings this program cannot do, in words."""
    settings, told = job.settings, [*more_steps(TITLE, job)]
    if settings.caption_dropout > 0:
        told.append(f"captions are not dropped: {TITLE} caches the text encoder's outputs")
    if settings.flip:
        told.append(f"photos are not mirrored, which {TITLE} has no word for")
    if job.quantization == "int8":
        told.append(f"the denoiser's weights are fp8 (fp8_scaled) instead of int8, which {TITLE} does not have")
    if job.float16 and half(job) != job.precision:
        told.append(f"it computes in bfloat16: {job.family.name} overflows in float16")
    if package := PACKAGES.get(settings.optimizer):
        told.append(f"the optimizer is {OPTIMIZERS[settings.optimizer]}: pip install {package} in its environment")
    if settings.flow_sampling == "uniform" and _shift(job) is None:
        told.append(
            f"times are drawn evenly without a shift by the size of the pictures: {TITLE} has that with logit_normal"
            " only (or set flow_shift)"
        )
    if job.family.name == "qwen-image-edit":
        told.append(
            "it is trained as Qwen-Image (--model_version original), without a photo to look at; of"
            " Qwen-Image-Edit-2511 take the makers' files then, since ComfyUI's are refused"
        )
    if job.family.name == "flux2-klein":
        version = script(job).version(job)
        told.append(f"the model is taken for {version} by its name; if it is another, say so in train.sh")
    return tuple(told)


def _files(job: Job) -> Mapping[str, str]:
    dataset, training = job.file("dataset.toml"), job.file("training.toml")
    return {
        "dataset.toml": dataset_toml(job),
        "training.toml": training_toml(job, dataset),
        "train.sh": shell_script(job, dataset, training),
    }


def _start(job: Job) -> tuple[str, ...]:
    missing = ", ".join(unnamed(job))
    return (
        *((f"At the head of train.sh, name the model files that are not known here: {missing}.",) if missing else ()),
        "In the folder of musubi-tuner, with its environment switched on:",
        f"  sh {shell.quote(job.file('train.sh'))}",
        "It runs three commands: the first two cache latents and the text encoder's outputs, the third trains.",
        "Where there is no sh, run them one by one. They were written after musubi-tuner's documentation and argument",
        "parser, and not tried with it.",
    )


PROGRAM = Program("musubi-tuner", _files, _start, notes, ABLE, QUANTIZATIONS)
