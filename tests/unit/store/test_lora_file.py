"""safetensors headers, read and put in order."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load, save

from twinloop.errors import InputError, ModelFileError
from twinloop.store.lora_file import canonical, header_texts

TENSORS = {"b.weight": np.arange(6, dtype=np.float32).reshape(2, 3), "a.weight": np.ones(5, np.float16)}
TEXTS = {f"ss_{name}": f"value of {name} ü" for name in "zyxwvutsrq"}


def test_equal_content_gives_equal_bytes() -> None:
    written = {canonical(save(TENSORS, metadata=TEXTS)) for _ in range(30)}
    assert len({save(TENSORS, metadata=TEXTS) for _ in range(30)}) > 1, (
        "the library orders texts itself by now: canonical() may go"
    )
    assert len(written) == 1


def test_the_content_stays(tmp_path: Path) -> None:
    data = canonical(save(TENSORS, metadata=TEXTS))
    loaded = load(data)
    assert loaded.keys() == TENSORS.keys()
    assert all(
        np.array_equal(loaded[name], TENSORS[name]) and loaded[name].dtype == TENSORS[name].dtype for name in TENSORS
    )
    path = tmp_path / "lora.safetensors"
    path.write_bytes(data)
    assert header_texts(path) == TEXTS
    assert int.from_bytes(data[:8], "little") % 8 == 0


def test_no_texts(tmp_path: Path) -> None:
    path = tmp_path / "lora.safetensors"
    path.write_bytes(canonical(save(TENSORS)))
    assert header_texts(path) == {}
    assert load(path.read_bytes()).keys() == TENSORS.keys()


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="LoRA not found"):
        header_texts(tmp_path / "lora.safetensors")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x02",
        b"<!DOCTYPE html><html></html>",
        (2).to_bytes(8, "little") + b"[]",
        (9).to_bytes(8, "little") + b"{not json",
        (1 << 40).to_bytes(8, "little") + b"{}",
    ],
)
def test_another_kind_of_file(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "lora.safetensors"
    path.write_bytes(data)
    with pytest.raises(ModelFileError, match="not a readable safetensors file"):
        header_texts(path)
