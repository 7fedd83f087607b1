"""kohya-ss/sd-scripts: the script that trains each family, and what that one is told beside what all are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from twinloop.families import Family
from twinloop.foreign import TITLES
from twinloop.foreign.job import Job, known

TITLE = TITLES["kohya"]
LYCORIS = "lycoris.kohya"
"""The network module of LyCORIS (``pip install lycoris-lora`` in sd-scripts' environment)."""
_LORA = "networks.lora"


def _nothing(job: Job) -> dict[str, Any]:
    return {}


@dataclass(frozen=True)
class Script:
    """How sd-scripts trains one family.

    Attributes:
        file: the script. network: its module that makes LoRAs of the family.
        arguments: diffusers' names of parts of the base that may come from files of their own -> the arguments for
            them.
        parts: arguments of files that it wants beside the denoiser's; this program knows where they lie if
            ``base_parts`` says it.
        one_file: a single file may hold all of these.
        caches_texts: the text encoders are too large to stay beside the denoiser, so that their outputs are cached:
            captions then cannot be dropped.
        swaps: it keeps blocks in main memory.
        limits_times: it trains the noise levels that it is told of, not all of them.
        file_alone: it reads the base model from a file, and from no folder.
        packs: it gives the base model smaller weights where that is asked for.
        lokr: sd-scripts' own module that makes LoKrs of the family; "" = that of LyCORIS.
        own: its further arguments.
    """

    file: str
    network: str
    arguments: Mapping[str, str]
    parts: tuple[str, ...] = ()
    one_file: bool = False
    caches_texts: bool = False
    swaps: bool = False
    limits_times: bool = True
    file_alone: bool = False
    packs: bool = True
    lokr: str = ""
    own: Callable[[Job], dict[str, Any]] = _nothing


def _sdxl(job: Job) -> dict[str, Any]:
    settings = job.settings
    changing = settings.caption_dropout or settings.caption_tag_dropout_rate or settings.shuffle_captions
    cached = not changing and not settings.text_encoder
    return {"no_half_vae": True, **({"cache_text_encoder_outputs": True} if cached else {})}


def _sd35(job: Job) -> dict[str, Any]:
    return {"training_shift": 3.0, "weighting_scheme": "logit_normal"}


def _flux(job: Job) -> dict[str, Any]:
    # [schnell] was made without a shift
    times = "sigmoid" if job.settings.preset == "flux-schnell" else "flux_shift"
    return {"guidance_scale": 1.0, "timestep_sampling": times, "model_prediction_type": "raw"}


def _chroma(job: Job) -> dict[str, Any]:
    return {
        "model_type": "chroma", "apply_t5_attn_mask": True, "guidance_scale": 0.0, "timestep_sampling": "sigmoid",
        "model_prediction_type": "raw",
    }  # fmt: skip


def _anima(job: Job) -> dict[str, Any]:
    return {"timestep_sampling": "sigmoid", "discrete_flow_shift": 1.0}


SCRIPTS: Mapping[str, Script] = {
    "sd15": Script("train_network.py", _LORA, {"vae": "vae"}),
    "sdxl": Script("sdxl_train_network.py", _LORA, {"vae": "vae"}, own=_sdxl),
    "sd35": Script(
        "sd3_train_network.py",
        "networks.lora_sd3",
        {"text_encoder": "clip_l", "text_encoder_2": "clip_g", "text_encoder_3": "t5xxl", "vae": "vae"},
        parts=("clip_l", "clip_g", "t5xxl"),
        one_file=True,
        caches_texts=True,
        swaps=True,
        own=_sd35,
    ),
    "flux": Script(
        "flux_train_network.py",
        "networks.lora_flux",
        {"text_encoder": "clip_l", "text_encoder_2": "t5xxl", "vae": "ae"},
        parts=("clip_l", "t5xxl", "ae"),
        caches_texts=True,
        swaps=True,
        limits_times=False,
        own=_flux,
    ),
    "chroma": Script(
        "flux_train_network.py",
        "networks.lora_flux",
        {"text_encoder": "t5xxl", "vae": "ae"},
        parts=("t5xxl", "ae"),
        caches_texts=True,
        swaps=True,
        limits_times=False,
        own=_chroma,
    ),
    "anima": Script(
        "anima_train_network.py",
        "networks.lora_anima",
        {"text_encoder": "qwen3", "vae": "vae"},
        parts=("qwen3", "vae"),
        swaps=True,
        limits_times=False,
        file_alone=True,
        packs=False,
        lokr="networks.lokr",
        own=_anima,
    ),
}
"""By family."""
*_SWAPS, _LAST = sorted(name for name, script in SCRIPTS.items() if script.swaps)
SWAPPING = f"{', '.join(_SWAPS)} and {_LAST}"
"""The families of which it swaps blocks, for people."""


def script(job: Job) -> Script:
    """How the job's family is trained.

    Raises:
        InputError: sd-scripts does not train it.
    """
    return known(TITLE, SCRIPTS, job.family)


def network_module(family: Family) -> str:
    """Its module that makes LoRAs of the family; that of its first ones where it does not train it."""
    return SCRIPTS[family.name].network if family.name in SCRIPTS else _LORA
