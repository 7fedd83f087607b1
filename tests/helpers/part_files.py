"""Parts of a diffusers folder as ComfyUI's folders have them: one file each, in the names that such files have."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from tests.helpers.single_file import open_clip, original_vae
from twinloop.families.recognise import index_of

WAN_RESNET = {
    "norm1.gamma": "residual.0.gamma",
    "conv1": "residual.2",
    "norm2.gamma": "residual.3.gamma",
    "conv2": "residual.6",
    "conv_shortcut": "shortcut",
}
WAN = {
    "quant_conv": "conv1",
    "post_quant_conv": "conv2",
    "encoder.conv_in": "encoder.conv1",
    "decoder.conv_in": "decoder.conv1",
    "encoder.norm_out": "encoder.head.0",
    "decoder.norm_out": "decoder.head.0",
    "encoder.conv_out": "encoder.head.2",
    "decoder.conv_out": "decoder.head.2",
}


def tensors_of(folder: Path, part: str) -> dict[str, Any]:
    """As the diffusers folder has them."""
    from safetensors.torch import load_file

    (path,) = (one for one in (folder / part).glob("*.safetensors") if ".fp16." not in one.name)
    return load_file(path)


def write(tensors: dict[str, Any], to: Path) -> Path:
    from safetensors.torch import save_file

    to.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: value.contiguous().clone() for name, value in tensors.items()}, to)
    return to


def class_of(folder: Path, part: str) -> str:
    return str(json.loads(index_of(folder).read_text())[part][1])


def as_comfyui_has_it(folder: Path, part: str, to: Path) -> Path:
    """The file of one part."""
    tensors, kind = tensors_of(folder, part), class_of(folder, part)
    make = {
        "AutoencoderKL": _original_vae,
        "AutoencoderKLFlux2": _flux2_vae,
        "AutoencoderKLQwenImage": _wan_vae,
        "CLIPTextModel": _clip,
        "Qwen3Model": lambda given, _: {f"model.{name}": value for name, value in given.items()},
        "Qwen3VLModel": lambda given, _: {f"model.{name}": value for name, value in given.items()},
        "Qwen3ForCausalLM": lambda given, _: {n: value for n, value in given.items() if n != "lm_head.weight"},
        "Mistral3ForConditionalGeneration": _mistral,
    }.get(kind, lambda given, _: given)
    return write(make(tensors, folder / part), to)


def write_open_clip(folder: Path, part: str, to: Path) -> Path:
    import transformers

    made: Any = getattr(transformers, class_of(folder, part))
    return write(open_clip(made.from_pretrained(folder / part)), to)


def without_weights(folder: Path, *parts: str) -> Path:
    """The folder with nothing but the configurations of these parts."""
    for part in parts:
        for path in (folder / part).glob("*.safetensors"):
            path.unlink()
    return folder


def _clip(tensors: dict[str, Any], home: Path) -> dict[str, Any]:
    return {f"text_model.{name.removeprefix('text_model.')}": value for name, value in tensors.items()}


def _mistral(tensors: dict[str, Any], home: Path) -> dict[str, Any]:
    own = "language_model.model."
    return {name.replace(own, "model."): value for name, value in tensors.items() if name.startswith(own)}


def _original_vae(tensors: dict[str, Any], home: Path) -> dict[str, Any]:
    levels = len(json.loads((home / "config.json").read_text())["block_out_channels"])
    return original_vae(tensors, levels)


def _flux2_vae(tensors: dict[str, Any], home: Path) -> dict[str, Any]:
    made = _original_vae({name: value for name, value in tensors.items() if not name.startswith("bn.")}, home)
    moved = {"quant_conv.": "encoder.quant_conv.", "post_quant_conv.": "decoder.post_quant_conv."}
    for old, new in moved.items():
        made = {re.sub(rf"^{re.escape(old)}", new, name): value for name, value in made.items()}
    return made | {name: value for name, value in tensors.items() if name.startswith("bn.running")}


def _wan_vae(tensors: dict[str, Any], home: Path) -> dict[str, Any]:
    return {_wan(name): value for name, value in tensors.items()}


def _wan(name: str) -> str:
    for ours, theirs in WAN.items():
        if name.startswith(f"{ours}."):
            return theirs + name.removeprefix(ours)
    name = re.sub(r"mid_block\.resnets\.(\d)", lambda found: f"middle.{2 * int(found[1])}", name)
    name = name.replace("mid_block.attentions.0", "middle.1").replace("down_blocks", "downsamples")
    name = re.sub(
        r"up_blocks\.(\d)\.resnets\.(\d)", lambda found: f"upsamples.{4 * int(found[1]) + int(found[2])}", name
    )
    name = re.sub(r"up_blocks\.(\d)\.upsamplers\.0", lambda found: f"upsamples.{4 * int(found[1]) + 3}", name)
    for ours, theirs in WAN_RESNET.items():
        if ".middle.1." not in name:
            name = re.sub(rf"\.{re.escape(ours)}(?=\.|$)", f".{theirs}", name)
    return name
