"""Header texts of LoRAs that were made from others, and what a header says for people."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from twinloop.loras.kronecker import Kronecker
from twinloop.loras.lora import Update
from twinloop.store.models.base_name import OUTPUT_NAME, TRAINED_AS

TRIGGER = "modelspec.trigger_phrase"
MERGED = "twinloop.merged"
"""Which LoRAs one was merged from."""
_LEAKING = ("ss_dataset_dirs", "ss_tag_frequency", "ss_datasets", "ss_reg_dataset_dirs", "ss_bucket_info")
"""Texts that carry folder names and captions of a training."""
ARGUMENTS = "ss_network_args"
"""What the method of a training was told; a file that was made another way does not have it from its source."""


def rank_texts(layers: Iterable[Update]) -> dict[str, str]:
    """``ss_network_dim`` and ``ss_network_alpha``; ``Dynamic`` where layers differ, as kohya's own resize writes."""
    found = list(layers)
    ranks = {layer.rank for layer in found}
    alphas = {layer.rank if layer.alpha is None else layer.alpha for layer in found}
    rank, alpha = (values.pop() if len(values) == 1 else None for values in (ranks, alphas))
    made = {
        "ss_network_dim": "Dynamic" if rank is None else str(rank),
        "ss_network_alpha": "Dynamic" if alpha is None else f"{alpha:g}",
        "ss_network_module": "networks.lora",
    }
    sides = [max(layer.small) for layer in found if isinstance(layer, Kronecker)]
    if sides:
        made |= {
            "ss_network_module": "lycoris.kohya",
            ARGUMENTS: json.dumps({"algo": "lokr", "factor": str(max(sides))}),
        }
    return made


def resized_texts(texts: Mapping[str, str], layers: Iterable[Update], how: str) -> dict[str, str]:
    """The header of a resized LoRA; ``how`` in words."""
    before = texts.get("ss_network_dim", "")
    note = "; ".join(
        filter(
            None, (texts.get("ss_training_comment", ""), f"resized{f' from rank {before}' if before else ''}: {how}")
        )
    )
    found = list(layers)
    return {**texts, **rank_texts(found), **_module(texts, found), "ss_training_comment": note}


def named_texts(texts: Mapping[str, str], name: str) -> dict[str, str]:
    """The header of a file of that name (without its ending), where it names its file at all: A1111 takes the file's
    name otherwise.
    """
    trained_as = texts.get(TRAINED_AS) or texts.get(OUTPUT_NAME)
    if trained_as is None:
        return dict(texts)
    return {**texts, OUTPUT_NAME: name, **({TRAINED_AS: trained_as} if trained_as != name else {})}


def _module(texts: Mapping[str, str], layers: Iterable[Update]) -> dict[str, str]:
    """The module of the training, as ``networks.lora_flux``: its arguments stay too, and pairs stay what it made."""
    module = texts.get("ss_network_module")
    pairs = not any(isinstance(layer, Kronecker) for layer in layers)
    return {"ss_network_module": module} if module and pairs else {}


def merged_texts(
    parts: Sequence[tuple[Mapping[str, str], str, str, float]], layers: Iterable[Update]
) -> dict[str, str]:
    """The header of a merged LoRA: what it was made of, all trigger words, and what all parts agree on.

    Folder names and captions stay out.

    Args:
        parts: (header, file name, sha256 of the file, weight).
    """
    headers = [header for header, _, _, _ in parts]
    common = {key: value for key, value in headers[0].items() if all(header.get(key) == value for header in headers)}
    left_out = (*_LEAKING, ARGUMENTS)
    texts = {key: value for key, value in common.items() if key not in left_out and not key.startswith("sshs_")}
    triggers = dict.fromkeys(phrase for header in headers if (phrase := trigger_of(header)))
    sources = [{"file": name, "sha256": digest, "weight": weight} for _, name, digest, weight in parts]
    made = {
        "modelspec.title": " + ".join(header.get("modelspec.title") or name for header, name, _, _ in parts),
        "modelspec.merged_from": ", ".join(name for _, name, _, _ in parts),
        MERGED: json.dumps(sources, ensure_ascii=False, sort_keys=True),
    }
    if triggers:
        made[TRIGGER] = ", ".join(triggers)
    found = list(layers)
    kept = _module(texts, found) if texts.get("ss_network_module", "").startswith("networks.") else {}
    return {**texts, **made, **rank_texts(found), **kept}


def trigger_of(texts: Mapping[str, str]) -> str:
    """The words that call the LoRA's subject: as declared, or the name of kohya's dataset folder (``10_ohwx woman``);
    "" = not told.
    """
    if texts.get(TRIGGER):
        return texts[TRIGGER]
    folders = _json(texts.get("ss_dataset_dirs", ""))
    names = [re.sub(r"^\d+_", "", str(folder)).strip() for folder in folders] if isinstance(folders, dict) else []
    return names[0] if names and names[0] else ""


def shown(texts: Mapping[str, str]) -> dict[str, str]:
    """What people look for in a header, shortest first; long JSON is left out."""
    keys = [key for key in texts if key.startswith(("modelspec.", "ss_", "twinloop.")) and key not in _LEAKING]
    return {key: texts[key] for key in sorted(keys) if len(texts[key]) <= 120}


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
