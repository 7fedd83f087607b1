"""kohya-ss/musubi-tuner: the scripts that train each family, the model files that they want, and how they draw times.

Source: its docs/zimage.md, qwen_image.md, krea2.md, flux_2.md and flux_kontext.md, and the argument parsers of
src/musubi_tuner/*_train_network.py, *_cache_latents.py and *_cache_text_encoder_outputs.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import PurePath

from twinloop.errors import InputError
from twinloop.foreign import TITLES, aitoolkit, kohya_scripts, onetrainer, simpletuner
from twinloop.foreign.job import Job

TITLE = TITLES["musubi-tuner"]


def _klein(job: Job) -> str:
    """By the base's name: the sizes have other text encoders."""
    size = "9b" if "9b" in PurePath(job.base).name.lower() else "4b"
    return f"flux.2-klein-{size}" if job.settings.preset == "flux2-klein" else f"flux.2-klein-base-{size}"


def _no_version(job: Job) -> str:
    return ""


@dataclass(frozen=True)
class Script:
    """How musubi-tuner trains one family.

    Attributes:
        name: that of its three scripts begins so. network: its module that makes LoRAs of the family.
        by_size: its ``timestep_sampling`` that shifts times by the size of the pictures.
        version: ``--model_version`` of all three, "" = they have no such argument.
        diffusers: it reads denoiser and autoencoder as they lie in a folder of diffusers, too; else only those of the
            original code. It reads the text encoder of such a folder in either case.
        in_one_file: it wants a part in one file; else the first one of several will do.
        wanted: argument -> which file that is, for people.
    """

    name: str
    network: str
    by_size: str
    wanted: Mapping[str, str]
    version: Callable[[Job], str] = _no_version
    diffusers: bool = False
    in_one_file: bool = False


_QWEN = Script(
    "qwen_image",
    "networks.lora_qwen_image",
    by_size="qwen_shift",
    wanted={
        "dit": "The denoiser: the first file of transformer/ of the model, or ComfyUI's in bfloat16, not in fp8",
        "vae": "The autoencoder: that of vae/ of the model, or qwen_image_vae.safetensors",
        "text_encoder": (
            "The text encoder, Qwen2.5-VL: the first file of text_encoder/ of the model, or qwen_2.5_vl_7b.safetensors,"
            " not in fp8"
        ),
    },
    # without a photo to look at, Qwen-Image-Edit is trained as Qwen-Image is
    version=lambda job: "original",
    diffusers=True,
)
_FLUX2 = {
    "dit": "The denoiser as its makers have it, such as flux2-dev.safetensors; not the files of transformer/",
    "vae": "The autoencoder: ae.safetensors of FLUX.2 [dev]; not the file of vae/",
}
SCRIPTS: Mapping[str, Script] = {
    "zimage": Script(
        "zimage",
        "networks.lora_zimage",
        by_size="flux_shift",
        wanted={
            "dit": "The denoiser: the first file of transformer/ of the model, or ComfyUI's",
            "vae": "The autoencoder: that of vae/ of the model, or ComfyUI's",
            "text_encoder": "The text encoder, Qwen3: the first file of text_encoder/ of the model, or ComfyUI's",
        },
        diffusers=True,
    ),
    "qwen-image": _QWEN,
    "qwen-image-edit": _QWEN,
    "krea2": Script(
        "krea2",
        "networks.lora_krea2",
        by_size="krea2_shift",
        wanted={
            "dit": "The denoiser as its makers have it, such as raw.safetensors; not the files of transformer/",
            "vae": "The autoencoder: that of vae/ of the model, or qwen_image_vae.safetensors",
            "text_encoder": "The text encoder, Qwen3-VL, in one file, such as qwen3vl_4b_bf16.safetensors",
        },
        in_one_file=True,
    ),
    "flux2": Script(
        "flux_2",
        "networks.lora_flux_2",
        by_size="flux2_shift",
        wanted={**_FLUX2, "text_encoder": "The text encoder, Mistral: the first file of text_encoder/ of the model"},
        version=lambda job: "flux.2-dev",
    ),
    "flux2-klein": Script(
        "flux_2",
        "networks.lora_flux_2",
        by_size="flux2_shift",
        wanted={**_FLUX2, "text_encoder": "The text encoder, Qwen3: the first file of text_encoder/ of the model"},
        version=_klein,
    ),
}
"""By family."""
PARTS = {"vae": "vae", "text_encoder": "text_encoder"}
"""Diffusers' name of a part that may come from a file of its own -> its argument."""
FROM_PAIRS = ("flux-kontext",)
"""It has a script for these, which wants a reference beside each picture; datasets of one person hold none."""
_OTHERS = {
    "kohya": kohya_scripts.SCRIPTS,
    "ai-toolkit": aitoolkit.ARCHITECTURES,
    "onetrainer": onetrainer.MODEL_TYPES,
    "simpletuner": simpletuner.FAMILIES,
}


def script(job: Job) -> Script:
    """How the job's family is trained.

    Raises:
        InputError: musubi-tuner does not train it, or not from pictures alone; says who does.
    """
    name = job.family.name
    if name in SCRIPTS:
        return SCRIPTS[name]
    itself = 'with this program itself ("trainer": "builtin")'
    if name in FROM_PAIRS:
        raise InputError(
            f"{TITLE} trains {name} with a reference beside each picture only, and photos of one person hold no such"
            f" pairs. Train it without references, {itself}. {TITLE} trains {', '.join(SCRIPTS)} from pictures alone."
        )
    others = ", ".join(TITLES[program] for program, families in _OTHERS.items() if name in families)
    raise InputError(
        f"{TITLE} does not train {name} LoRAs, as far as this program knows; it knows {', '.join(SCRIPTS)}. Train it"
        f" {f'with {others} (twinloop export), or ' if others else ''}{itself}."
    )
