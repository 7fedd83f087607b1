"""All readers of safetensors files take the same files, and say of others what is wrong in an error of their own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.unit.pickles.safetensors_files import BAD, GOOD, one
from twinloop.adapters.diffusion.weight_files import whole_header
from twinloop.errors import ModelFileError
from twinloop.families.single_files import read_header, tensor_names
from twinloop.loras.container import read_tensors
from twinloop.pickles import Blob
from twinloop.pickles.inspection import Safety, inspect_blob
from twinloop.store.models.lora_file import header_texts, with_texts


def _header_is_whole(path: Path) -> bool:
    try:
        return not read_header(path).missing
    except ValueError:
        return False


def _read_without(error: type[Exception], read: Callable[[Path], object]) -> Callable[[Path], bool]:
    def taken(path: Path) -> bool:
        try:
            read(path)
        except error:
            return False
        return True

    return taken


READERS: dict[str, Callable[[Path], bool]] = {
    "single_files": _header_is_whole,
    "base model": _read_without(ModelFileError, whole_header),
    "header_texts": _read_without(ModelFileError, header_texts),
    "loras": _read_without(ModelFileError, read_tensors),
    "with_texts": _read_without(ValueError, lambda path: with_texts(path.read_bytes(), {})),
    "inspector": lambda path: inspect_blob(Blob(path.name, path)).verdict is Safety.SAFE,
}


@pytest.mark.parametrize("name", [*GOOD, *BAD])
def test_all_readers_agree(name: str, tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes({**GOOD, **BAD}[name])
    assert {reader: taken(path) for reader, taken in READERS.items()} == dict.fromkeys(READERS, name in GOOD)


def test_a_damaged_header_names_file_and_next_step(tmp_path: Path) -> None:
    path = tmp_path / "deep.safetensors"
    path.write_bytes(BAD["nested deeply"])
    with pytest.raises(ModelFileError, match=r"deep\.safetensors .*nested too deeply.*Download or train it again"):
        header_texts(path)
    with pytest.raises(ModelFileError, match=r"deep\.safetensors .*nested too deeply.*Download or export it again"):
        read_tensors(path)
    found = inspect_blob(Blob(path.name, path))
    assert found.verdict is Safety.MALFORMED and "nested too deeply" in found.findings[0].text
    assert tensor_names(path) is None


def test_a_type_that_no_lora_has_is_named(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(one(b"1", dtype="F4", data_offsets=[0, 1]))
    assert inspect_blob(Blob(path.name, path)).verdict is Safety.SAFE
    with pytest.raises(ModelFileError, match="'a' is of the type F4, which no LoRA's weights are"):
        read_tensors(path)
