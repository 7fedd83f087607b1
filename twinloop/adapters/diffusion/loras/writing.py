"""LoRA files in the two dialects that people's tools read, with their scale intact.

diffusers / PEFT:  ``unet.<layer>.lora_A.weight``, ``.lora_B.weight`` (``transformer.`` for other denoisers); rank and
alpha as JSON in the header. kohya / ComfyUI:   the names of the model's original code, with ``.alpha`` (`LoraNames` of
the family). Text encoders:     ``text_encoder.text_model.<layer>``, ``text_encoder_2.text_model...``;
``lora_te1_text_model_<layer_>`` (`TrainableEncoders` of the family).

diffusers' own converter writes alpha = rank whatever the alpha was, hence this one.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor

from twinloop.adapters.diffusion.loras.dora_rows import RowNorms
from twinloop.adapters.diffusion.loras.lokr_writing import LokrWeights, lokr_copy, lokr_text, own_tensors
from twinloop.adapters.diffusion.loras.raw import TYPES, as_torch
from twinloop.families.base import Family
from twinloop.families.lora_names import CLIP, LoraNames
from twinloop.loras.adapter_settings import ADAPTER_TEXT
from twinloop.loras.dora import BASE_NORM, DORA_TEXT
from twinloop.loras.patterns import keyed
from twinloop.loras.tensors import alpha_tensor
from twinloop.pickles.safetensors_header import of_bytes
from twinloop.store.atomic import write_bytes
from twinloop.store.models.lora_file import kohya_path, lora_bytes

FORMS = {"down_up": ("lora_down.weight", "lora_up.weight"), "a_b": ("lora_A.weight", "lora_B.weight")}
"""How the two matrices are called, by `LoraNames.form`."""


@dataclass(frozen=True, eq=False)
class LoraWeights:
    """A trained LoRA.

    Attributes:
        layers: layer of the denoiser -> (down (rank, in), up (out, rank)). alpha: the update is up @ down x alpha /
            rank.
        magnitudes: of a DoRA: layer -> length of each output's weights after the update, (out,) or (1, out, 1, 1) as
            PEFT has it.
        encoders: the same of text encoders, by the pipeline's names of them. alphas: of layers that have one of their
            own.
        norms: of a DoRA: layer -> its rows' norms on the base that it was trained on; also of layers without a change
            that are one with such as have one in the copy (`LoraNames.groups`).
    """

    layers: Mapping[str, tuple[Tensor, Tensor]]
    rank: int
    alpha: float
    magnitudes: Mapping[str, Tensor] = field(default_factory=dict)
    encoders: Mapping[str, LoraWeights] = field(default_factory=dict)
    alphas: Mapping[str, float] = field(default_factory=dict)
    norms: Mapping[str, RowNorms] = field(default_factory=dict)

    def parts(self, denoiser: str) -> dict[str, LoraWeights]:
        """Each adapted component of the pipeline with its layers."""
        return {denoiser: self, **self.encoders}


def diffusers_tensors(lora: LoraWeights, component: str) -> dict[str, Tensor]:
    """Tensors of one component of a pipeline under diffusers names."""
    # as diffusers finds them for its own models, and transformers for text encoders; each passes over the other form in
    # silence
    magnitude = "lora_magnitude_vector.weight" if component.startswith("text_encoder") else "lora_magnitude_vector"
    named: dict[str, Tensor] = {}
    for layer, (down, up) in lora.layers.items():
        named[f"{component}.{layer}.lora_A.weight"] = down
        named[f"{component}.{layer}.lora_B.weight"] = up
    for layer, lengths in lora.magnitudes.items():
        named[f"{component}.{layer}.{magnitude}"] = lengths
    return named


def copy_tensors(lora: LoraWeights, names: LoraNames, attentions: Collection[str] | None = None) -> dict[str, Tensor]:
    """Tensors under the names that other programs read, with the alpha of every layer. ``attentions``: as in
    `LoraNames.groups`.

    Several layers that are one there have their down matrices stacked and their up matrices along a diagonal; alpha
    grows as the rank does. One that is not adapted has rows of zeros. Magnitudes of a DoRA are in ComfyUI's form
    (`twinloop.loras.dora`).
    """
    down_name, up_name = FORMS[names.form]
    named: dict[str, Tensor] = {}
    for name, layers in names.groups(lora.layers, attentions).items():
        present = [layer for layer in layers if layer in lora.layers]
        downs = [lora.layers[layer][0] for layer in present]
        named[f"{name}.{down_name}"] = torch.cat(downs) if len(layers) > 1 else downs[0]
        named[f"{name}.{up_name}"] = _diagonal(lora, layers, names) if len(layers) > 1 else lora.layers[layers[0]][1]
        alpha = lora.alphas.get(present[0], lora.alpha) * len(present)
        named[f"{name}.alpha"] = as_torch(alpha_tensor(alpha, TYPES[downs[0].dtype]))
        if lora.magnitudes:
            scales = torch.cat([_comfyui_scales(lora, layer) for layer in layers])
            named[f"{name}.dora_scale"] = scales.view(-1, *[1] * (downs[0].ndim - 1))
    return named


def _diagonal(lora: LoraWeights, layers: Sequence[str], names: LoraNames) -> Tensor:
    """The up matrices of layers that are one along the diagonal of one, zeros elsewhere."""
    ups = {layer: lora.layers[layer][1] for layer in layers if layer in lora.layers}
    shares = dict(zip(layers, names.heights(layers), strict=True))
    first, some = next(iter(ups.items()))
    unit = len(some) / shares[first]
    heights = [len(ups[layer]) if layer in ups else round(unit * shares[layer]) for layer in layers]
    whole, row, column = some.new_zeros(sum(heights), sum(up.shape[1] for up in ups.values())), 0, 0
    for layer, height in zip(layers, heights, strict=True):
        if layer in ups:
            whole[row : row + height, column : column + ups[layer].shape[1]] = ups[layer]
            column += ups[layer].shape[1]
        row += height
    return whole


def _comfyui_scales(lora: LoraWeights, layer: str) -> Tensor:
    """(out,); the norms of the base's own rows where it is not adapted, which leave these as they are."""
    norms = lora.norms[layer]
    return norms.for_comfyui(lora.magnitudes[layer]) if layer in lora.magnitudes else norms.base


def adapter_text(lora: LoraWeights, denoiser: str) -> str:
    """The JSON from which diffusers builds its PEFT configuration, so that alpha survives."""
    settings = {
        "r": lora.rank,
        "lora_alpha": lora.alpha,
        "target_modules": sorted(layer.removeprefix(CLIP) for layer in lora.layers),
        "bias": "none",
        "lora_dropout": 0.0,
        "use_dora": bool(lora.magnitudes),
        "use_rslora": False,
    }
    tables = {
        "rank_pattern": keyed({layer: len(down) for layer, (down, _) in lora.layers.items()}, lora.rank),
        "alpha_pattern": keyed(lora.alphas, lora.alpha),
    }
    settings |= {name: table for name, table in tables.items() if table}
    return json.dumps({f"{denoiser}.{name}": value for name, value in settings.items()}, sort_keys=True)


def write_lora(
    path: Path, lora: LoraWeights | LokrWeights, family: Family, texts: Mapping[str, str], *,
    attentions: Collection[str] | None,
) -> bytes:  # fmt: skip
    """Write the copy for other programs, then ``path`` itself; each whole or not at all.

    Args:
        attentions: of the denoiser that it was trained on, as in `LoraNames.groups`.

    Returns the bytes of ``path``.
    """
    if isinstance(lora, LokrWeights):
        write_bytes(kohya_path(path), _file(lokr_copy(lora, family.lora_names, attentions), texts))
        return _own_file(path, own_tensors(lora, family.denoiser), texts, lokr_text(lora, family.denoiser))
    parts = lora.parts(family.denoiser)
    copies = (copy_tensors(part, _names(family, component), attentions) for component, part in parts.items())
    dora = {DORA_TEXT: BASE_NORM} if any(part.magnitudes for part in parts.values()) else {}
    write_bytes(kohya_path(path), _file(_joined(copies), {**texts, **dora}))
    adapter = json.dumps(
        _joined(json.loads(adapter_text(part, component)) for component, part in parts.items()), sort_keys=True
    )
    own = _joined(diffusers_tensors(part, component) for component, part in parts.items())
    return _own_file(path, own, texts, adapter)


def _own_file(path: Path, tensors: Mapping[str, Tensor], texts: Mapping[str, str], adapter: str) -> bytes:
    data = _file(tensors, {**texts, ADAPTER_TEXT: adapter})
    write_bytes(path, data)
    return data


def _names(family: Family, component: str) -> LoraNames:
    """How the layers of a component are called in the copy."""
    encoders = family.trainable_encoders.prefixes if family.trainable_encoders is not None else {}
    return LoraNames(prefix=encoders[component]) if component in encoders else family.lora_names


def _joined(parts: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    return {name: value for part in parts for name, value in part.items()}


def _file(tensors: Mapping[str, Tensor], texts: Mapping[str, str]) -> bytes:
    data = save({name: tensor.contiguous() for name, tensor in tensors.items()})
    header = of_bytes(data)
    return lora_bytes(header.entries, texts, [memoryview(data)[header.body_at :]])
