"""Torch zip files: tensors come out right, and every lie a zip can tell is refused."""

from __future__ import annotations

import pickle
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from twinloop.errors import ModelFileError, UnsafeModelFile
from twinloop.pickles import Inert, TensorRef, read_torch_file

Zipped = Callable[..., Path]


def tensor_pickle(
    key: str = "0", kind: str = "FloatStorage", count: int = 6, offset: int = 0, shape: str = "(K\x02K\x03t",
    stride: str = "(K\x03K\x01t",
) -> bytes:  # fmt: skip
    """Protocol 2 opcodes of one tensor, by hand."""
    storage = f"(X\x07\0\0\0storagectorch\n{kind}\nX{chr(len(key))}\0\0\0{key}X\x03\0\0\0cpuK{chr(count)}tQ"
    rebuild = f"ctorch._utils\n_rebuild_tensor_v2\n({storage}K{chr(offset)}{shape}{stride}\x89NtR."
    return b"\x80\x02" + rebuild.encode("latin1")


SIX = np.arange(6, dtype="<f4").tobytes()


def test_a_tensor_is_read_as_a_view_on_its_storage(torch_zip: Zipped) -> None:
    tensor = read_torch_file(torch_zip(tensor_pickle(), {"0": SIX})).value
    assert isinstance(tensor, TensorRef)
    assert tensor.numpy().tolist() == [[0, 1, 2], [3, 4, 5]]


def test_strides_transpose(torch_zip: Zipped) -> None:
    path = torch_zip(tensor_pickle(shape="(K\x03K\x02t", stride="(K\x01K\x03t"), {"0": SIX})
    tensor = read_torch_file(path).value
    assert isinstance(tensor, TensorRef)
    assert tensor.numpy().tolist() == [[0, 3], [1, 4], [2, 5]]


def test_bfloat16_is_widened(torch_zip: Zipped) -> None:
    values = np.array([1.0, -2.5, 0, 3, 4, 5], dtype=np.float32)
    raw = (values.view(np.uint32) >> 16).astype("<u2").tobytes()
    tensor = read_torch_file(torch_zip(tensor_pickle(kind="BFloat16Storage"), {"0": raw})).value
    assert isinstance(tensor, TensorRef)
    assert tensor.numpy().ravel().tolist() == values.tolist()


def test_big_endian_files(torch_zip: Zipped) -> None:
    raw = np.arange(6, dtype=">f4").tobytes()
    tensor = read_torch_file(torch_zip(tensor_pickle(), {"0": raw}, {"archive/byteorder": b"big"})).value
    assert isinstance(tensor, TensorRef)
    assert tensor.numpy().sum() == 15


@pytest.mark.parametrize(
    ("pickle_bytes", "message"),
    [
        (tensor_pickle(key="7"), "not in the file"),
        (tensor_pickle(count=9), "too few"),
        (tensor_pickle(offset=3), "reaches outside"),
        (tensor_pickle(stride="(K\x09K\x01t"), "reaches outside"),
        (tensor_pickle(kind="StrangeStorage"), "not a torch storage"),
        (tensor_pickle(stride="(K\x01t"), "impossible shape"),
    ],
)
def test_dishonest_tensors(torch_zip: Zipped, pickle_bytes: bytes, message: str) -> None:
    with pytest.raises(ModelFileError, match=message):
        read_torch_file(torch_zip(pickle_bytes, {"0": SIX}))


@pytest.mark.parametrize(
    "name", ["../evil", "/etc/evil", "archive/../../evil", "other/file", "archive/sub/data.pkl", "c:\\x"]
)
def test_dishonest_zips(torch_zip: Zipped, name: str) -> None:
    with pytest.raises(ModelFileError):
        read_torch_file(torch_zip(tensor_pickle(), {"0": SIX}, {name: b"x"}))


def test_compressed_storages(tmp_path: Path) -> None:
    path = tmp_path / "bomb.pt"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/data.pkl", tensor_pickle())
        archive.writestr("a/data/0", bytes(1_000_000))
    with pytest.raises(ModelFileError, match="compressed"):
        read_torch_file(path)


def test_a_storage_whose_two_sizes_differ(torch_zip: Zipped) -> None:
    """Both places that tell of it agree, and the checksum is that of the part: only the longer size gives it away."""
    path = torch_zip(tensor_pickle(count=3, shape="(K\x01K\x03t"), {"0": SIX})
    data, part = bytearray(path.read_bytes()), struct.pack("<I", zlib.crc32(SIX[:12]))
    name = b"archive/data/0"
    local, listed = data.index(name) - 30, data.rindex(name) - 46
    data[local + 14 : local + 18] = data[listed + 16 : listed + 20] = part
    data[local + 22 : local + 26] = data[listed + 24 : listed + 28] = struct.pack("<I", 12)
    path.write_bytes(data)
    with pytest.raises(ModelFileError, match="compressed"):
        read_torch_file(path)


def test_a_storage_that_was_damaged_is_not_read(torch_zip: Zipped) -> None:
    path = torch_zip(tensor_pickle(), {"0": SIX})
    data = bytearray(path.read_bytes())
    data[data.index(SIX) + 5] ^= 1
    path.write_bytes(data)
    tensor = read_torch_file(path).value
    assert isinstance(tensor, TensorRef)
    with pytest.raises(ModelFileError, match=r"'archive/data/0' is damaged"):
        tensor.numpy()


def test_a_malicious_torch_file(torch_zip: Zipped) -> None:
    with pytest.raises(UnsafeModelFile, match=r"model.pt: this file would use posix.system \(byte 2"):
        read_torch_file(torch_zip(b"\x80\x02cposix\nsystem\nX\x04\0\0\0true\x85R."))


def test_a_bare_malicious_pickle_under_a_model_name(tmp_path: Path) -> None:
    path = tmp_path / "yolov5l-face.pt"
    path.write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    with pytest.raises(UnsafeModelFile, match=r"os\.system"):
        read_torch_file(path)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "an empty file"),
        (b"<html>", "a web page"),
        (b"PK\x03\x04cut", "cut short"),
        (pickle.dumps({"a": 1}), "not a torch file but pickle"),
    ],
)
def test_other_files(tmp_path: Path, data: bytes, message: str) -> None:
    path = tmp_path / "model.pt"
    path.write_bytes(data)
    with pytest.raises(ModelFileError, match=message):
        read_torch_file(path)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="cannot be read"):
        read_torch_file(tmp_path / "none.pt")


def test_parity_with_torch(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    state = {
        f"{dtype}".removeprefix("torch."): torch.arange(12).to(dtype).reshape(3, 4).t()
        for dtype in (
            torch.float16,
            torch.float32,
            torch.float64,
            torch.bfloat16,
            torch.int64,
            torch.uint8,
            torch.bool,
        )
    }
    state["parameter"] = torch.nn.Parameter(torch.randn(5))
    path = tmp_path / "state.pt"
    torch.save(state, path)
    ours = read_torch_file(path).value
    assert isinstance(ours, dict)
    for name, tensor in state.items():
        assert np.array_equal(ours[name].numpy(), tensor.detach().to(torch.float64).numpy()), name


def test_a_real_ultralytics_file(fixtures: Path) -> None:
    value = read_torch_file(fixtures / "weights/ultralytics_format/emotion_cls_train_best.pt").value
    assert isinstance(value, dict) and isinstance(value["model"], Inert)
    assert value["model"].cls.path == "ultralytics.nn.tasks.ClassificationModel"
