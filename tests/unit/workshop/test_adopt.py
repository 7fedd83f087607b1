"""Checkpoints of the shipped model folder, and the folder that is written from them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from twinloop import nano

pytest.importorskip("torch")
pytest.importorskip("diffusers")

import torch

from workshop import checkpoint, export
from workshop.adopt import adopt

BASE = Path(nano.__file__).parent / "base"


def test_a_shipped_folder_can_be_trained_further(tmp_path: Path) -> None:
    adopt(BASE, tmp_path, "unet")
    step, groups = checkpoint.load(tmp_path / "unet.safetensors")
    assert step == 0 and float(groups["clock"]["seconds"]) == 0
    again = tmp_path / "again"
    export.export(tmp_path, "unet", again)
    for part in ("unet", "vae", "text_encoder", "text_encoder_2"):
        shipped, written = (_tensors(folder / part) for folder in (BASE, again))
        assert shipped.keys() == written.keys() and shipped
        assert all(torch.equal(shipped[name], written[name]) for name in shipped)
    with pytest.raises(FileExistsError):
        adopt(BASE, tmp_path, "unet")


def _tensors(folder: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    return {name: value for path in sorted(folder.glob("*.safetensors")) for name, value in load_file(path).items()}
