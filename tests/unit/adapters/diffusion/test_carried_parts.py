"""A file of a denoiser that holds another part of the pipeline: where that comes from."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")

from safetensors.torch import load_file, save_file  # noqa: E402

from tests.helpers.anima_file import write_anima_file  # noqa: E402
from tests.helpers.part_files import tensors_of, without_weights  # noqa: E402
from tests.helpers.tiny_families import build_tiny  # noqa: E402
from twinloop.adapters.diffusion.base_choice import BaseChoice  # noqa: E402
from twinloop.adapters.diffusion.base_model import open_base  # noqa: E402
from twinloop.errors import InputError, MissingModel, ModelFileError  # noqa: E402
from twinloop.families import FAMILIES  # noqa: E402

ANIMA = replace(FAMILIES["anima"], sizes=())


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A folder beside ``mine.safetensors``, of another model than ``other``."""
    build_tiny("anima", tmp_path / "mine")
    build_tiny("anima", tmp_path / "other", seed=1)
    return tmp_path


def pipeline(home: Path) -> Any:
    return open_base(BaseChoice(str(home / "mine.safetensors"), "cpu", "float32"), ANIMA).pipeline


def same(part: Any, folder: Path, name: str) -> bool:
    theirs = tensors_of(folder, name)
    return all(torch.equal(value, theirs[key]) for key, value in part.state_dict().items())


@pytest.mark.parametrize("prefix", ["net.", "", "model.diffusion_model."])
def test_it_comes_from_the_file(prefix: str, home: Path) -> None:
    write_anima_file(home / "other", home / "mine.safetensors", prefix)
    without_weights(home / "mine", "transformer", "text_conditioner")
    found = pipeline(home)
    assert same(found.transformer, home / "other", "transformer")
    assert same(found.text_conditioner, home / "other", "text_conditioner")
    assert same(found.text_encoder, home / "mine", "text_encoder")


def test_a_file_without_it_takes_that_of_the_folder(home: Path) -> None:
    shutil.copy(next((home / "other" / "transformer").glob("*.safetensors")), home / "mine.safetensors")
    found = pipeline(home)
    assert same(found.transformer, home / "other", "transformer")
    assert same(found.text_conditioner, home / "mine", "text_conditioner")
    without_weights(home / "mine", "text_conditioner")
    with pytest.raises(MissingModel, match=r"no weights \(\.safetensors\) of text_conditioner"):
        pipeline(home)


def test_a_part_of_it_is_damage(home: Path) -> None:
    file = write_anima_file(home / "other", home / "mine.safetensors")
    tensors = load_file(file)
    del tensors["net.llm_adapter.blocks.0.mlp.0.weight"]
    save_file(tensors, file)
    with pytest.raises(ModelFileError, match=r"mine\.safetensors cannot be loaded"):
        pipeline(home)


def test_gguf_files_are_not_read(home: Path) -> None:
    (home / "mine.gguf").write_bytes(b"GGUF")
    with pytest.raises(InputError, match=r"hold text_conditioner beside the denoiser, and are not read as \.gguf"):
        open_base(BaseChoice(str(home / "mine.gguf"), "cpu"), ANIMA)
