"""LoRA files under ComfyUI's names -> tensors under diffusers names.

diffusers passes over the text encoders of such files in silence. Of the denoisers it reads those of Z-Image, Qwen-Image
and FLUX.2, that of FLUX.1 at its real size, and neither SD 3.5's nor UNets.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from torch import Tensor

from twinloop.adapters.diffusion.loras.raw import as_torch
from twinloop.errors import ModelFileError
from twinloop.families.base import Family
from twinloop.loras.adapter import Place, understood
from twinloop.loras.components import DENOISER
from twinloop.loras.lora import Layer, read_lora

_DENOISER, _ENCODERS = "diffusion_model.", "text_encoders."


def from_comfyui(path: Path, names: Iterable[str], family: Family) -> dict[str, Tensor] | None:
    """All layers, their scale multiplied in; None where the file holds other names, or such as diffusers reads by
    itself.

    Args:
        names: of the file's tensors.

    Raises:
        ModelFileError: text encoders beside layers that this program does not know, or more than pairs of matrices.
    """
    held = list(names)
    with_encoders = any(name.startswith(_ENCODERS) for name in held)
    unread = family.denoiser == "unet" or family.lora_names.own_reader
    if not with_encoders and not (unread and all(name.startswith(_DENOISER) for name in held)):
        return None
    try:
        adapter = understood(read_lora(path), family.name)
    except ModelFileError:
        if with_encoders:
            raise
        return None  # diffusers knows more layers of a model at its real size
    return {
        name: tensor
        for place, layer in adapter.layers.items() if isinstance(layer, Layer)
        for name, tensor in _tensors(place, layer, family).items()
    }  # fmt: skip


def _tensors(place: Place, layer: Layer, family: Family) -> dict[str, Tensor]:
    component = family.denoiser if place.component == DENOISER else place.component
    down, up = as_torch(layer.down), as_torch(layer.up)
    return {
        f"{component}.{place.path}.lora_A.weight": down if layer.scale == 1.0 else down.float() * layer.scale,
        f"{component}.{place.path}.lora_B.weight": up,
    }
