"""What is wrong with a configuration, in words: every mistake at once, each with its field and what was meant."""

from __future__ import annotations

import copy
import difflib
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from twinloop.config.section import Clash, Clashes, Section
from twinloop.config.settings import Settings

ELSEWHERE = {
    "network_dim": "training.rank",
    "network_alpha": "training.alpha",
    "conv_dim": "training.conv_rank",
    "conv": "training.conv_rank",
    "linear": "training.rank",
    "linear_alpha": "training.alpha",
    "use_rslora": "training.rank_stabilized",
    "rs_lora": "training.rank_stabilized",
    "lr": "training.learning_rate",
    "unet_lr": "training.learning_rate",
    "text_encoder_lr": "training.text_encoder_learning_rate",
    "max_train_epochs": "training.epochs",
    "num_repeats": "training.repeats",
    "gradient_accumulation_steps": "training.gradient_accumulation",
    "lr_scheduler_num_cycles": "training.restarts",
    "lr_warmup_steps": "training.warmup_steps",
    "max_grad_norm": "training.clip_norm",
    "caption_dropout_rate": "training.caption_dropout",
    "shuffle_caption": "training.shuffle_captions",
    "flip_aug": "training.flip",
    "reg_data_dir": "training.prior_images",
    "prior_loss_weight": "training.prior_weight",
    "network_weights": "training.start_from",
    "sample_every_n_steps": "training.sample_every",
    "pretrained_model_name_or_path": "base_model",
    "ae": "base_parts.vae",
    "vae_path": "base_parts.vae",
    "vae_name": "base_parts.vae",
    "clip_l": "base_parts.text_encoder",
    "te_name_or_path": "base_parts.text_encoder",
    "clip_g": "base_parts.text_encoder_2",
    "train_data_dir": "dataset_dir",
    "mixed_precision": "precision",
    "save_every_n_steps": "training.save_every",
    "validate_every_n_steps": "training.validate_every",
    "validate_after": "training.validate_every",
    "optimizer_type": "training.optimizer",
    "optimizer_params": "training.optimizer_args",
    "loss_type": "training.loss",
    "dropout": "training.network_dropout",
    "conditioning_data_dir": "training.masks",
    "mask_path": "training.masks",
    "mask_min_value": "training.mask_floor",
    "lr_scheduler": "training.schedule",
    "train_batch_size": "training.batch_size",
    "train_text_encoder": "training.text_encoder",
    "assistant_lora_path": "training.assistant_lora",
    "network_module": "training.adapter",
    "fp8_base": "quantization",
    "qtype": "quantization",
    "quantize": "quantization",
    "sampler_name": "generation.scheduler",
    "cfg": "generation.guidance_scale",
    "cfg_scale": "generation.guidance_scale",
    "cfg_rescale": "generation.guidance_rescale",
    "v_parameterization": "base_prediction",
    "is_v_pred": "base_prediction",
    "prediction_type": "base_prediction",
    "rescale_betas_zero_snr": "zero_terminal_snr",
    "CLIP_stop_at_last_layers": "clip_skip",
    "stop_at_clip_layer": "clip_skip",
    "denoise": "generation.strength",
    "denoising_strength": "generation.strength",
}
"""What sd-scripts, ai-toolkit, ComfyUI and A1111 call our fields."""
BY_FAMILY = {"t5xxl": "base_parts.text_encoder_2 (flux), or base_parts.text_encoder_3 (sd35)"}
"""What is another field of ours in another family of base models."""
_EPOCH = "counts steps here; one epoch has images x repeats / (batch_size x gradient_accumulation) of them"
_BUCKETS = "it needs no setting: photos are sorted by their shapes and never enlarged. Leave it out"
_KEPT = "it needs no setting: encoded photos are always kept. Leave it out"
OTHERWISE = {
    "save_every_n_epochs": f"training.save_every {_EPOCH}",
    "sample_every_n_epochs": f"training.sample_every {_EPOCH}",
    "validate_every_n_epochs": f"training.validate_every {_EPOCH}",
    "network_args": (
        "here its entries are fields of their own: conv_dim is training.conv_rank, algo is training.adapter, factor is"
        " training.lokr_factor, dora_wd is training.adapter dora; conv_alpha, rank_dropout, module_dropout and"
        " loraplus_lr_ratio keep their names"
    ),
    "enable_bucket": _BUCKETS,
    "bucket_no_upscale": _BUCKETS,
    "bucket_reso_steps": _BUCKETS,
    "min_bucket_reso": _BUCKETS,
    "max_bucket_reso": _BUCKETS,
    "cache_latents": _KEPT,
    "cache_latents_to_disk": _KEPT,
}
"""What to say of other programs' fields that none of ours stands for alone."""


def mistakes(data: Mapping[str, Any], error: ValidationError) -> list[str]:
    """One line per mistake of ``data``, which ``error`` refused: wrong fields, then what does not fit together among
    the others.
    """
    items = error.errors()
    wrong = [_field(item["loc"]) for item in items if item["loc"]]
    clashes = [clash for item in items for clash in _clashes(item)] or list(_among_the_others(data, wrong))
    fields = [_line(item) for item in items if not _clashes(item)]
    return fields + [f"{clash.section or 'file'}: {clash.problem}" for clash in clashes]


def _clashes(item: Any) -> tuple[Clash, ...]:
    cause = item.get("ctx", {}).get("error")
    return cause.found if isinstance(cause, Clashes) else ()


def _field(location: tuple[Any, ...]) -> str:
    """The field that a mistake is in; what lies deeper belongs to it."""
    return ".".join(str(part) for part in location[: 2 if location[0] in _sections() else 1])


def right_part(data: Mapping[str, Any]) -> tuple[Settings, frozenset[str]]:
    """The settings as far as they are right, and the fields that are not: those have their default, or a dash where
    there is none.
    """
    wrong = [name for name in _required() if data.get(name) is None]
    while True:
        try:
            return _without(data, wrong), frozenset(wrong)
        except ValidationError as error:
            items = error.errors()
            found = [_field(item["loc"]) for item in items if item["loc"]]
            found += [field for item in items for clash in _clashes(item) for field in clash.fields]
            wrong += [field for field in dict.fromkeys(found) if field not in wrong] or sorted({*data} - {*wrong})


def _without(data: Mapping[str, Any], wrong: list[str]) -> Settings:
    """The settings with these fields left at their defaults.

    Raises:
        ValidationError: others are wrong, too.
    """
    others = copy.deepcopy(dict(data))
    for field in wrong:
        section, _, name = field.rpartition(".")
        inside = others.get(section) if section else others
        if isinstance(inside, dict):
            inside.pop(name, None)
    return Settings.model_validate({**dict.fromkeys(_required(), "-"), **others})


def _required() -> list[str]:
    return [name for name, info in Settings.model_fields.items() if info.is_required()]


def _among_the_others(data: Mapping[str, Any], wrong: list[str]) -> Iterator[Clash]:
    """What does not fit together, as far as it is about none of the wrong fields; these are left at their defaults to
    find it.
    """
    try:
        _without(data, wrong)
    except ValidationError as error:
        for clash in (clash for item in error.errors() for clash in _clashes(item)):
            if not any(field == bad or field.startswith(f"{bad}.") for field in clash.fields for bad in wrong):
                yield clash


def _line(item: Any) -> str:
    field = ".".join(str(part) for part in item["loc"]) or "file"
    if item["type"] == "extra_forbidden":
        return f"{field}: unknown field{_meant(item['loc'])}"
    if item["type"] == "missing":
        return f"{field}: is required"
    if item["type"] == "too_short":
        return f"{field}: name at least {item['ctx']['min_length']}, or leave the field out"
    message = str(item["msg"]).removeprefix("Value error, ")
    given = item.get("input")
    shown = "" if isinstance(given, dict | list) else f" (given: {given!r})"
    return f"{field}: {message[0].lower() + message[1:]}{shown}"


def _meant(location: tuple[Any, ...]) -> str:
    """What an unknown field was probably meant to be; else the fields that there are at that place."""
    *place, name = (str(part) for part in location)
    if ours := ELSEWHERE.get(name) or BY_FAMILY.get(name):
        return f"; here it is called {ours}"
    if said := OTHERWISE.get(name):
        return f"; {said}"
    section = _sections().get(".".join(place)) if place else Settings
    if section is None:
        return ""
    near = difflib.get_close_matches(name, section.model_fields, n=1)
    guesses = near or _with_word(name, section) or _of_other_sections(name)
    if guesses:
        return f"; did you mean {' or '.join(repr(guess) for guess in guesses)}?"
    return f"; known here: {', '.join(section.model_fields)}"


def _with_word(name: str, section: type[Section]) -> list[str]:
    """The fields that have the name among their words, as num_inference_steps has steps."""
    return [field for field in section.model_fields if f"_{name}_" in f"_{field}_"]


def _of_other_sections(name: str) -> list[str]:
    """The fields that are nearly called so, wherever they are; [] where there is none."""
    places = [(field, field) for field in Settings.model_fields]
    places += [(field, f"{place}.{field}") for place, section in _sections().items() for field in section.model_fields]
    near = difflib.get_close_matches(name, {field for field, _ in places}, n=1, cutoff=0.8)
    return [path for field, path in places if field in near]


def _sections() -> dict[str, type[Section]]:
    found = {name: info.annotation for name, info in Settings.model_fields.items()}
    return {name: kind for name, kind in found.items() if isinstance(kind, type) and issubclass(kind, Section)}
