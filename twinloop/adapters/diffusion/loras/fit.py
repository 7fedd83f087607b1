"""Whether the layers of a LoRA are there in a base model, in the same size."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from diffusers.utils import convert_state_dict_to_diffusers, convert_state_dict_to_peft
from torch import Tensor, nn

from twinloop.adapters.diffusion.messages import first_line, wrong_base
from twinloop.adapters.diffusion.quantised.sizes import plain_shape
from twinloop.errors import ModelFileError
from twinloop.families.base import Family, reads_prompts
from twinloop.families.lora_names import CLIP

ENCODER = "text_encoder"
_DOWN, _UP = ".lora_A.weight", ".lora_B.weight"


def check_fit(path: Path, found: Mapping[str, Tensor], pipeline: Any, family: Family) -> None:
    """Compare a LoRA's tensors, under diffusers names, with the pipeline's denoiser and text encoders.

    Raises:
        ModelFileError: layers that these do not have in that size, or of a text encoder that cannot wear a LoRA.
    """
    prefix = family.denoiser
    inner = _of(prefix, found)
    if not inner and not any(key.startswith(ENCODER) for key in found):
        other = next(iter(found), "").split(".")[0]
        raise ModelFileError(wrong_base(path, f"it adapts no {prefix}" + (f", but {other}" if other else "")))
    _check_layers(path, inner, getattr(pipeline, prefix))
    able = family.trainable_encoders.prefixes if family.trainable_encoders is not None else {}
    for name in sorted({key.partition(".")[0] for key in found if reads_prompts(key)}):
        encoder = getattr(pipeline, name, None) if name in able else None
        if encoder is None:
            raise ModelFileError(
                wrong_base(path, f"it adapts '{name}', which is no text encoder that can wear a LoRA here")
            )
        _check_layers(path, _encoder_layers(path, _of(name, found), encoder), encoder)


def _of(component: str, found: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {
        key.removeprefix(f"{component}."): tensor for key, tensor in found.items() if key.startswith(f"{component}.")
    }


def _encoder_layers(path: Path, tensors: dict[str, Tensor], encoder: nn.Module) -> dict[str, Tensor]:
    """Under the names that diffusers will give them when it loads them."""
    try:
        named = convert_state_dict_to_peft(convert_state_dict_to_diffusers(tensors))
    except (ValueError, KeyError) as error:
        raise ModelFileError(wrong_base(path, first_line(error))) from error
    short = not hasattr(encoder, CLIP.removesuffix("."))
    return {key.removeprefix(CLIP) if short else key: tensor for key, tensor in named.items()}


def _check_layers(path: Path, tensors: Mapping[str, Tensor], model: nn.Module) -> None:
    for key, down in tensors.items():
        if key.endswith(_DOWN):
            name = key.removesuffix(_DOWN)
            _check_layer(path, name, down, tensors.get(name + _UP), model)


def _check_layer(path: Path, name: str, down: Tensor, up: Tensor | None, model: nn.Module) -> None:
    try:
        layer: Any = model.get_submodule(name)
    except AttributeError:
        layer = None
    weight = getattr(getattr(layer, "base_layer", layer), "weight", None)
    if weight is None or len(plain_shape(weight)) < 2:  # a block, or a norm
        raise ModelFileError(wrong_base(path, f"this base has no layer {name}"))
    gives, takes = plain_shape(weight)[:2]
    for what, here, there in (
        ("takes", takes, down.shape[1]),
        ("gives", gives, up.shape[0] if up is not None else None),
    ):
        if there is not None and here != there:
            raise ModelFileError(wrong_base(path, f"{name} {what} {here} channels here, {there} in the file"))
