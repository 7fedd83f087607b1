"""A LoRA or LoKr in the dialect of choice: names, the alpha of every layer, and header texts."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from twinloop.errors import InputError, ModelFileError
from twinloop.families import unet_names
from twinloop.families.lora_names import CLIP, ENCODERS, LYCORIS, Rename, template
from twinloop.families.registered import is_unet_family, lora_names_of
from twinloop.loras.adapter import Adapter, Place
from twinloop.loras.adapter_settings import ADAPTER_TEXT
from twinloop.loras.components import COMFYUI_ENCODER, DENOISER
from twinloop.loras.fusion import fuse
from twinloop.loras.kronecker import Kronecker
from twinloop.loras.layouts import layout_of
from twinloop.loras.lokr_texts import lokr_settings
from twinloop.loras.lora import Dialect, Layer, Update
from twinloop.loras.patterns import keyed
from twinloop.loras.tensors import RawTensor, alpha_tensor


def is_unet(adapter: Adapter) -> bool:
    """Whether the denoiser is a UNet, told by its family or its paths."""
    paths = [place.path for place in adapter.layers if place.component == DENOISER]
    return is_unet_family(adapter.family) or any(
        path.startswith(("down_blocks.", "up_blocks.", "mid_block.")) for path in paths
    )


def effective_dialect(adapter: Adapter, dialect: Dialect) -> Dialect:
    """What a dialect means for this LoRA: for UNets, and for LoKrs that cannot be fused as ComfyUI's models are, its
    files are kohya's.
    """
    return Dialect.KOHYA if dialect is Dialect.COMFYUI and (is_unet(adapter) or _original(adapter) is None) else dialect


def written(
    adapter: Adapter, dialect: Dialect, texts: Mapping[str, str]
) -> tuple[dict[str, RawTensor], dict[str, str]]:
    """Tensors and header texts of the file; errors as in `named_layers`."""
    chosen = effective_dialect(adapter, dialect)
    return as_tensors(named_layers(adapter, chosen), chosen, texts)


def named_layers(adapter: Adapter, dialect: Dialect) -> dict[str, Update]:
    """The layers under the names of a dialect, fused where its models fuse them.

    LoKrs over the parts of a fused layer are one LoKr only where they came from one; otherwise the whole denoiser is
    named as LyCORIS names diffusers' layers, which ComfyUI reads for every family.

    Raises:
        InputError: a dialect that is only read. ModelFileError: a layer that the dialect has no name for.
    """
    if dialect is Dialect.DIFFUSERS:
        _check_whole(adapter)
        return {_diffusers_name(adapter, place): layer for place, layer in adapter.layers.items()}
    if dialect is Dialect.KOHYA:
        return dict(_kohya_names(adapter))
    if dialect is Dialect.COMFYUI:
        return dict(_comfyui_names(adapter))
    raise InputError("lora_diffusion files are read, not written. Choose diffusers, kohya or comfyui.")


def has_own_layers(adapter: Adapter) -> bool:
    """Whether every layer of diffusers has an update of its own, so that it can be written under diffusers' paths."""
    return all(isinstance(layer, Layer) or layer.rows is None for layer in adapter.layers.values())


def _check_whole(adapter: Adapter) -> None:
    for place, layer in adapter.layers.items():
        if isinstance(layer, Kronecker) and layer.rows is not None:
            raise ModelFileError(
                f"the layer {place.path[:80]!r} shares one LoKr with its neighbours, and the borders lie within a row"
                " of the small matrix: it has no LoKr of its own. Use the file as it is (this program and ComfyUI read"
                " it), or make it a LoRA: --to lora --rank N."
            )


def as_tensors(
    named: Mapping[str, Update], dialect: Dialect, texts: Mapping[str, str]
) -> tuple[dict[str, RawTensor], dict[str, str]]:
    """Tensors and header texts of layers that bear a dialect's names."""
    own = {key: value for key, value in texts.items() if key != ADAPTER_TEXT}
    if dialect is Dialect.DIFFUSERS:
        return _tensors(named, ".lora_A.weight", ".lora_B.weight", False), {**own, **adapter_texts(named)}
    down, up = (
        (".lora_A.weight", ".lora_B.weight") if dialect is Dialect.COMFYUI else (".lora_down.weight", ".lora_up.weight")
    )
    return _tensors(named, down, up, True), own


def _tensors(named: Mapping[str, Update], down: str, up: str, alpha: bool) -> dict[str, RawTensor]:
    tensors: dict[str, RawTensor] = {}
    for name, layer in named.items():
        own = (
            {down: layer.down, up: layer.up}
            if isinstance(layer, Layer)
            else {f".lokr_{part}": tensor for part, tensor in layer.parts.items()}
        )
        tensors |= {f"{name}{ending}": tensor for ending, tensor in own.items()}
        if alpha and layer.alpha is not None:
            tensors[f"{name}.alpha"] = alpha_tensor(layer.alpha, next(iter(own.values())).dtype)
    return tensors


def _diffusers_name(adapter: Adapter, place: Place) -> str:
    if place.component == DENOISER:
        return f"{'unet' if is_unet(adapter) else 'transformer'}.{place.path}"
    return f"{place.component}.{place.path}"


def adapter_texts(named: Mapping[str, Update]) -> dict[str, str]:
    """Rank and alpha as the JSON from which diffusers builds its PEFT configuration; nothing where no layer gives an
    alpha.

    Raises:
        ModelFileError: LoRA and LoKr layers in one part of the model, for which PEFT has no configuration.
    """
    if all(layer.alpha is None for layer in named.values()):
        return {}
    settings: dict[str, Any] = {}
    for component in sorted({name.partition(".")[0] for name in named}):
        layers, products = dict[str, Layer](), dict[str, Kronecker]()
        for name, layer in named.items():
            path = name.removeprefix(f"{component}.")
            if path == name:
                continue
            if isinstance(layer, Layer):
                layers[path.removeprefix(CLIP)] = layer
            else:
                products[path] = layer
        if layers and products:
            raise ModelFileError(
                "its layers are LoRAs in part and LoKrs in part, for which diffusers has no form. Choose kohya or"
                " comfyui."
            )
        if products:
            settings |= {f"{component}.{key}": value for key, value in lokr_settings(products).items()}
            continue
        ranks = {path: layer.rank for path, layer in layers.items()}
        alphas = {path: float(layer.rank if layer.alpha is None else layer.alpha) for path, layer in layers.items()}
        rank, alpha = (Counter(values).most_common(1)[0][0] for values in (ranks.values(), alphas.values()))
        own = {
            "r": rank,
            "lora_alpha": alpha,
            "target_modules": sorted(layers),
            "bias": "none",
            "lora_dropout": 0.0,
            "use_dora": False,
            "use_rslora": False,
            "rank_pattern": keyed(ranks, rank),
            "alpha_pattern": keyed(alphas, alpha),
        }
        settings |= {f"{component}.{key}": value for key, value in own.items()}
    return {ADAPTER_TEXT: json.dumps(settings, sort_keys=True)}


def _kohya_names(adapter: Adapter) -> Iterator[tuple[str, Update]]:
    for place, layer in adapter.layers.items():
        if place.component != DENOISER:
            yield f"lora_{_kohya_encoder(adapter, place.component)}_{place.path.replace('.', '_')}", layer
    original = _original(adapter)
    if original is None:
        yield from _lycoris_names(adapter)
        return
    for path, layer in original.items():
        yield f"lora_unet_{path.replace('.', '_')}", layer


def _kohya_encoder(adapter: Adapter, component: str) -> str:
    """Of a UNet that is not known: as that of SD 1.5, where it is the only text encoder."""
    if component == "text_encoder" and not adapter.family and is_unet(adapter) and not _has_second(adapter):
        return "te"
    usual = ENCODERS.get(component, ENCODERS["text_encoder_3"])
    return lora_names_of(adapter.family).encoders.get(component, usual)


def _has_second(adapter: Adapter) -> bool:
    return any(place.component == "text_encoder_2" for place in adapter.layers)


def _lycoris_names(adapter: Adapter) -> Iterator[tuple[str, Update]]:
    _check_whole(adapter)
    for place, layer in adapter.layers.items():
        if place.component == DENOISER:
            yield f"{LYCORIS}{place.path.replace('.', '_')}", layer


def _comfyui_names(adapter: Adapter) -> Iterator[tuple[str, Update]]:
    original = _original(adapter)
    if original is None:
        yield from _kohya_names(adapter)
        return
    for place, layer in adapter.layers.items():
        if place.component != DENOISER:
            encoder = COMFYUI_ENCODER[_kohya_encoder(adapter, place.component)]
            yield f"text_encoders.{encoder}.transformer.{place.path}", layer
    for path, layer in original.items():
        yield f"diffusion_model.{path}", layer


def _original(adapter: Adapter) -> dict[str, Update] | None:
    """The denoiser's layers under the names of the original checkpoint, fused where it fuses them; None = LoKrs that
    cannot be.
    """
    denoiser = {place.path: layer for place, layer in adapter.layers.items() if place.component == DENOISER}
    if not adapter.family and not adapter.original:
        _check_names(denoiser)
    if lora_names_of(adapter.family).places:
        return {unet_names.to_original(path, adapter.family): layer for path, layer in denoiser.items()}
    layout = layout_of(adapter.family)
    renames = {part: rename for rename in layout for part in rename.ours}
    made: dict[str, Update] = {}
    for path, layer in denoiser.items():
        pattern, number = template(path)
        rename = renames.get(pattern)
        if rename is None:
            if layout:
                raise ModelFileError(
                    f"the layer {path[:80]!r} has no counterpart in the original names of {adapter.family}."
                )
            made[path] = layer
            continue
        name = rename.theirs.replace("{}", number)
        if name not in made:
            whole = fuse(_parts(denoiser, rename, number), rename)
            if whole is None:
                return None
            made[name] = whole
    return made


def _check_names(paths: Collection[str]) -> None:
    """Raises ModelFileError for blocks that several families have under these names, and that their original codes call
    otherwise.
    """
    told = next((path for path in paths if re.match(r"(single_)?transformer_blocks\.", path)), None)
    if told is not None:
        raise ModelFileError(
            f"which base model it is for cannot be told from its layers ({told[:80]!r} and so on), and their names for"
            " other programs depend on that. Use it as it is, under diffusers' names."
        )


def _parts(denoiser: Mapping[str, Update], rename: Rename, number: str) -> list[Update | None]:
    return [denoiser.get(part.replace("{}", number)) for part in rename.ours]
