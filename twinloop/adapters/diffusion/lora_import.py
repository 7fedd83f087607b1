"""LoRA files -> tensors under diffusers names, checked against a denoiser."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from twinloop.adapters.diffusion.lora_export import FORMS
from twinloop.errors import ModelFileError
from twinloop.families.base import Family
from twinloop.families.lora_names import LoraNames


@dataclass(frozen=True, eq=False)
class ReadLora:
    """A LoRA file's tensors under diffusers names. ``converted``: by this program, scale and all, so that the file is not needed again."""

    tensors: Mapping[str, Tensor]
    converted: bool

    @property
    def speaks(self) -> bool:
        """Whether it changes text encoders."""
        return any(key.startswith("text_encoder") for key in self.tensors)


def read_lora(path: Path, pipeline: Any, family: Family) -> ReadLora:
    """The tensors of a LoRA file under diffusers names, checked against the pipeline's denoiser.

    Raises:
        ModelFileError: missing, unreadable, no LoRA, or layers that the denoiser does not have in that size.
    """
    tensors = _tensors(path)
    if not any("lora" in name for name in tensors):
        raise ModelFileError(f"{path} holds no LoRA weights. Give a LoRA in diffusers or kohya form.")
    denoiser = getattr(pipeline, family.denoiser)
    own = _from_copy(tensors, family.lora_names, denoiser) if family.lora_names.own_reader else None
    found = _by_diffusers(path, pipeline, family) if own is None else _prefixed(own, family.denoiser)
    _check(path, found, family.denoiser, denoiser)
    return ReadLora(found, own is not None)


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


def _by_diffusers(path: Path, pipeline: Any, family: Family) -> dict[str, Tensor]:
    """As diffusers reads it, with all the dialects that it knows."""
    from diffusers.utils import convert_unet_state_dict_to_peft

    unet = family.denoiser == "unet"
    options = {"unet_config": pipeline.unet.config} if unet else {}
    try:
        made = pipeline.lora_state_dict(str(path), use_safetensors=True, local_files_only=True, **options)
    except (ValueError, KeyError, IndexError, AssertionError, RuntimeError) as error:
        raise ModelFileError(wrong_base(path, (str(error).strip().splitlines() or ["unknown names"])[0])) from error
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


def _from_copy(
    tensors: Mapping[str, Tensor], names: LoraNames, denoiser: nn.Module
) -> dict[str, tuple[Tensor, Tensor]] | None:
    """Layers of a file in the family's own copy names, their scale multiplied in; None when it holds other names."""
    outputs = {
        name: layer.weight.shape[0] for name, layer in denoiser.named_modules() if isinstance(layer, nn.Linear | nn.Conv2d)
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
    """One fused pair -> one pair per layer; where the up matrix has only its diagonal blocks, each layer gets its own rank back."""
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


def _check(path: Path, found: Mapping[str, Tensor], prefix: str, denoiser: nn.Module) -> None:
    inner = [key for key in found if key.startswith(f"{prefix}.")]
    if not inner and not any(key.startswith("text_encoder") for key in found):
        raise ModelFileError(wrong_base(path, f"it adapts no {prefix}, but {next(iter(found)).split('.')[0]}"))
    for key in inner:
        if key.endswith("lora_A.weight"):
            name = key.removeprefix(f"{prefix}.").removesuffix(".lora_A.weight")
            up = found.get(key.replace("lora_A", "lora_B"))
            _check_layer(path, name, found[key], up, denoiser)


def _check_layer(path: Path, name: str, down: Tensor, up: Tensor | None, denoiser: nn.Module) -> None:
    try:
        layer: Any = denoiser.get_submodule(name)
    except AttributeError:
        raise ModelFileError(wrong_base(path, f"this base has no layer {name}")) from None
    weight = getattr(layer, "base_layer", layer).weight
    for what, here, there in (("takes", weight.shape[1], down.shape[1]), ("gives", weight.shape[0], up.shape[0] if up is not None else None)):
        if there is not None and here != there:
            raise ModelFileError(wrong_base(path, f"{name} {what} {here} channels here, {there} in the file"))


def wrong_base(path: Path, why: str) -> str:
    """What is said of a LoRA for another base model."""
    return f"{path} does not fit this base model: {why}. Use the base model that the LoRA was trained on, or another LoRA."
