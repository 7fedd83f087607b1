"""What to say before images are made with LoRAs that were trained otherwise than the settings have it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from twinloop.config import Settings
from twinloop.families import Family
from twinloop.families.predictions import prediction_of
from twinloop.loras.texts import MERGED
from twinloop.stages.toolbox import Makers
from twinloop.store.models.base_name import BASE_NAME, base_name
from twinloop.store.models.lora_file import header_texts
from twinloop.store.models.part_hashes import hashes_of_parts, parts_in
from twinloop.wiring.names import base_model_path

Headers = Mapping[Path, Mapping[str, str]]
"""LoRA files and the texts of their headers."""
CLIP_LAYERS = frozenset(str(number) for number in range(1, 13))
"""Values of ``ss_clip_skip`` that the configuration's ``clip_skip`` has, too."""


def lora_remarks(settings: Settings, makers: Makers, loras: Sequence[Path]) -> list[str]:
    """What to say before images are made with LoRAs: about the preset, and where one was trained otherwise."""
    # other files than a LoRA's, and those that are not there, are errors later
    headers = {path: header_texts(path) for path in loras if path.suffix == ".safetensors" and path.is_file()}
    remarks = (
        makers.drawing_notice,
        _unlike_prediction(settings, makers.family, headers),
        _unlike_clip_skip(settings, makers.family, headers),
        _unlike_parts(settings, headers),
    )
    return [remark for remark in remarks if remark]


def _unlike_prediction(settings: Settings, family: Family | None, headers: Headers) -> str:
    """What to say where LoRAs were trained with v prediction, and the base's files, which may not tell, say epsilon;
    "" = nothing, as where the settings say what it predicts, or the base is not here.
    """
    if family is None or settings.base_prediction is not None:
        return ""
    base = base_model_path(settings.base_model)
    if not Path(base).expanduser().exists() or prediction_of(base, family).kind != "epsilon":
        return ""
    trained = [path for path, texts in headers.items() if texts.get("modelspec.prediction_type") == "v"]
    if not trained:
        return ""
    return f"{trained[0].name}: this LoRA was trained with v prediction; add --base-prediction v_prediction"


def _unlike_clip_skip(settings: Settings, family: Family | None, headers: Headers) -> str:
    """What to say where a LoRA was trained with another layer of CLIP; "" = nothing, as where models of the family are
    always read from the same one.
    """
    if family is None or not family.takes_clip_skip:
        return ""
    for path, texts in headers.items():
        trained = _clip_skip_of(texts)
        if trained is not None and trained != settings.clip_skip:
            return (
                f"{path.name}: this LoRA was trained with clip_skip {trained}, and prompts are read with"
                f" {settings.clip_skip}; set --clip-skip {trained}"
            )
    return ""


def _clip_skip_of(texts: Mapping[str, str]) -> int | None:
    """None = unknown: the header is of a program that does not write it, was taken out, or is of several LoRAs."""
    text = texts.get("ss_clip_skip")
    if text is None:
        return 1 if "twinloop.version" in texts and MERGED not in texts else None
    if text == "None":  # sd-scripts', where it was not told
        return 1
    return int(text) if text in CLIP_LAYERS else None


def _unlike_parts(settings: Settings, headers: Headers) -> str:
    """What to say where a LoRA was trained on this base model with other files in the place of its parts; "" =
    nothing.
    """
    in_use = hashes_of_parts(settings.base_parts.given)
    for path, texts in headers.items():
        trained = parts_in(texts)
        other = sorted(name for name in {*trained, *in_use} if trained.get(name) != in_use.get(name))
        if trained and other and base_name(settings.base_model) == base_name(texts.get(BASE_NAME, "")):
            fields = ", ".join(f"base_parts.{name}" for name in other)
            return (
                f"{path.name}: this LoRA was trained with other files in the place of the base model's parts ({fields})"
                "; name those with --base-part NAME=FILE"
            )
    return ""
