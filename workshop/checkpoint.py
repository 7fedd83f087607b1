"""Checkpoints: one safetensors file with every tensor of a run, and its step in the metadata."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor


def save(path: Path, step: int, **groups: Mapping[str, Tensor]) -> None:
    """Write the groups of tensors under ``<group>/<name>``; the old file is replaced in one move."""
    path.parent.mkdir(parents=True, exist_ok=True)
    flat = {
        f"{group}/{name}": t.detach().contiguous().clone()
        for group, named in groups.items()
        for name, t in named.items()
    }
    partial = path.with_suffix(".partial")
    save_file(flat, partial, metadata={"step": str(step)})
    os.replace(partial, path)


def load(path: Path) -> tuple[int, dict[str, dict[str, Tensor]]]:
    """The step and the groups of tensors of a checkpoint."""
    groups: dict[str, dict[str, Tensor]] = {}
    with safe_open(path, framework="pt") as stored:
        step = int(stored.metadata()["step"])
        for key in stored.keys():  # noqa: SIM118 - safe_open is no mapping
            group, name = key.split("/", 1)
            groups.setdefault(group, {})[name] = stored.get_tensor(key)
    return step, groups
