"""kohya-ss/musubi-tuner: a script of the shell that runs its three commands, with the model files at its head."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from twinloop.errors import InputError
from twinloop.foreign.job import Job
from twinloop.foreign.musubi_scripts import PARTS, TITLE, Script, script
from twinloop.system import shell

UNKNOWN = "FILE"
"""In the place of a model file that this program knows nothing of."""
_FOLDERS = {"dit": "transformer", "vae": "vae", "text_encoder": "text_encoder"}
"""Argument -> where diffusers has its weights."""
_WEIGHTS = ".safetensors"


def model_files(job: Job) -> Mapping[str, str]:
    """Argument -> file, as far as the configuration or the base model's folder names it; `UNKNOWN` otherwise.

    Raises:
        InputError: a part that it takes no file for, or a family that it does not train.
    """
    wanted = script(job)
    unknown = next((part for part in job.parts if part not in PARTS), None)
    if unknown is not None:
        raise InputError(
            f"base_parts.{unknown}: {TITLE} takes no file for it with {job.family.name}; it takes {', '.join(PARTS)}."
            " Leave it out."
        )
    given = {PARTS[part]: file for part, file in job.parts.items()}
    return {name: given.get(name) or _of_base(job, wanted, name) or UNKNOWN for name in wanted.wanted}


def _of_base(job: Job, wanted: Script, name: str) -> str:
    """What the base model itself has of it, "" = nothing that musubi-tuner reads."""
    if job.base.endswith(_WEIGHTS):
        return job.base if name == "dit" else ""
    if name != "text_encoder" and not wanted.diffusers:
        return ""
    files = sorted((Path(job.base) / _FOLDERS[name]).glob(f"*{_WEIGHTS}"))
    # of weights in several files it mostly wants the first
    return "" if not files or (wanted.in_one_file and len(files) > 1) else str(files[0])


def unnamed(job: Job) -> tuple[str, ...]:
    """Variables of the script that the person has to fill in."""
    return tuple(name.upper() for name, file in model_files(job).items() if file == UNKNOWN)


def shell_script(job: Job, dataset: str, training: str) -> str:
    """The commands: they cache latents and the text encoder's outputs, then train.

    Args:
        dataset, training: paths of its two configurations.
    """
    wanted = script(job)
    known, version = model_files(job), wanted.version(job)
    told = f" --model_version {version}" if version else ""
    data = f"--dataset_config {shell.quote_for_sh(dataset)}"
    scripts = f"src/musubi_tuner/{wanted.name}"
    launch = f"accelerate launch --num_cpu_threads_per_process 1 --mixed_precision {half(job)}"
    lines = [
        "#!/bin/sh",
        "# Trains the LoRA with musubi-tuner. Run it in the folder of musubi-tuner, with its environment switched on.",
        "set -eu",
        "",
        "# Model files. Of weights in several files, the first one is named.",
        *(line for name, file in known.items() for line in _named(name, file, wanted.wanted[name])),
        'for file in "$DIT" "$VAE" "$TEXT_ENCODER"; do',
        '    [ -f "$file" ] || { echo "There is no model file $file: name it at the head of $0." >&2; exit 1; }',
        "done",
        "",
        "# 1. Latents of the pictures",
        f'python {scripts}_cache_latents.py {data} --vae "$VAE"{told}',
        "",
        "# 2. What the text encoder makes of the captions",
        f'python {scripts}_cache_text_encoder_outputs.py {data} --text_encoder "$TEXT_ENCODER"{told}',
        "",
        "# 3. The training",
        (
            f"{launch} {scripts}_train_network.py --config_file {shell.quote_for_sh(training)}"
            f' --dit "$DIT" --vae "$VAE" --text_encoder "$TEXT_ENCODER"{told}'
        ),
    ]
    return "\n".join(lines) + "\n"


def _named(name: str, file: str, about: str) -> list[str]:
    """The variable that names a model file, under what is to be known of it."""
    unknown = [f"# This program does not know where it lies: put its path in the place of {UNKNOWN}."]
    return [f"# {about}", *(unknown if file == UNKNOWN else []), f"{name.upper()}={shell.quote_for_sh(file)}"]


def half(job: Job) -> str:
    """The half precision; float16 only of families that do not overflow in it."""
    return "bf16" if job.family.overflows_in_float16 else job.precision
