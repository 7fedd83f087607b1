"""What a setting may be, where it is one of a few words.

The configuration, the flags of the command line and the parts that carry a choice out all take it from here. Nothing is
imported, so that ``--help`` comes at once. Quantised weights have theirs in `twinloop.domain.quantised`.
"""

from __future__ import annotations

from typing import Literal, get_args

SDXL = "stabilityai/stable-diffusion-xl-base-1.0"
"""Hub id of the base model that is taken where none is named."""
NANO, FAKE = "nano", "fake"
"""In the place of a base model or of a folder of detectors: the embedded ones, and those for tests and dry runs."""
BUILT_IN = (NANO, FAKE)
"""They need no file."""

Subject = Literal["person", "character"]
SUBJECTS: tuple[str, ...] = get_args(Subject)
"""Of photos, or drawn."""

Device = Literal["auto", "cpu", "cuda", "mps"]
DEVICES: tuple[str, ...] = get_args(Device)
Precision = Literal["auto", "float32", "bfloat16", "float16"]
PRECISIONS: tuple[str, ...] = get_args(Precision)
BasePrediction = Literal["epsilon", "v_prediction"]
BASE_PREDICTIONS: tuple[str, ...] = get_args(BasePrediction)
BASE_PARTS = ("vae", "text_encoder", "text_encoder_2", "text_encoder_3")
"""Parts of a base model that may come from files of their own, by diffusers' names."""
Compile = Literal["regional", "off"]
COMPILES: tuple[str, ...] = get_args(Compile)
Offload = Literal["none", "model", "blocks", "sequential"]
OFFLOADS: tuple[str, ...] = get_args(Offload)
"""Those that cost least time first."""
TimestepSpacing = Literal["leading", "trailing", "linspace"]
TIMESTEP_SPACINGS: tuple[str, ...] = get_args(TimestepSpacing)

PromptStyle = Literal["prose", "tags", "pony", "full"]
PROMPT_STYLES: tuple[str, ...] = get_args(PromptStyle)
TAG_PRESETS = ("animagine", "zit", "illustrious", "pony", "anima")
"""Presets, and their other names, of bases that read tags."""

Adapter = Literal["lora", "dora", "lokr"]
ADAPTERS: tuple[str, ...] = get_args(Adapter)
Optimizer = Literal["adamw", "adamw8bit", "prodigy", "adafactor", "lion", "came", "adamw_schedulefree"]
OPTIMIZERS: tuple[str, ...] = get_args(Optimizer)
SCHEDULE_FREE = ("adamw_schedulefree",)
"""Optimizers that average the weights by themselves, instead of a rate that falls."""
Schedule = Literal["cosine", "constant", "linear", "cosine_restarts"]
SCHEDULES: tuple[str, ...] = get_args(Schedule)
Loss = Literal["l2", "huber", "smooth_l1"]
LOSSES: tuple[str, ...] = get_args(Loss)
HuberSchedule = Literal["constant", "exponential", "snr"]
HUBER_SCHEDULES: tuple[str, ...] = get_args(HuberSchedule)
"""The last goes by the ratio of signal and noise, which sd-scripts does not take of a flow."""
FlowSampling = Literal["logit_normal", "uniform"]

ReviewPolicy = Literal["never", "first_round", "always"]
"""Which rounds wait for a person."""

SharpnessRuler = Literal["face", "image"]
SHARPNESS_RULERS: tuple[str, ...] = get_args(SharpnessRuler)

# of a training set that the vault prepares; no field of the configuration
FRAMINGS = ("face", "half", "full", "keep")
CAPTION_STYLES = ("prose", "tags")
CAPTIONERS = ("template", "wd14", "blip", "florence2", "openai")
"""``template`` adds nothing to what was measured, and needs no model. ``openai`` asks another program."""
CAPTION_WORDS = 50
"""Of a caption, where nothing else is said: about the 75 tokens that one pass of a CLIP text encoder reads."""
MOST_CAPTION_WORDS = 200
OWN_CAPTIONS = ("use", "ignore")
LAYOUTS = ("flat", "kohya", "metadata")
"""The first is taken where none is named."""
CONSENTS = ("self", "written", "licence", "fictional")
DUPLICATE_KINDS = ("exact", "near", "burst")
