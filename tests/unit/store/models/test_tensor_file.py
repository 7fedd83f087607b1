"""Tensor files: the format, the same bytes every time, and never over another file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from twinloop.errors import StateError
from twinloop.store.models.tensor_file import Tensor, write_tensors


def of(name: str, array: np.ndarray) -> Tensor:
    return Tensor(name, array.dtype.name, array.shape, array.tobytes)


ARRAYS = {
    "b": np.arange(6, dtype=np.int64).reshape(2, 3),
    "a": np.array([True, False]),
    "c": np.float16([1.5]),
    "d": np.float32(7),
}


def test_the_safetensors_library_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    written = write_tensors(path, [of(name, np.asarray(array)) for name, array in ARRAYS.items()], {"format": "pt"})
    back = load_file(path)
    assert not written.unchanged
    assert back.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        assert back[name].dtype == array.dtype and np.array_equal(back[name], array)


def test_the_order_given_does_not_matter_and_a_second_time_changes_nothing(tmp_path: Path) -> None:
    tensors = [of(name, np.asarray(array)) for name, array in ARRAYS.items()]
    first = write_tensors(tmp_path / "x.safetensors", tensors, {"b": "1", "a": "2"})
    second = write_tensors(tmp_path / "x.safetensors", tensors[::-1], {"a": "2", "b": "1"})
    assert (second.sha256, second.unchanged) == (first.sha256, True)
    assert [path.name for path in tmp_path.iterdir()] == ["x.safetensors"]


def test_another_file_of_that_name_is_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(b"mine")
    with pytest.raises(StateError, match="not touched"):
        write_tensors(path, [of("a", np.zeros(2))], {})
    assert path.read_bytes() == b"mine"
    assert [path.name for path in tmp_path.iterdir()] == ["x.safetensors"]


def test_a_source_that_changes_under_way_leaves_nothing(tmp_path: Path) -> None:
    answers = iter([b"\0\0\0\0", b"\1\0\0\0"])
    with pytest.raises(StateError, match="read back"):
        write_tensors(tmp_path / "x.safetensors", [Tensor("a", "float32", (1,), lambda: next(answers))], {})
    assert list(tmp_path.iterdir()) == []
