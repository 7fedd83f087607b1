"""A file of a denoiser that holds other parts of the pipeline, too (`SingleFile.carries`): taken apart."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import diffusers
import torch
from accelerate import init_empty_weights
from safetensors.torch import load_file
from torch import Tensor, nn

from twinloop.families.base import SingleFile
from twinloop.families.recognise import index_in
from twinloop.families.sizes import bare


def taken_apart(
    weights: Mapping[str, Tensor] | Path, kind: SingleFile, home: Path, dtype: torch.dtype
) -> tuple[dict[str, Tensor], dict[str, nn.Module]]:
    """The denoiser's own tensors, and the other parts by their names.

    Args:
        weights: of the whole file, or the file. home: the diffusers folder with the configuration of each part.

    Raises:
        ValueError, RuntimeError, OSError: a part is not there, or not as its configuration has it.
    """
    named = load_file(weights) if isinstance(weights, Path) else weights
    own, parts = {bare(name): tensor for name, tensor in named.items()}, {}
    for part in kind.carried(own):
        prefix = kind.carries[part]
        inside = {name: own.pop(name) for name in list(own) if name.startswith(prefix)}
        parts[part] = _made(part, {name.removeprefix(prefix): tensor for name, tensor in inside.items()}, home, dtype)
    return own, parts


def _made(part: str, tensors: dict[str, Tensor], home: Path, dtype: torch.dtype) -> nn.Module:
    _, kind = index_in(home)[part]
    made: Any = getattr(diffusers, kind)
    with init_empty_weights():
        model: nn.Module = made.from_config(made.load_config(home / part, local_files_only=True))
    model.load_state_dict(tensors, assign=True)
    return model.to(dtype).eval()
