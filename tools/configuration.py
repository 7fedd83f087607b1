"""Write docs/configuration.md anew: every field of the configuration. A test compares.

.venv/bin/python tools/configuration.py > docs/configuration.md
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from twinloop.config import Settings, describe_fields

HEAD = """# Configuration

Written by `tools/configuration.py` from the program itself; do not edit by hand.

`bootstrap_config.json` holds one JSON object with these fields. The fields of a section are in an object of their own:
`"training": {"epochs": 10}`. `twinloop init` prints a file with the fields that people change most, and
`twinloop init --full` one with all of them. A field that is left out or null takes its default. Keys that begin with
`_` are comments; any other unknown key is an error. All mistakes in a file are reported at once, by field.

The last column links to the page that says more. See also [recipes](recipes.md), which are whole configurations, and
[what may change](training.md#changing-a-run) in a run that has begun.
"""
MORE = {
    "README.md#a-drawn-character": "subject",
    "README.md#what-you-need": "base_model",
    "facevault.md#label": "person_trigger",
    "facevault.md#your-own-captions": "dataset_dir",
    "formats.md": "output_dir",
    "ui.md": "review",
    "model-files.md#packs": "models_dir",
    "families.md#fetching-a-model": "allow_download",
    "families.md#clip-skip": "clip_skip",
    "families.md#what-a-base-predicts": "base_prediction zero_terminal_snr generation.guidance_rescale",
    "families.md#compiled-blocks": "compile",
    "families.md#quantised-weights": "quantization",
    "families.md#text-encoders-and-autoencoder-from-files": (
        "base_parts.vae base_parts.text_encoder base_parts.text_encoder_2 base_parts.text_encoder_3"
    ),
    "families.md#options-of-generation": (
        "precision generation.num_per_gap generation.num_inference_steps generation.guidance_scale generation.width"
        " generation.height generation.batch_size generation.lora_scale generation.negative_prompt"
        " generation.extra_loras generation.vae_tiling"
    ),
    "families.md#bases-that-read-tags": (
        "generation.prompt_style generation.prompt_prefix generation.prompt_suffix training.class_word"
    ),
    "families.md#from-real-photos": "generation.from_photos generation.strength generation.references",
    "families.md#samplers": "generation.scheduler generation.timestep_spacing",
    "families.md#what-waits-in-main-memory": "generation.offload",
    "families.md#early-rejection": "generation.early_reject",
    "families.md#faces-that-are-small": "generation.face_detail generation.face_detail_below",
    "families.md#what-there-is": "training.preset",
    "extending.md#a-facet-of-your-own": "analysis.facets analysis.plugins analysis.shares",
    "science.md#the-dataset": "analysis.keep_all merge.max_synthetic_share",
    "science.md#measuring-images": (
        "validation.sharpness validation.sharpness_share validation.min_face_confidence validation.novelty_distance"
    ),
    "science.md#identity": "validation.identity validation.identity_tolerance",
    "science.md#comparing-loras": "panel.images",
    "science.md#stopping-and-rolling-back": (
        "max_iterations convergence_threshold stop.approval_rate stop.approval_rounds stop.patience stop.drift_rounds"
    ),
    "model-files.md#face-quality": "validation.min_face_quality",
    "troubleshooting.md#nearly-nothing-is-approved": "validation.min_brightness validation.max_brightness",
    "recipes.md#a-character-without-a-face": "validation.faces",
    "training.md#how-long-how-large-how-fast": (
        "training.epochs training.repeats training.max_train_steps training.steps training.rank training.alpha"
        " training.batch_size training.gradient_accumulation training.resolution training.smaller_resolutions"
        " training.learning_rate training.schedule training.restarts training.warmup_steps training.weight_decay"
        " training.clip_norm"
    ),
    "training.md#killed-and-started-again": "training.checkpoint_every",
    "training.md#rslora-rank_stabilized": "training.rank_stabilized",
    "training.md#lora-loraplus_lr_ratio": "training.loraplus_lr_ratio",
    "training.md#longest-change-scale_weight_norms": "training.scale_weight_norms",
    "training.md#optimizers": "training.optimizer training.optimizer_args",
    "training.md#adapter-and-layers": "training.adapter training.ema_decay training.only_layers training.skip_layers",
    "training.md#lokr": "training.lokr_factor",
    "training.md#convolutions-conv_rank": "training.conv_rank training.conv_alpha",
    "training.md#dropout": "training.network_dropout training.rank_dropout training.module_dropout",
    "training.md#loss-and-noise": (
        "training.min_snr_gamma training.loss training.huber_c training.huber_schedule training.noise_offset"
        " training.debiased_estimation_loss training.multires_noise_iterations training.multires_noise_discount"
        " training.ip_noise_gamma training.min_timestep training.max_timestep training.flow_sampling"
        " training.flow_shift"
    ),
    "training.md#captions-and-mirroring": (
        "training.caption_dropout training.keep_trigger training.shuffle_captions training.keep_tokens"
        " training.caption_tag_dropout_rate training.flip"
    ),
    "training.md#the-face-counts-more-face_weight": "training.face_weight",
    "training.md#masks-masks": "training.masks training.mask_floor",
    "training.md#text-encoders-text_encoder": (
        "training.text_encoder training.text_encoder_learning_rate training.text_encoder_share"
    ),
    "training.md#the-class-keeps-its-meaning": (
        "training.output_preservation training.prior_images training.prior_weight"
    ),
    "training.md#starting-from-a-lora": "training.initial_lora training.start_from training.warm_start",
    "training.md#a-distilled-base-and-its-training-adapter": "training.assistant_lora",
    "training.md#real-and-synthetic": "merge.real_to_synthetic_weight merge.decay",
    "training.md#the-best-checkpoint-not-the-last": (
        "training.keep_checkpoints training.checkpoint_panel training.early_stop"
    ),
    "training.md#sample-images-during-training": "training.sample_every training.sample_prompts",
    "training.md#the-lora-on-its-way-save_every": "training.save_every training.max_step_saves_to_keep",
    "training.md#validation-loss": "training.validate_every training.validation_times",
    "training.md#what-is-written": "training.tensorboard training.wandb",
    "training.md#several-gpus": "training.processes",
    "training.md#when-memory-is-short": "training.memory training.gradient_checkpointing",
    "training.md#swapped-blocks-blocks_to_swap": "training.blocks_to_swap",
    "trainers.md#setting-one-up": (
        "training.trainer training.trainer_path training.trainer_python training.extra_args"
    ),
}
"""Where these pages say more of a field; of a new field the best place, where there is one."""


def document() -> str:
    """The whole page."""
    schema = Settings.model_json_schema()
    inner = {
        name: schema["$defs"][field["$ref"].rpartition("/")[2]]
        for name, field in schema["properties"].items()
        if "$ref" in field
    }
    own = {name: field for name, field in schema["properties"].items() if name not in inner}
    parts = [HEAD, "## The file itself\n", *_table("", own, schema)]
    for name, section in inner.items():
        parts += [f"## `{name}`\n", f"{section['description']}\n", *_table(name, section["properties"], schema)]
    return "\n".join(parts)


def _table(section: str, fields: dict[str, Any], schema: dict[str, Any]) -> Iterator[str]:
    meanings = describe_fields()
    yield "| field | default | values | meaning | more |"
    yield "|---|---|---|---|---|"
    for name, field in fields.items():
        full = f"{section}.{name}" if section else name
        meaning = _escaped(re.sub(r" \(docs/[\w-]+\.md\)|; one of: .+", "", meanings[full]))
        default = "required" if name in schema["required"] and not section else f"`{_json(_default(field))}`"
        yield f"| `{name}` | {default} | {_values(field, schema)} | {meaning} | {_more(full)} |"
    yield ""


def _default(field: dict[str, Any]) -> Any:
    """A list or an object without a default of its own is empty."""
    return field.get("default", {"array": [], "object": {}}.get(field.get("type", "")))


def _json(value: Any) -> str:
    """As people write it: 1 and not 1.0."""
    return json.dumps(int(value) if isinstance(value, float) and value.is_integer() else value)


def _values(field: dict[str, Any], schema: dict[str, Any]) -> str:
    """What may stand in a field: its words, or its type and the limits of it."""
    if "anyOf" in field:
        return " or ".join(_values(one, schema) for one in field["anyOf"])
    if "$ref" in field:
        inner = schema["$defs"][field["$ref"].rpartition("/")[2]]["properties"]
        return f"object of {' and '.join(f'`{name}` ({_values(each, schema)})' for name, each in inner.items())}"
    if "enum" in field:
        return ", ".join(f"`{_json(value)}`" for value in field["enum"])
    kind = field["type"]
    if kind == "array":
        return f"list: {_values(field['items'], schema)}"
    if kind == "object" and isinstance(each := field["additionalProperties"], dict):
        return f"object: name -> {_values(each, schema)}"
    return {"boolean": "`true`, `false`", "null": "null", "string": "text"}.get(kind, f"{kind}{_limits(field)}")


def _limits(field: dict[str, Any]) -> str:
    low, above = field.get("minimum"), field.get("exclusiveMinimum")
    high, below = field.get("maximum"), field.get("exclusiveMaximum")
    said = [
        f"{words} {_json(limit)}"
        for words, limit in (("from", low), ("above", above), ("to", high), ("below", below))
        if limit is not None
    ]
    return "".join(f" {one}" for one in said)


def _more(field: str) -> str:
    for place, fields in MORE.items():
        if field in fields.split():
            page = place.partition("#")[0]
            return f"[{page.removesuffix('.md')}]({'../' if page == 'README.md' else ''}{place})"
    return ""


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


if __name__ == "__main__":
    print(document(), end="")
