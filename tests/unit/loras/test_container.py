"""safetensors files in and out: what is wrong with one is said in one sentence."""

from __future__ import annotations

import hashlib
import json
import pickle
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save, save_file

from twinloop.errors import InputError, ModelFileError, StateError
from twinloop.loras.container import file_bytes, read_tensors, write_new
from twinloop.loras.tensors import RawTensor, encode

TENSORS = {"b": encode(np.ones((2, 3)), "F16"), "a": encode(np.arange(4.0), "F32"), "c": encode(np.ones(3), "BF16")}


def test_the_library_reads_what_is_written(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(file_bytes(TENSORS, {"z": "1", "a": "ü"}))
    with safe_open(str(path), "numpy") as file:
        assert set(file.keys()) == {"a", "b", "c"}
        assert np.array_equal(file.get_tensor("a"), [0, 1, 2, 3]) and file.get_tensor("b").dtype == np.float16
        assert file.metadata()["a"] == "ü"
    texts, tensors = read_tensors(path)
    assert texts["z"] == "1" and all(tensors[name].same(TENSORS[name]) for name in TENSORS)


def test_equal_content_equal_bytes_and_hashes_set_anew() -> None:
    other = dict(reversed(TENSORS.items()))
    data = file_bytes(TENSORS, {"sshs_model_hash": "old", "sshs_legacy_hash": "old", "t": "x"})
    assert data == file_bytes(other, {"t": "x"})
    assert data == file_bytes(other, {"t": "x", "sshs_legacy_hash": "older", "sshs_model_hash": "older"})
    size = int.from_bytes(data[:8], "little")
    texts = json.loads(data[8 : 8 + size])["__metadata__"]
    digest = hashlib.sha256(data[8 + size :]).hexdigest()
    # the file ends before its first MiB does
    legacy = hashlib.sha256(b"").hexdigest()[:8]
    assert texts == {
        "modelspec.hash_sha256": f"0x{digest}", "sshs_model_hash": digest, "sshs_legacy_hash": legacy, "t": "x",
    }  # fmt: skip


@pytest.mark.parametrize("sides", [(700, 300), (700, 450)])
def test_hashes_are_those_of_sd_scripts(sides: tuple[int, int]) -> None:
    """By its definition: the library saves tensors and ``ss_`` texts; one hash is of all behind that file's header, the
    other of 64 KiB from its second MiB on, as far as there are any.
    """
    named = {"b": np.ones(sides, np.float16), "a": np.arange(sides[0] * sides[1], dtype=np.float32).reshape(sides)}
    texts = {"ss_output_name": 'ä"na\n', "ss_steps": "7", "modelspec.title": "long" * 40}
    theirs = save(named, {key: text for key, text in texts.items() if key.startswith("ss_")})
    body = theirs[8 + int.from_bytes(theirs[:8], "little") :]
    data = file_bytes({name: encode(values, "F16" if name == "b" else "F32") for name, values in named.items()}, texts)
    found = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])["__metadata__"]
    assert found["sshs_model_hash"] == hashlib.sha256(body).hexdigest()
    assert found["sshs_legacy_hash"] == hashlib.sha256(theirs[0x100000:0x110000]).hexdigest()[:8]
    assert theirs[0x100000:]


def whole(header: dict[str, object], body: bytes) -> bytes:
    head = json.dumps(header).encode()
    return len(head).to_bytes(8, "little") + head + body


ONE = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (whole({"a": ONE}, b"1234"), "cut short"),
        (whole({"a": ONE}, b"123456789"), "longer than its header"),
        (whole({"a": {**ONE, "shape": [3]}}, b"12345678"), "not as large as its shape"),
        (whole({"a": {**ONE, "dtype": "F7"}}, b"12345678"), "unknown type .F7."),
        (whole({"a": ONE, "b": {**ONE, "data_offsets": [4, 12]}}, b"0" * 12), "overlap"),
        (whole({"a": {"dtype": "F32"}}, b""), "not a readable safetensors"),
        (b"\x09\0\0\0\0\0\0\0{not json", "not a readable safetensors"),
        (b"", "an empty file"),
        (b"<!DOCTYPE html><html></html>", "a web page"),
        (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS pointer"),
        (b"hello there, this is a text", "is not a LoRA"),
    ],
)
def test_another_kind_of_file_is_named(data: bytes, words: str, tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(data)
    with pytest.raises(ModelFileError, match=words) as caught:
        read_tensors(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


class Trap:
    def __reduce__(self) -> tuple[object, ...]:
        import os

        return os.system, ("touch /tmp/should-not-exist",)


def test_pickles_are_refused_in_the_inspectors_words(tmp_path: Path) -> None:
    trap, plain = tmp_path / "lora.pt", tmp_path / "plain.safetensors"
    trap.write_bytes(pickle.dumps(Trap()))
    with pytest.raises(ModelFileError, match=r"dangerous: would .*system.*not loaded.*Do not load it anywhere"):
        read_tensors(trap)
    plain.write_bytes(pickle.dumps({"a": 1}))
    with pytest.raises(ModelFileError, match=r"pickle; safe\).*only \.safetensors is read\. See: twinloop inspect"):
        read_tensors(plain)


def test_every_cut_of_a_file_is_refused(tmp_path: Path) -> None:
    save_file({"lora_unet_x.lora_down.weight": np.ones((2, 3), np.float32)}, tmp_path / "whole.safetensors")
    data = (tmp_path / "whole.safetensors").read_bytes()
    path = tmp_path / "cut.safetensors"
    for length in range(0, len(data), 7):
        path.write_bytes(data[:length])
        with pytest.raises(ModelFileError):
            read_tensors(path)


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    write_new(path, b"one")
    write_new(path, b"one")
    with pytest.raises(StateError, match="exists and holds something else"):
        write_new(path, b"two")
    assert path.read_bytes() == b"one"
    with pytest.raises(InputError, match=r"ending \.safetensors"):
        write_new(tmp_path / "x.pt", b"one")


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="LoRA not found"):
        read_tensors(tmp_path / "none.safetensors")


def test_a_tensor_of_no_numbers_is_fine(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(file_bytes({"a": RawTensor("F32", np.zeros((0, 3), np.float32))}, {}))
    assert read_tensors(path)[1]["a"].shape == (0, 3)
