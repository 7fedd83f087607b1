"""LoRA files -> tensors under diffusers names, checked against a pipeline's denoiser and text encoders."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from twinloop.adapters.diffusion.loras.fit import ENCODER, check_fit
from twinloop.adapters.diffusion.loras.given_lora import damaged, dora_on_packed, whole_lora
from twinloop.adapters.diffusion.loras.kohya_scales import folded, has_mixed_alphas
from twinloop.adapters.diffusion.loras.own_reading import (
    LENGTHS,
    by_own_names,
    is_of_diffusers,
    with_peft_lengths,
    with_projections,
)
from twinloop.adapters.diffusion.messages import first_line, wrong_base
from twinloop.adapters.diffusion.quantised.model import is_packed
from twinloop.errors import ModelFileError
from twinloop.families.base import Family
from twinloop.loras.dora import check_outputs
from twinloop.loras.lora import HADA, NO_LORA


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

    @property
    def has_magnitudes(self) -> bool:
        """Whether it is a DoRA."""
        return any(LENGTHS in key for key in self.tensors)


def read_for_pipeline(path: Path, pipeline: Any, family: Family) -> ReadLora:
    """The tensors of a LoRA file under diffusers names, checked against the pipeline's denoiser and text encoders.

    Raises:
        ModelFileError: missing, unreadable, no LoRA, layers that these do not have in that size, or a DoRA that cannot
            be applied to them.
    """
    tensors = _tensors(path)
    if not any("lora" in name for name in tensors):
        raise ModelFileError(f"{path} holds no LoRA weights. Give a LoRA in diffusers or kohya form.")
    if any(f".{HADA}" in name for name in tensors):
        raise ModelFileError(f"{path}: {NO_LORA}")
    check_outputs(path, {name: tensor.shape for name, tensor in tensors.items()})
    own = None if is_of_diffusers(tensors, family) else by_own_names(path, tensors, family)
    if own is None:
        given = folded(tensors) if family.denoiser == "unet" and has_mixed_alphas(tensors) else str(path)
        read = ReadLora(_by_diffusers(path, given, pipeline, family), given)
        check_fit(path, read.tensors, pipeline, family)
        _check_magnitudes(path, read.tensors, pipeline, family)
        return read
    own = with_projections(own, pipeline)
    check_fit(path, own, pipeline, family)
    _check_magnitudes(path, own, pipeline, family)
    own = with_peft_lengths(path, own, pipeline)
    return ReadLora(own, own)


def _check_magnitudes(path: Path, tensors: Mapping[str, Tensor], pipeline: Any, family: Family) -> None:
    """PEFT would take packed bytes for the weights whose rows a DoRA's magnitudes are of."""
    own = any(key.startswith(f"{family.denoiser}.") and LENGTHS in key for key in tensors)
    if own and is_packed(getattr(pipeline, family.denoiser)):
        raise dora_on_packed(path)


def _tensors(path: Path) -> dict[str, Tensor]:
    whole_lora(path)
    try:
        return dict(load_file(path))
    except (OSError, SafetensorError) as error:
        raise damaged(path, error) from error


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
