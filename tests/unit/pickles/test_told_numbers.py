"""Numbers, flags and lengths that a file tells: where a loader goes by them, nothing but a plain number passes."""

from __future__ import annotations

import io
import os
import pickle
import struct
import tarfile
from pathlib import Path

import numpy as np
import pytest

from tests.unit.pickles.disguises import GETPID, dtype_of, look
from tests.unit.pickles.files import MAGIC, joblib, legacy, tensor, torch_tar
from tests.unit.pickles.polyglots import HONEST, zipped
from tests.unit.pickles.polyglots import torch_tar as tar_of
from twinloop.errors import ModelFileError
from twinloop.pickles import Blob, TensorRef, read_torch_file
from twinloop.pickles.inspection import Safety, inspect_blob
from twinloop.pickles.kinds import Kind
from twinloop.pickles.modelfile import read_value
from twinloop.pickles.reader import Reader

NONE, EMPTY, PLAIN = pickle.dumps(0, 2), pickle.dumps([], 2), b"\x80\x02}."


def tar(storages: bytes = NONE + EMPTY, tensors: bytes = NONE, main: bytes = PLAIN) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        for name, data in (("storages", storages), ("tensors", tensors), ("pickle", main)):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return made.getvalue()


COUNTS = {
    "numpy's number": np.int64(1),
    "a truth": True,
    "less than none": -1,
    "a broken number": 1.0,
    "a list": [1],
    "numpy's number of nothing": np.int64(0),
    "nothing": None,
}


@pytest.mark.parametrize("way", COUNTS)
def test_a_tars_count_is_a_plain_number(way: str) -> None:
    count = pickle.dumps(COUNTS[way], 2)
    assert look(tar()).verdict is Safety.SAFE
    for data in (tar(tensors=count), tar(storages=count + EMPTY), tar(tensors=count + GETPID)):
        assert look(data).verdict in (Safety.MALFORMED, Safety.DANGEROUS)


def test_torch_counts_with_numpys_number(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    torch = pytest.importorskip("torch")
    deed = b"cposix\nsystem\n(X\x08\0\0\0echo rantR."
    path = tmp_path / "model.pt"
    path.write_bytes(tar(tensors=pickle.dumps(np.int64(1), 2) + deed))
    with pytest.raises(TypeError):
        torch.load(path, weights_only=False)
    assert "ran" in capfd.readouterr().out, "the file does act"
    assert look(path.read_bytes()).verdict is not Safety.SAFE


@pytest.mark.parametrize(
    "data",
    [
        tar(storages=NONE + EMPTY + b"x"),
        tar(tensors=NONE + GETPID),
        tar(main=PLAIN + GETPID),
        tar(storages=NONE + pickle.dumps((), 2)),
        tar(storages=NONE + pickle.dumps(None, 2)),
    ],
    ids=["behind the storages", "behind the tensors", "behind the pickle", "views in a tuple", "no views"],
)
def test_what_is_left_of_a_part_of_a_tar(data: bytes) -> None:
    assert look(data).verdict is Safety.MALFORMED


def test_a_tars_keys_are_plain_numbers() -> None:
    honest = torch_tar(np.zeros(3, np.float32))
    assert look(honest).verdict is Safety.SAFE
    assert look(honest.replace(b"\x80\x02(K\x07X", b"\x80\x02(\x88NX")).verdict is Safety.MALFORMED
    assert look(honest.replace(b"\x80\x02(K\x09K\x07", b"\x80\x02(K\x09K\x08")).verdict is Safety.MALFORMED


def framed(first: bytes, rest: bytes) -> bytes:
    """A pickle with a frame that goes on behind its stop."""
    return b"\x80\x04\x95" + struct.pack("<Q", len(first) + len(rest)) + first + rest


def test_a_stop_within_a_frame_hides_the_next_pickle() -> None:
    data = framed(b"K\x01.", b"C" + bytes([len(GETPID)])) + GETPID + b"."
    stream = io.BytesIO(data)
    assert (pickle.load(stream), pickle.load(stream)) == (1, os.getpid())
    found = look(data)
    assert found.verdict is Safety.MALFORMED and "frame" in found.findings[0].text


def test_a_stop_within_a_frame_hides_the_list_of_storages(capfd: pytest.CaptureFixture[str]) -> None:
    torch = pytest.importorskip("torch")
    deed = b"cposix\nsystem\n(X\x08\0\0\0echo rantR."
    heads = b"".join(pickle.dumps(value, 2) for value in (MAGIC, 1001, {"little_endian": True}))
    storage = tensor("0", "Byte", len(deed)) + b"."
    data = heads + framed(storage, pickle.dumps(["0"], 2) + struct.pack("<q", len(deed))) + deed
    with pytest.raises(TypeError):
        torch.load(io.BytesIO(data), weights_only=False)
    assert "ran" in capfd.readouterr().out, "the file does act"
    assert look(data).verdict is Safety.MALFORMED
    assert look(tar_of(b"readme", framed(b"N.", b"NN"), ustar=True)).verdict is Safety.MALFORMED


@pytest.mark.parametrize("protocol", [4, 5])
def test_frames_as_python_writes_them(protocol: int) -> None:
    data = pickle.dumps({"a": "b" * 300_000, "c": list(range(70_000))}, protocol)
    assert look(data).verdict is Safety.SAFE and look(data + data).verdict is Safety.SAFE


TWICE = b"](" + tensor("0", "Float", 1) + tensor("0", "Float", 3) + b"e."
TWO_TYPES = b"](" + tensor("0", "Float", 3) + tensor("0", "Int", 3) + b"e."


@pytest.mark.parametrize("claims", [TWICE, TWO_TYPES], ids=["lengths", "types"])
def test_a_storage_that_is_claimed_in_two_ways(claims: bytes) -> None:
    """What was read for the first claim is too short for the second, and foreign memory lies behind it."""
    data = np.arange(3, dtype="<f4")
    for file in (
        zipped({**HONEST, "a/data.pkl": b"\x80\x02" + claims, "a/data/0": data.tobytes()}),
        legacy(b"\x80\x02" + claims, {"0": data}),
        legacy(b"\x80\x02" + claims, {"0": data[:1]}),
    ):
        found = look(file)
        assert found.verdict is Safety.MALFORMED and "claimed" in found.findings[0].text


def test_one_storage_of_two_tensors() -> None:
    twice = b"\x80\x02](" + tensor("0", "Float", 3) * 2 + b"e."
    assert look(zipped({**HONEST, "a/data.pkl": twice})).verdict is Safety.SAFE


def numbers_of(data: bytes) -> list[float]:
    found = inspect_blob(Blob("model", data=data)).weights
    assert found is not None
    (weight,) = found.tensors.values()
    return (weight.numpy() if isinstance(weight, TensorRef) else weight).tolist()


BIG = np.array([1, 2, 3], ">f4")


@pytest.mark.parametrize("name", ["a/byteorder", "a/BYTEORDER", "a/ByteOrder"])
def test_the_byte_order_under_a_name_in_any_case(name: str) -> None:
    torch = pytest.importorskip("torch")
    main = HONEST["a/data.pkl"].replace(b"NtQ", b"tQ")  # without the view that the older format has there
    data = zipped({"a/data.pkl": main, "a/version": b"3\n", "a/data/0": BIG.tobytes(), name: b"big"})
    theirs = torch.load(io.BytesIO(data), weights_only=False)["w"].tolist()
    assert numbers_of(data) == theirs == [1, 2, 3]


@pytest.mark.parametrize("told", [b"big\n", b"BIG", b"", b"\xff"])
def test_a_byte_order_that_is_none(told: bytes) -> None:
    assert look(zipped({**HONEST, "a/byteorder": told})).verdict is Safety.MALFORMED
    acting = zipped({"a/data.pkl": GETPID, "a/byteorder": told})
    assert look(acting).verdict is Safety.DANGEROUS


def test_the_older_format_is_little_endian_whatever_it_says() -> None:
    torch = pytest.importorskip("torch")
    honest = legacy(b"\x80\x02" + tensor("0", "Float", 3) + b".", {"0": np.array([1, 2, 3], "<f4")})
    data = honest.replace(b"little_endianq\x02\x88", b"little_endianq\x02\x89")
    assert data != honest
    assert numbers_of(data) == torch.load(io.BytesIO(data), weights_only=False).tolist() == [1, 2, 3]


def test_the_order_of_an_array_told_by_numpys_number() -> None:
    made = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\0\x85C\x01btR(K\x01K\x02K\x03\x86"
    zero = b"cnumpy.core.multiarray\nscalar\n(" + dtype_of("i8", -1) + b"C\x08" + bytes(8) + b"tR"
    data = b"\x80\x04" + made + dtype_of("i4", -1) + b"%sC\x18" + np.arange(6, dtype="<i4").tobytes() + b"tb."
    assert numbers_of(data.replace(b"%s", b"\x89")) == [[0, 1, 2], [3, 4, 5]]
    assert pickle.loads(data.replace(b"%s", zero)).tolist() == [[0, 1, 2], [3, 4, 5]]
    assert look(data.replace(b"%s", zero)).verdict is Safety.MALFORMED


def test_objects_that_joblib_may_map() -> None:
    """With ``mmap_mode`` joblib takes their bytes for pointers, and reads on elsewhere."""
    data = joblib(np.array([None], dtype=object))
    told = b"X\x0a\0\0\0allow_mmap%sX\x08\0\0\0subclass"
    for flag, passes in ((b"\x89", True), (b"\x88", False)):
        blob = Blob("model", data=data.replace(b"X\x08\0\0\0subclass", told % flag))
        if passes:
            read_value(blob, Kind.PICKLE, Reader("model"))
        else:
            assert "mapped" in " ".join(finding.text for finding in inspect_blob(blob).findings)


def test_a_torch_file_that_is_read_strictly_says_which_file_it_is(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    path.write_bytes(zipped({**HONEST, "a/byteorder": b"middle"}))
    with pytest.raises(ModelFileError, match=r"model\.pt: its byte order"):
        read_torch_file(path)
