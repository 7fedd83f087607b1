"""What a setting may be, where it is one of a few words.

The configuration, the flags of the command line and the parts that carry a choice out all take it from here. Nothing is
imported, so that ``--help`` comes at once. Quantised weights have theirs in `twinloop.domain.quantised`.
"""

from __future__ import annotations

from typing import Literal, get_args

SDXL = "stabilityai/stable-diffusion-xl-base-1.0"
"""Hub id of the base model that is taken where none is named."""

Device = Literal["auto", "cpu", "cuda", "mps"]
DEVICES: tuple[str, ...] = get_args(Device)
Precision = Literal["auto", "float32", "bfloat16", "float16"]
PRECISIONS: tuple[str, ...] = get_args(Precision)
Compile = Literal["regional", "off"]
COMPILES: tuple[str, ...] = get_args(Compile)
Offload = Literal["none", "model", "sequential"]
OFFLOADS: tuple[str, ...] = get_args(Offload)
"""Those that cost least time first."""

PromptStyle = Literal["prose", "tags", "pony", "full"]
PROMPT_STYLES: tuple[str, ...] = get_args(PromptStyle)

Adapter = Literal["lora", "dora", "lokr"]
ADAPTERS: tuple[str, ...] = get_args(Adapter)
Optimizer = Literal["adamw", "adamw8bit", "prodigy", "adafactor"]
OPTIMIZERS: tuple[str, ...] = get_args(Optimizer)
Schedule = Literal["cosine", "constant", "linear", "cosine_restarts"]
SCHEDULES: tuple[str, ...] = get_args(Schedule)
Loss = Literal["l2", "huber", "smooth_l1"]
LOSSES: tuple[str, ...] = get_args(Loss)
HuberSchedule = Literal["constant", "exponential", "snr"]
HUBER_SCHEDULES: tuple[str, ...] = get_args(HuberSchedule)
"""The last goes by the ratio of signal and noise, which sd-scripts does not take of a flow."""
FlowSampling = Literal["logit_normal", "uniform"]

SharpnessRuler = Literal["face", "image"]
SHARPNESS_RULERS: tuple[str, ...] = get_args(SharpnessRuler)

# of a training set that the vault prepares; no field of the configuration
FRAMINGS = ("face", "half", "full", "keep")
CAPTION_STYLES = ("prose", "tags")
CAPTIONERS = ("template", "wd14", "blip", "florence2")
"""``template`` adds nothing to what was measured, and needs no model."""
LAYOUTS = ("flat", "kohya", "metadata")
"""The first is taken where none is named."""
CONSENTS = ("self", "written", "licence", "fictional")
DUPLICATE_KINDS = ("exact", "near", "burst")
