"""A LoHa that is to make images: refused at once, with the command that makes it a LoRA."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("diffusers")

from safetensors.numpy import save_file

from tests.contract.makers import GENERATION
from tests.helpers.looks import look_at_all
from tests.helpers.tiny_models import build_tiny_sdxl
from twinloop.adapters.diffusion.base_choice import BaseChoice
from twinloop.adapters.diffusion.base_model import open_base
from twinloop.adapters.diffusion.preflight import Wanted, checks
from twinloop.errors import ModelFileError
from twinloop.families import FAMILIES


def test_a_loha_is_refused_before_anything_is_loaded(tmp_path: Path) -> None:
    path, base = tmp_path / "x.safetensors", build_tiny_sdxl(tmp_path / "base")
    stem = "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn1_to_q"
    shapes = {"w1_a": (8, 2), "w1_b": (2, 8), "w2_a": (8, 2), "w2_b": (2, 8)}
    save_file({f"{stem}.hada_{part}": np.ones(shape, np.float32) for part, shape in shapes.items()}, path)
    choice, family = BaseChoice(str(base), "cpu", "float32"), FAMILIES["sdxl"]
    said = r"x\.safetensors: a LoHa is no LoRA.*twinloop lora convert FILE --to lora"
    with pytest.raises(ModelFileError, match=said):
        look_at_all(checks(Wanted(choice, family, GENERATION, loras=(path,))))
    with pytest.raises(ModelFileError, match=said):
        open_base(choice, family).lora.use(path)
