"""safetensors headers, read and put in order."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load, save

from twinloop.errors import InputError, ModelFileError
from twinloop.store.models.lora_file import header_texts, short_hash, with_texts

TENSORS = {"b.weight": np.arange(6, dtype=np.float32).reshape(2, 3), "a.weight": np.ones(5, np.float16)}
TEXTS = {f"ss_{name}": f"value of {name} ü" for name in "zyxwvutsrq"}


def test_equal_content_gives_equal_bytes() -> None:
    assert len({save(TENSORS, metadata=TEXTS) for _ in range(30)}) > 1, (
        "the library orders texts itself by now: with_texts() may go"
    )
    assert len({with_texts(save(TENSORS, metadata=TEXTS), TEXTS) for _ in range(30)}) == 1
    assert with_texts(save(TENSORS), TEXTS) == with_texts(save(TENSORS, metadata={"other": "texts"}), TEXTS)


def test_the_bytes_of_a_file_are_those_they_always_were() -> None:
    """LoRAs of earlier releases are compared by hash with those that are trained again."""
    data = with_texts(save(TENSORS), {"b": "1", "a": "ü"})
    header = (
        '{"__metadata__":{"a":"ü","b":"1"},"b.weight":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},'
        '"a.weight":{"dtype":"F16","shape":[5],"data_offsets":[24,34]}}'
    ).encode()
    padded = header + b" " * (-len(header) % 8)
    body = TENSORS["b.weight"].tobytes() + TENSORS["a.weight"].tobytes()
    assert data == len(padded).to_bytes(8, "little") + padded + body


def test_the_content_stays(tmp_path: Path) -> None:
    data = with_texts(save(TENSORS), TEXTS)
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
    path.write_bytes(with_texts(save(TENSORS, metadata=TEXTS), {}))
    assert header_texts(path) == {}
    assert load(path.read_bytes()).keys() == TENSORS.keys()


def test_the_hash_is_the_headers_or_that_of_the_tensors_or_of_the_file(tmp_path: Path) -> None:
    said, silent, other = (tmp_path / name for name in ("said.safetensors", "silent.safetensors", "other.pt"))
    said.write_bytes(with_texts(save(TENSORS), {"sshs_model_hash": "0123456789abcdef"}))
    silent.write_bytes(with_texts(save(TENSORS), TEXTS))
    other.write_bytes(b"pickle")
    body = TENSORS["b.weight"].tobytes() + TENSORS["a.weight"].tobytes()
    assert short_hash(said) == "0123456789ab"
    assert short_hash(silent) == hashlib.sha256(body).hexdigest()[:12]
    assert short_hash(other) == hashlib.sha256(b"pickle").hexdigest()[:12]


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
