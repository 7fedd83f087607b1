"""LoRA files in the two dialects that people's tools read, with their scale intact.

diffusers / PEFT:  ``unet.<layer>.lora_A.weight``, ``.lora_B.weight`` (``transformer.`` for other denoisers); rank and alpha as JSON in the header.
kohya / ComfyUI:   the names of the model's original code, with ``.alpha`` (`LoraNames` of the family).

diffusers' own converter writes alpha = rank whatever the alpha was, hence this one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor

from twinloop.families.base import Family
from twinloop.families.lora_names import LoraNames
from twinloop.store.atomic import write_bytes
from twinloop.store.lora_file import canonical, kohya_path

FORMS = {"down_up": ("lora_down.weight", "lora_up.weight"), "a_b": ("lora_A.weight", "lora_B.weight")}
"""How the two matrices are called, by `LoraNames.form`."""


@dataclass(frozen=True, eq=False)
class LoraWeights:
    """A trained LoRA.

    Attributes:
        layers: layer of the denoiser -> (down (rank, in), up (out, rank)). alpha: the update is up @ down x alpha / rank.
        magnitudes: of a DoRA: layer -> (out,) length of each output's weights after the update.
    """

    layers: Mapping[str, tuple[Tensor, Tensor]]
    rank: int
    alpha: float
    magnitudes: Mapping[str, Tensor] = field(default_factory=dict)


def diffusers_tensors(lora: LoraWeights, denoiser: str) -> dict[str, Tensor]:
    """Tensors under diffusers names."""
    named: dict[str, Tensor] = {}
    for layer, (down, up) in lora.layers.items():
        named[f"{denoiser}.{layer}.lora_A.weight"] = down
        named[f"{denoiser}.{layer}.lora_B.weight"] = up
    for layer, lengths in lora.magnitudes.items():
        named[f"{denoiser}.{layer}.lora_magnitude_vector"] = lengths
    return named


def copy_tensors(lora: LoraWeights, names: LoraNames) -> dict[str, Tensor]:
    """Tensors under the names that other programs read, with the alpha of every layer.

    Several layers that are one there have their down matrices stacked and their up matrices along a diagonal; alpha grows as the rank does.
    """
    down_name, up_name = FORMS[names.form]
    named: dict[str, Tensor] = {}
    for name, layers in names.groups(lora.layers).items():
        pairs = [lora.layers[layer] for layer in layers]
        downs, ups = [down for down, _ in pairs], [up for _, up in pairs]
        named[f"{name}.{down_name}"] = torch.cat(downs) if len(pairs) > 1 else downs[0]
        named[f"{name}.{up_name}"] = _diagonal(ups) if len(pairs) > 1 else ups[0]
        named[f"{name}.alpha"] = torch.tensor(lora.alpha * len(pairs), dtype=pairs[0][0].dtype)
        if lora.magnitudes:
            lengths = torch.cat([lora.magnitudes[layer] for layer in layers])
            named[f"{name}.dora_scale"] = lengths.view(-1, *[1] * (pairs[0][1].ndim - 1))
    return named


def _diagonal(blocks: Sequence[Tensor]) -> Tensor:
    """Matrices along the diagonal of one, zeros elsewhere."""
    rows, columns = (sum(block.shape[axis] for block in blocks) for axis in (0, 1))
    whole, row, column = blocks[0].new_zeros(rows, columns), 0, 0
    for block in blocks:
        whole[row : row + block.shape[0], column : column + block.shape[1]] = block
        row, column = row + block.shape[0], column + block.shape[1]
    return whole


def adapter_text(lora: LoraWeights, denoiser: str) -> str:
    """The JSON from which diffusers builds its PEFT configuration, so that alpha survives."""
    settings = {
        "r": lora.rank,
        "lora_alpha": lora.alpha,
        "target_modules": sorted(lora.layers),
        "bias": "none",
        "lora_dropout": 0.0,
        "use_dora": bool(lora.magnitudes),
        "use_rslora": False,
    }
    return json.dumps({f"{denoiser}.{name}": value for name, value in settings.items()}, sort_keys=True)


def tensors_hash(data: bytes) -> str:
    """sha256 of a safetensors file without its header, as modelspec wants it: ``0x`` and hex."""
    start = 8 + int.from_bytes(data[:8], "little")
    return "0x" + hashlib.sha256(data[start:]).hexdigest()


def write_lora(path: Path, lora: LoraWeights, family: Family, texts: Mapping[str, str]) -> bytes:
    """Write the copy for other programs, then ``path`` itself; each whole or not at all. Returns the bytes of ``path``."""
    write_bytes(kohya_path(path), _file(copy_tensors(lora, family.lora_names), texts))
    adapter = adapter_text(lora, family.denoiser)
    data = _file(diffusers_tensors(lora, family.denoiser), {**texts, "lora_adapter_metadata": adapter})
    write_bytes(path, data)
    return data


def _file(tensors: Mapping[str, Tensor], texts: Mapping[str, str]) -> bytes:
    whole = {name: tensor.contiguous() for name, tensor in tensors.items()}
    return canonical(save(whole, metadata={**texts, "modelspec.hash_sha256": tensors_hash(save(whole))}))
