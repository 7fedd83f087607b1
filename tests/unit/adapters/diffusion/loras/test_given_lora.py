"""One text for one fault of a LoRA file, whether it is found before a run or as the file is put on."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable, Mapping
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
from twinloop.adapters.diffusion.loras.given_lora import holds_dora, holds_lokr, whole_lora
from twinloop.adapters.diffusion.preflight import Wanted, checks
from twinloop.errors import ModelFileError, UnsafeModelFile
from twinloop.families import FAMILIES

STEM = "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn1_to_q"
PAIR = {f"{STEM}.lora_down.weight": (2, 32), f"{STEM}.lora_up.weight": (32, 2)}
PRODUCT = {f"{STEM}.lokr_w1": (4, 4), f"{STEM}.lokr_w2": (8, 8)}


class _Acts:
    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, ("true",)


def _saved(path: Path, shapes: Mapping[str, tuple[int, ...]]) -> Path:
    save_file({name: np.ones(shape, np.float32) for name, shape in shapes.items()}, path)
    return path


def _written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def _cut(path: Path) -> Path:
    return _written(path, path.read_bytes()[:-20])


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tiny_sdxl(tmp_path_factory.mktemp("base"))


@pytest.mark.parametrize(
    ("make", "kind", "words"),
    [
        (lambda home: home / "x.safetensors", ModelFileError, "No LoRA at"),
        (
            lambda home: _cut(_saved(home / "x.safetensors", PAIR)),
            ModelFileError,
            "x.safetensors is cut off: 20 bytes are missing. Take it from its source again.",
        ),
        (
            lambda home: _cut(_saved(home / "x.safetensors", PRODUCT)),
            ModelFileError,
            "x.safetensors is cut off: 20 bytes are missing. Take it from its source again.",
        ),
        (
            lambda home: _written(home / "x.safetensors", b"<!doctype html>"),
            ModelFileError,
            "x.safetensors is damaged or not a safetensors file (its header is larger than any model's).",
        ),
        (
            lambda home: _written(home / "x.pt", pickle.dumps(_Acts())),
            UnsafeModelFile,
            "The inspector says: dangerous",
        ),
        (
            lambda home: _saved(home / "x.bin", PRODUCT),
            ModelFileError,
            "models are read as .safetensors",
        ),
    ],
    ids=["missing", "cut off", "LoKr cut off", "no safetensors", "pickle", "other suffix"],
)
def test_a_fault_is_told_alike_before_a_run_and_in_it(
    make: Callable[[Path], Path], kind: type[ModelFileError], words: str, base: Path, tmp_path: Path
) -> None:
    path, choice, family = make(tmp_path), BaseChoice(str(base), "cpu", "float32"), FAMILIES["sdxl"]
    with pytest.raises(kind) as early:
        look_at_all(checks(Wanted(choice, family, GENERATION, loras=(path,))))
    with pytest.raises(kind) as late:
        open_base(choice, family).lora.use(path)
    assert str(late.value) == str(early.value)
    assert words in str(late.value)


def test_a_header_tells_the_kind(tmp_path: Path) -> None:
    lengths = {f"{STEM}.dora_scale": (32, 1)}
    pair, product = _saved(tmp_path / "pair.safetensors", PAIR), _saved(tmp_path / "product.safetensors", PRODUCT)
    dora = _saved(tmp_path / "dora.safetensors", PAIR | lengths)
    encoders = _saved(tmp_path / "encoders.safetensors", {"lora_te1_layer.dora_scale": (32, 1)})
    assert list(map(holds_lokr, (pair, product, dora))) == [False, True, False]
    assert list(map(holds_dora, (pair, product, dora, encoders))) == [False, False, True, True]
    assert [holds_dora(path, denoiser=True) for path in (dora, encoders)] == [True, False]
    assert not holds_lokr(tmp_path / "none.safetensors")
    assert set(whole_lora(pair).shapes) == set(PAIR)
