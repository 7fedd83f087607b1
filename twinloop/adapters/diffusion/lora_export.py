"""LoRA files in the two dialects that people's tools read, with their scale intact.

diffusers / PEFT:  ``unet.<layer>.lora_A.weight``, ``.lora_B.weight``; rank and alpha as JSON in the header (``lora_adapter_metadata``).
kohya / ComfyUI:   ``lora_unet_<layer_>.lora_down.weight``, ``.lora_up.weight``, ``.alpha``.

diffusers' own converter writes alpha = rank whatever the alpha was, hence this one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor

from twinloop.store.atomic import write_bytes
from twinloop.store.lora_file import canonical, kohya_path


@dataclass(frozen=True, eq=False)
class LoraWeights:
    """A trained LoRA.

    Attributes:
        layers: layer of the denoiser -> (down (rank, in), up (out, rank)). alpha: the update is up @ down x alpha / rank.
    """

    layers: Mapping[str, tuple[Tensor, Tensor]]
    rank: int
    alpha: float


def diffusers_tensors(lora: LoraWeights, prefix: str = "unet") -> dict[str, Tensor]:
    """Tensors under diffusers names."""
    named: dict[str, Tensor] = {}
    for layer, (down, up) in lora.layers.items():
        named[f"{prefix}.{layer}.lora_A.weight"] = down
        named[f"{prefix}.{layer}.lora_B.weight"] = up
    return named


def kohya_tensors(lora: LoraWeights, prefix: str = "unet") -> dict[str, Tensor]:
    """Tensors under kohya names, with the alpha of every layer."""
    named: dict[str, Tensor] = {}
    for layer, (down, up) in lora.layers.items():
        name = f"lora_{prefix}_{layer.replace('.', '_')}"
        named[f"{name}.lora_down.weight"] = down
        named[f"{name}.lora_up.weight"] = up
        named[f"{name}.alpha"] = torch.tensor(lora.alpha, dtype=down.dtype)
    return named


def adapter_text(lora: LoraWeights, prefix: str = "unet") -> str:
    """The JSON from which diffusers builds its PEFT configuration, so that alpha survives."""
    settings = {
        "r": lora.rank,
        "lora_alpha": lora.alpha,
        "target_modules": sorted(lora.layers),
        "bias": "none",
        "lora_dropout": 0.0,
        "use_dora": False,
        "use_rslora": False,
    }
    return json.dumps({f"{prefix}.{name}": value for name, value in settings.items()}, sort_keys=True)


def tensors_hash(data: bytes) -> str:
    """sha256 of a safetensors file without its header, as modelspec wants it: ``0x`` and hex."""
    start = 8 + int.from_bytes(data[:8], "little")
    return "0x" + hashlib.sha256(data[start:]).hexdigest()


def write_lora(path: Path, lora: LoraWeights, texts: Mapping[str, str]) -> bytes:
    """Write the kohya copy, then ``path`` itself; each whole or not at all. Returns the bytes of ``path``."""
    write_bytes(kohya_path(path), _file(kohya_tensors(lora), texts))
    data = _file(diffusers_tensors(lora), {**texts, "lora_adapter_metadata": adapter_text(lora)})
    write_bytes(path, data)
    return data


def _file(tensors: Mapping[str, Tensor], texts: Mapping[str, str]) -> bytes:
    whole = {name: tensor.contiguous() for name, tensor in tensors.items()}
    return canonical(save(whole, metadata={**texts, "modelspec.hash_sha256": tensors_hash(save(whole))}))
