"""LoRA files -> tensors under diffusers names, checked against a pipeline's denoiser and text encoders."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from twinloop.adapters.diffusion.loras.comfyui_reading import from_comfyui
from twinloop.adapters.diffusion.loras.fit import ENCODER, check_fit
from twinloop.adapters.diffusion.loras.kohya_scales import (
    ENCODER_LAYER,
    encoders_by_diffusers_names,
    folded,
    has_mixed_alphas,
)
from twinloop.adapters.diffusion.loras.writing import FORMS
from twinloop.adapters.diffusion.messages import first_line, wrong_base
from twinloop.errors import ModelFileError
from twinloop.families.base import Family
from twinloop.families.lora_names import LoraNames


@dataclass(frozen=True, eq=False)
class ReadLora:
    """A LoRA file's tensors under diffusers names.

    Attributes:
        given: what a pipeline is to load: the file, or tensors where it would misread that.
    """

    tensors: Mapping[str, Tensor]
    given: str | dict[str, Tensor]

    @property
    def adapts_encoders(self) -> bool:
        """Whether it changes text encoders."""
        return any(key.startswith(ENCODER) for key in self.tensors)


def read_for_pipeline(path: Path, pipeline: Any, family: Family) -> ReadLora:
    """The tensors of a LoRA file under diffusers names, checked against the pipeline's denoiser and text encoders.

    Raises:
        ModelFileError: missing, unreadable, no LoRA, or layers that these do not have in that size.
    """
    tensors = _tensors(path)
    if not any("lora" in name for name in tensors):
        raise ModelFileError(f"{path} holds no LoRA weights. Give a LoRA in diffusers or kohya form.")
    denoiser = getattr(pipeline, family.denoiser)
    own = from_comfyui(path, tensors, family)
    if own is None and family.lora_names.own_reader:
        own = _whole_copy(tensors, family, denoiser)
    if own is not None:
        read = ReadLora(own, own)
    else:
        given = folded(tensors) if family.denoiser == "unet" and has_mixed_alphas(tensors) else str(path)
        read = ReadLora(_by_diffusers(path, given, pipeline, family), given)
    check_fit(path, read.tensors, pipeline, family)
    return read


def _tensors(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise ModelFileError(f"No LoRA at {path}. Correct the path.")
    if path.suffix != ".safetensors":
        raise ModelFileError(
            f"{path}: LoRAs are read as .safetensors only, because other formats can run code when loaded."
        )
    try:
        return dict(load_file(path))
    except (OSError, SafetensorError) as error:
        raise ModelFileError(
            f"{path} is damaged or not a safetensors file ({error}). Take it from its source again."
        ) from error


def _by_diffusers(path: Path, given: str | dict[str, Tensor], pipeline: Any, family: Family) -> dict[str, Tensor]:
    """As diffusers reads it, with all the dialects that it knows."""
    from diffusers.utils import convert_unet_state_dict_to_peft

    unet = family.denoiser == "unet"
    options = {"unet_config": pipeline.unet.config} if unet else {}
    try:
        # a copy, because names are taken out of it as they are converted
        made = pipeline.lora_state_dict(
            dict(given) if isinstance(given, dict) else given, use_safetensors=True, local_files_only=True, **options
        )
    except (ValueError, KeyError, IndexError, AssertionError, RuntimeError) as error:
        raise ModelFileError(wrong_base(path, first_line(error))) from error
    found: dict[str, Tensor] = dict(made[0] if isinstance(made, tuple) else made)
    inner = {key: value for key, value in found.items() if key.startswith("unet.")}
    if unet and inner and "lora_A" not in next(iter(inner)):
        converted = convert_unet_state_dict_to_peft({key.removeprefix("unet."): value for key, value in inner.items()})
        rest = {key: value for key, value in found.items() if key not in inner}
        return {**rest, **{f"unet.{key}": value for key, value in converted.items()}}
    return found


def _prefixed(layers: Mapping[str, tuple[Tensor, Tensor]], denoiser: str) -> dict[str, Tensor]:
    return {
        f"{denoiser}.{layer}.lora_{part}.weight": matrix
        for layer, pair in layers.items()
        for part, matrix in zip("AB", pair, strict=True)
    }


def _whole_copy(tensors: Mapping[str, Tensor], family: Family, denoiser: nn.Module) -> dict[str, Tensor] | None:
    """Tensors of a file in the family's own copy names, their scale multiplied in; None when it holds other names."""
    encoders = encoders_by_diffusers_names(tensors)
    if encoders is None:
        return None
    rest = {name: tensor for name, tensor in tensors.items() if not ENCODER_LAYER.match(name)}
    seen = _from_copy(rest, family.lora_names, denoiser) if rest else {}
    return None if seen is None else {**_prefixed(seen, family.denoiser), **encoders}


def _from_copy(
    tensors: Mapping[str, Tensor], names: LoraNames, denoiser: nn.Module
) -> dict[str, tuple[Tensor, Tensor]] | None:
    """Layers of the denoiser; None when it holds other names."""
    outputs = {
        name: layer.weight.shape[0]
        for name, layer in denoiser.named_modules()
        if isinstance(layer, nn.Linear | nn.Conv2d)
    }
    down_name, up_name = FORMS[names.form]
    left, made = set(tensors), dict[str, tuple[Tensor, Tensor]]()
    for name, layers in names.groups(outputs).items():
        down, up = (tensors.get(f"{name}.{part}") for part in (down_name, up_name))
        if down is None or up is None:
            continue
        left -= {f"{name}.{down_name}", f"{name}.{up_name}", f"{name}.alpha"}
        alpha = tensors.get(f"{name}.alpha")
        scale = 1.0 if alpha is None else float(alpha) / down.shape[0]
        made |= _apart(layers, down.float() * scale, up.float(), [outputs[layer] for layer in layers])
    return made if made and not left else None


def _apart(layers: tuple[str, ...], down: Tensor, up: Tensor, outputs: list[int]) -> dict[str, tuple[Tensor, Tensor]]:
    """One fused pair -> one pair per layer; where the up matrix has only its diagonal blocks, each layer gets its own
    rank back.
    """
    if len(layers) == 1:
        return {layers[0]: (down, up)}
    if up.shape[0] != sum(outputs):
        return dict.fromkeys(layers, (down, up))  # the size check that follows names the first of them
    ends = [sum(outputs[: i + 1]) for i in range(len(outputs))]
    ups, rank = [up[end - size : end] for end, size in zip(ends, outputs, strict=True)], down.shape[0] // len(layers)
    blocks = [part[:, i * rank : (i + 1) * rank] for i, part in enumerate(ups)]
    if rank * len(layers) == down.shape[0] and sum(int(b.count_nonzero()) for b in blocks) == int(up.count_nonzero()):
        downs = [down[i * rank : (i + 1) * rank] for i in range(len(layers))]
        return dict(zip(layers, zip(downs, blocks, strict=True), strict=True))
    return {layer: (down, part) for layer, part in zip(layers, ups, strict=True)}
