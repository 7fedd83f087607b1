"""A LoRA as A1111, Forge and ComfyUI find it: the file in their dialect, a preview and the trigger words beside it.

A1111 reads ``<name>.json`` beside ``<name>.safetensors`` (description, sd version, activation text, preferred weight,
negative text, notes) and shows ``<name>.preview.png``; ComfyUI's managers show ``<name>.png`` and ``<name>.txt``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from twinloop import __version__
from twinloop.exporters.encode import png
from twinloop.exporters.package import File, Package
from twinloop.families.registered import lora_names_of
from twinloop.loras.adapter import Adapter, understood
from twinloop.loras.container import file_bytes
from twinloop.loras.lora import Dialect, LoraFile
from twinloop.loras.texts import named_texts, trigger_of
from twinloop.loras.write import effective_dialect, written
from twinloop.store.models.base_name import BASE_NAME, base_name
from twinloop.store.pictures.images import load_image

PREVIEW_SIDE = 768
_VERSIONS = {"sd15": "SD1", "sd2": "SD2", "sdxl": "SDXL", "sd35": "SD3"}
"""What A1111 calls the families that it knows."""
PLACES = {"a1111": "models/Lora", "comfyui": "models/loras"}


@dataclass(frozen=True)
class DropIn:
    """What the user said. ``trigger``, ``preview``: "" and None = as the file and the run say. ``weight``: 0..2."""

    name: str
    trigger: str
    weight: float
    preview: Path | None


def export_drop_in(target: str, file: LoraFile, drop_in: DropIn) -> Package:
    """The package for ``a1111`` or ``comfyui``: to be copied over that program's own folder.

    Raises:
        ModelFileError: no plain LoRA, or layers without a name in the dialect. UnreadableImage: the preview.
    """
    adapter = understood(file)
    usual = Dialect.COMFYUI if lora_names_of(adapter.family).dots else Dialect.KOHYA
    dialect = effective_dialect(adapter, usual)
    trigger = drop_in.trigger or trigger_of(file.texts)
    base = {BASE_NAME: base_name(file.texts[BASE_NAME])} if BASE_NAME in file.texts else {}
    trigger_text = {"modelspec.trigger_phrase": trigger} if trigger else {}
    texts = named_texts({**file.texts, **base, **trigger_text}, drop_in.name)
    stem = f"{PLACES[target]}/{drop_in.name}"
    files = [File(f"{stem}.safetensors", file_bytes(*written(adapter, dialect, texts)))]
    files.append(File(f"{stem}.json", _user_metadata(file, adapter, trigger, drop_in)))
    if target == "comfyui" and trigger:
        files.append(File(f"{stem}.txt", (trigger + "\n").encode()))
    preview = _preview(drop_in.preview)
    if preview:
        names = ("preview.png",) if target == "a1111" else ("png", "preview.png")
        files += [File(f"{stem}.{name}", preview) for name in names]
    warnings = _warnings(target, adapter, trigger, bool(preview), file)
    files.append(File("README.txt", _readme(target, drop_in, trigger, warnings)))
    return Package(tuple(files), "manifest.json", _manifest(target, file, adapter, dialect, trigger, drop_in), warnings)


def _user_metadata(file: LoraFile, adapter: Adapter, trigger: str, drop_in: DropIn) -> bytes:
    """The keys that A1111's editor of a LoRA writes."""
    base = base_name(file.texts.get(BASE_NAME, "not told"))
    data = {
        "description": file.texts.get("modelspec.description", ""),
        "sd version": _VERSIONS.get(adapter.family, "Unknown"),
        "activation text": trigger,
        "preferred weight": drop_in.weight,
        "negative text": "",
        "notes": f"Base model: {base}. {file.texts.get('twinloop.images', '')}".strip(),
    }
    return (json.dumps(data, indent=4, ensure_ascii=False) + "\n").encode()


def _preview(path: Path | None) -> bytes:
    if path is None:
        return b""
    loaded = load_image(path)
    picture = Image.fromarray(loaded.pixels)
    picture.thumbnail((PREVIEW_SIDE, PREVIEW_SIDE), Image.Resampling.LANCZOS)
    return png(picture, loaded.origin != "real")


def _warnings(target: str, adapter: Adapter, trigger: str, preview: bool, file: LoraFile) -> tuple[str, ...]:
    lines = []
    if not adapter.family:
        lines.append("for which base it was made cannot be told from its layers and its header")
    elif target == "a1111" and adapter.family not in _VERSIONS:
        lines.append(f"A1111 itself does not run {adapter.family}; Forge and its successors do for some of them")
    if not trigger:
        lines.append("no trigger words: the file does not tell them; name them with --trigger")
    if not preview:
        lines.append("no preview: name a picture with --preview, or take it from a run with --config")
    if file.others:
        lines.append(f"left out, as they are no LoRA: {', '.join(file.others[:3])}")
    return tuple(lines)


def _manifest(
    target: str, file: LoraFile, adapter: Adapter, dialect: Dialect, trigger: str, drop_in: DropIn
) -> dict[str, Any]:
    found: Mapping[str, Any] = {
        "export": target,
        "format": 1,
        "program": f"twinloop {__version__}",
        "about": "A LoRA with its preview and trigger words.",
        "lora": file.path.name,
        "family": adapter.family or None,
        "dialect": dialect.value,
        "layers": len(adapter.layers),
        "trigger": trigger or None,
        "weight": drop_in.weight,
        "preview": None if drop_in.preview is None else drop_in.preview.name,
        "items": [],
        "missing": [],
    }
    return dict(found)


def _readme(target: str, drop_in: DropIn, trigger: str, warnings: tuple[str, ...]) -> bytes:
    program = "ComfyUI" if target == "comfyui" else "A1111 or Forge"
    use = (
        "In a workflow: Load LoRA (Model), then the trigger words in the prompt."
        if target == "comfyui"
        else (
            f"In the prompt: {trigger or 'TRIGGER'} <lora:{drop_in.name}:{drop_in.weight:g}>; the card in the Lora tab"
            " adds both."
        )
    )
    lines = [
        f"A LoRA for {program}",
        "",
        f"Copy {PLACES[target]} over the folder of that name in {program}.",
        use,
        (
            f"Trigger words: {trigger or 'not known'}. Strength to start with: {drop_in.weight:g}; lower it where poses"
            " stiffen or the base's style is lost."
        ),
        "The base model must be of the family that the LoRA was trained on (manifest.json).",
        "The preview was made by a model and is marked so, unless you gave a photo.",
        "",
        *(f"Note: {line}." for line in warnings),
    ]
    return ("\n".join(lines) + "\n").encode()
