"""Files of parts of a base model -> text encoders and autoencoder, as a diffusers pipeline takes them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import diffusers
import torch
import transformers
from accelerate import init_empty_weights
from diffusers.loaders.single_file_utils import (
    convert_ldm_vae_checkpoint,
    convert_open_clip_checkpoint,
    convert_wan_vae_to_diffusers,
)
from safetensors.torch import load_file
from torch import Tensor, nn

from twinloop.adapters.diffusion.messages import first_line
from twinloop.adapters.diffusion.part_files import Parts
from twinloop.adapters.diffusion.unscaling import unscaled
from twinloop.errors import ModelFileError
from twinloop.families.part_files import (
    FLUX2_VAE,
    OPEN_CLIP,
    PROJECTION,
    WAN_VAE,
    PartKind,
    is_cut,
    kind_of_part,
    renamed,
)
from twinloop.families.recognise import index_in
from twinloop.families.scaled_weights import is_scaled_file

_FAILURES = (OSError, ValueError, KeyError, RuntimeError, TypeError, AttributeError)
_FP8 = (torch.float8_e4m3fn, torch.float8_e5m2)
_NOT_NEEDED = ("lm_head", "visual", "vision_tower", "multi_modal_projector")
"""Parts of language models that no prompt goes through; files may do without them."""


def load_parts(parts: Parts, folder: Path, dtype: torch.dtype) -> dict[str, nn.Module]:
    """The parts that files were given for, by name. ``folder``: holds the base's configuration.

    Raises:
        ModelFileError: a file does not hold what its header says.
    """
    return {name: _load(name, path, folder, dtype) for name, path in parts}


def _load(name: str, path: Path, folder: Path, dtype: torch.dtype) -> nn.Module:
    try:
        tensors = unscaled(path, dtype) if is_scaled_file(path) else load_file(path)
        tensors = {key: value.to(dtype) if value.dtype in _FP8 else value for key, value in tensors.items()}
        library, kind, *_ = index_in(folder)[name]
        if library == "diffusers":
            return _autoencoder(getattr(diffusers, kind), tensors, folder / name, dtype)
        return _text_encoder(getattr(transformers, kind), tensors, folder / name, dtype)
    except _FAILURES as error:
        raise ModelFileError(
            f"base_parts.{name}: {path} cannot be loaded: {first_line(error)}. Fetch it again, or give another file."
        ) from error


def _autoencoder(made: Any, tensors: dict[str, Tensor], home: Path, dtype: torch.dtype) -> nn.Module:
    config = made.load_config(home, local_files_only=True)
    kind = _kind(tensors)
    if kind is WAN_VAE:
        tensors = convert_wan_vae_to_diffusers(tensors)
    elif not any(name.startswith("decoder.up_blocks.") for name in tensors):
        tensors = _from_original(tensors, config)
    if kind is FLUX2_VAE:
        tensors.setdefault("bn.num_batches_tracked", torch.tensor(0))
    with init_empty_weights():
        model = made.from_config(config)
    model._fix_state_dict_keys_on_load(tensors)
    missing, _ = model.load_state_dict(tensors, strict=False, assign=True)
    _check_whole(missing)
    whole: nn.Module = model.to(dtype).eval()
    return whole


def _from_original(tensors: dict[str, Tensor], config: Any) -> dict[str, Tensor]:
    """diffusers' names for those of the original code; FLUX.2's has some of them elsewhere."""
    for name in [one for one in tensors if one.startswith(("encoder.quant_conv.", "decoder.post_quant_conv."))]:
        tensors[name.partition(".")[2]] = tensors.pop(name)
    found: dict[str, Tensor] = convert_ldm_vae_checkpoint(tensors, config)
    return found | {name: value for name, value in tensors.items() if name.startswith("bn.")}


def _text_encoder(made: Any, tensors: dict[str, Tensor], home: Path, dtype: torch.dtype) -> nn.Module:
    config = made.config_class.from_pretrained(home, local_files_only=True, trust_remote_code=False)
    kind, told = _kind(tensors), json.loads((home / "config.json").read_text(encoding="utf-8"))
    shapes = _shapes(tensors)
    cut = is_cut(kind, shapes, told)
    if cut:
        config.get_text_config().num_hidden_layers = kind.told(shapes)[kind.blocks[0]]
    state = _in_own_names(made, config, kind, tensors)
    with torch.random.fork_rng(devices=[]):  # what is missing is drawn at random first
        model, report = made.from_pretrained(
            None,
            config=config,
            state_dict=state,
            dtype=dtype,
            output_loading_info=True,
            local_files_only=True,
            use_safetensors=True,
            trust_remote_code=False,
        )
    missing = set(report["missing_keys"])
    if cut:
        # the layer after which prompts are read is not the last one of the whole model: what comes out is not normed
        model.model.language_model.norm = nn.Identity()
        missing = {name for name in missing if not name.endswith("language_model.norm.weight")}
    for name in _NOT_NEEDED:
        if not any(name in one.split(".") for one in state):
            missing = _left_out(model, name, missing)
    _check_whole(missing)
    whole: nn.Module = model.eval()
    return whole


def _in_own_names(made: Any, config: Any, kind: PartKind, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors by the names that transformers reads."""
    found: dict[str, Tensor]
    if kind is OPEN_CLIP:
        prefix = kind.prefix(_shapes(tensors))
        with init_empty_weights():
            empty = made(config)
        found = convert_open_clip_checkpoint(empty, tensors, prefix=prefix)
    else:
        seeing = hasattr(config, "vision_config")
        names = renamed(kind, _shapes(tensors), seeing)
        found = {new: tensors[name] for name, new in names.items()}
    projects = hasattr(config, "projection_dim") and "WithProjection" in made.__name__
    if projects and PROJECTION not in found and config.projection_dim == config.hidden_size == _CLIP_L:
        found[PROJECTION] = torch.eye(config.hidden_size)  # as in diffusers: clip_l of SD 3 has none in most files
    return found


_CLIP_L = 768
"""Width of the smaller one of SD 3's two CLIPs."""


def _left_out(model: Any, name: str, missing: set[str]) -> set[str]:
    """The missing tensors but those of a part that the file does without, and that is not there afterwards."""
    inside = {one for one in missing if name in one.split(".")}
    for holder in (model, getattr(model, "model", None)) if inside else ():
        if isinstance(getattr(holder, name, None), nn.Module):
            setattr(holder, name, nn.Identity())
    return missing - inside


def _kind(tensors: Mapping[str, Tensor]) -> PartKind:
    kind = kind_of_part(_shapes(tensors))
    if kind is None:
        raise ValueError("it is no text encoder or autoencoder that is known here")
    return kind


def _shapes(tensors: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(value.shape) for name, value in tensors.items()}


def _check_whole(missing: Any) -> None:
    """Raises ValueError where tensors are missing."""
    if missing:
        names = sorted(missing)
        raise ValueError(f"{len(names)} of its tensors are missing, {names[0]} among them")
