"""Files that two readers take for two things, and types that numpy believes: each acts or reads foreign memory, and
none is called safe.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import pickle
import random
import struct
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.unit.pickles.disguises import GETPID, dtype_of, look, record
from tests.unit.pickles.files import joblib, legacy
from tests.unit.pickles.polyglots import HONEST, torch_tar, zipped
from twinloop.pickles import Kind
from twinloop.pickles.inspection import Safety
from twinloop.pickles.torchlegacy import is_tar


def hidden_tar(payload: bytes, opening: bytes = b"\x80\x03B") -> bytes:
    """A pickle of one text, which is a tar: only its checksum tells."""
    whole = torch_tar(opening + bytes(4), payload)
    leap = struct.pack("<I", len(whole) - len(opening) - 4)
    return torch_tar(opening + leap, payload) + b"."


def test_a_tar_in_a_pickle_is_what_torch_reads(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    data = hidden_tar(GETPID)
    path = tmp_path / "hidden.pt"
    path.write_bytes(data)
    assert torch.load(path, weights_only=False) == os.getpid()
    assert isinstance(pickle.loads(data), bytes) and is_tar(data)
    assert look(data).verdict is Safety.MALFORMED
    nested = b"\x80\x03ctorch.storage\n_load_from_bytes\nB" + struct.pack("<I", len(data)) + data + b"\x85R."
    assert look(nested).verdict is not Safety.SAFE


BEHIND_AN_ID = b"\x80\x02(X\x07\0\0\0storagectorch\nFloatStorage\nX\x01\0\0\x000X\x03\0\0\0cpuK\x03tQ0" + GETPID


def test_two_names_that_differ_in_their_case() -> None:
    torch = pytest.importorskip("torch")
    honest = {"a/version": b"3\n", **HONEST}
    data = zipped({**dict(list(honest.items())[:2]), "a/DATA.PKL": BEHIND_AN_ID, "a/data/0": bytes(12)})
    assert torch.load(io.BytesIO(data), weights_only=False) == os.getpid()
    found = look(data)
    assert found.verdict is Safety.DANGEROUS and "posix.getpid" in [finding.name for finding in found.findings]
    twice = zipped({**HONEST, "a/VERSION": b"3", "a/version": b"3"})
    assert "same name" in look(twice).findings[0].text


def test_a_loose_pickle_that_breaks_off_or_follows_an_id() -> None:
    assert look(zipped(HONEST)).verdict is Safety.SAFE
    assert look(zipped({**HONEST, "a/other.pkl": b"\x80\x02}"})).verdict is Safety.MALFORMED
    assert look(zipped({**HONEST, "a/other.pkl": BEHIND_AN_ID})).verdict is Safety.DANGEROUS


@pytest.mark.parametrize("name", ["a/constants.pkl", "a/Constants.PKL", "a/code/model.py", "a/CODE"])
def test_a_file_that_torch_hands_to_torchscript(name: str) -> None:
    found = look(zipped({**HONEST, name: b"\x80\x02)."}))
    assert found.verdict is Safety.MALFORMED and "TorchScript" in found.findings[0].text


def test_a_zip_whose_packed_size_is_told_in_two_ways() -> None:
    data = bytearray(zipped(HONEST))
    data[18:22] = struct.pack("<I", 7)
    assert "disagree" in look(bytes(data)).findings[0].text


DEEP_KEY = b"}(((((N" + b"ttttt" + b"Ns0"
"""A dictionary with a key that is not followed here, dropped again."""
LENIENT = {
    "a deep key": DEEP_KEY,
    "a number in base 16": b"I0x10\n0",
    "a number before a zero byte": b"I1\0rest\n0",
    "a float before a zero byte": b"F1.5\0rest\n0",
    "a view of bytes": b"C\x01a\x980",
    "a view of an array of bytes": b"\x96\x01" + bytes(7) + b"a\x980",
    "an item of a list": b"]Na(K\0K\x01u0",
}


@pytest.mark.parametrize("way", LENIENT)
def test_a_tar_that_is_a_pickle_which_only_python_follows(way: str) -> None:
    data = torch_tar(LENIENT[way] + GETPID, b"N.", ustar=True)
    assert pickle.loads(data) == os.getpid()
    assert look(data).verdict in (Safety.MALFORMED, Safety.DANGEROUS)
    assert look(torch_tar(b"readme", b"N.", ustar=True)).verdict is Safety.SAFE


def test_a_plain_file_that_only_python_follows_is_not_called_something_else() -> None:
    data = DEEP_KEY + GETPID
    assert pickle.loads(data) == os.getpid()
    assert look(data).verdict is Safety.MALFORMED


def test_what_is_compressed_is_read_as_a_pickle_too() -> None:
    data = gzip.compress(torch_tar(GETPID, b"N.", ustar=True))
    assert pickle.loads(gzip.decompress(data)) == os.getpid()
    assert look(data).verdict is Safety.DANGEROUS


@pytest.mark.parametrize("pack", [gzip.compress, zlib.compress, bz2.compress, lzma.compress])
def test_bytes_behind_the_compressed_part(pack: Callable[[bytes], bytes]) -> None:
    good = pack(pickle.dumps({"a": 1}, 2))
    assert look(good).verdict is Safety.SAFE
    for tail in (pack(GETPID), b"garbage"):
        assert look(good + tail).verdict is Safety.MALFORMED


@pytest.mark.parametrize("mark", [b"GGUF\x03\0\0\0\0", b"GIF89a\0\0\0", b"MZ\x90"])
def test_the_mark_of_another_kind_may_begin_a_pickle(mark: bytes) -> None:
    data = mark + b"0" + GETPID
    assert pickle.loads(data) == os.getpid()
    found = look(data)
    assert (found.verdict, found.kind) == (Safety.DANGEROUS, Kind.OTHER)
    assert look(mark + b"\xff" * 40).verdict is Safety.NOT_A_MODEL


def test_arrays_of_objects_in_numpys_own_files() -> None:
    def npy(array: np.ndarray) -> bytes:
        made = io.BytesIO()
        np.save(made, array, allow_pickle=True)
        return made.getvalue()

    assert len(look(npy(np.arange(3.0))).findings) == 1
    objects = npy(np.array([{"a": 1}], dtype=object))
    found = look(objects)
    assert found.verdict is Safety.NOT_A_MODEL and "allow_pickle" in found.findings[1].text
    acting = objects[: objects.index(b"\x80")] + GETPID
    assert look(acting).verdict is Safety.DANGEROUS
    assert look(objects[:-5]).verdict is Safety.MALFORMED
    assert look(zipped({**HONEST, "a/extra": acting})).verdict is Safety.DANGEROUS


def array_of(dtype: bytes, data: bytes, count: int = 1) -> bytes:
    made = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\0\x85C\x01btR"
    return b"\x80\x04" + made + b"(K\x01K" + bytes([count]) + b"\x85" + dtype + b"\x89" + data + b"tb."


EIGHT = b"C\x08AAAAAAAA"
FIELD = b"X\x01\0\0\0a\x85}X\x01\0\0\0a%sK%c\x86s"
LIES = {
    "objects that hide": array_of(dtype_of("O8", -1, flags=0), EIGHT),
    "objects as bytes": array_of(dtype_of("O8", -1, flags=63), EIGHT),
    "numbers that pretend": array_of(dtype_of("f8", -1, flags=63), EIGHT),
    "objects in a structure that hide": array_of(
        dtype_of("V8", 8, FIELD % (dtype_of("O8", -1, flags=63), 0), 16), EIGHT
    ),
    "a field outside": array_of(dtype_of("V8", 8, FIELD % (dtype_of("f8", -1), 8), 16), EIGHT),
    "another size": array_of(dtype_of("V8", 64, flags=16), EIGHT),
    "too few objects": array_of(dtype_of("O8", -1, flags=63), b"]"),
    "a type that changes": array_of(dtype_of("V8", 8) + b"(K\x03X\x01\0\0\0|NNNJ\x40\0\0\0K\x01K\0tb", EIGHT),
    "fields that change": array_of(
        dtype_of("V8", 8, FIELD.replace(b"}", b"}q\x01") % (dtype_of("f8", -1), 0), 16), EIGHT
    )[:-1]
    + b"h\x01X\x01\0\0\0a"
    + dtype_of("f8", -1)
    + b"K\x40\x86s0.",
    "a scalar of objects": b"\x80\x04cnumpy.core.multiarray\nscalar\n(" + dtype_of("O8", -1, flags=63) + EIGHT + b"tR.",
    "a buffer of objects": b"\x80\x04cnumpy.core.numeric\n_frombuffer\n("
    + EIGHT
    + dtype_of("O8", -1, flags=63)
    + b"K\x01\x85X\x01\0\0\0CtR.",
}


@pytest.mark.parametrize("lie", LIES)
def test_a_type_that_lies_about_itself(lie: str) -> None:
    assert look(LIES[lie]).verdict is Safety.MALFORMED


@pytest.mark.parametrize("code", ["f8", "V8"])
def test_the_true_types_of_these_lies_are_safe(code: str) -> None:
    assert look(array_of(dtype_of(code, 8), EIGHT)).verdict is Safety.SAFE


def test_numbers_that_joblib_takes_for_a_pickle() -> None:
    inner = b"\x80\x04X\x05\0\0\0posix\x94X\x06\0\0\0getpid\x94" + b"0h\0h\x01\x93)R."
    data = record(dtype_of(f"V{len(inner)}", len(inner), flags=63), (1,)) + inner + b"."
    assert pickle.loads(inner) == os.getpid()
    assert look(data).verdict is Safety.MALFORMED


def test_what_joblib_turns_must_be_an_array() -> None:
    inner = b"\x80\x04ctypes\nSimpleNamespace\n)\x81}X\x09\0\0\0transposeNsb."
    found = look(record(dtype_of("O8", -1, flags=63), (1,)) + inner + b".")
    assert found.verdict is Safety.MALFORMED


def test_a_record_of_an_array_that_reads_by_itself() -> None:
    honest = record(dtype_of("f8", -1), (1,)) + b"A" * 8 + b"."
    assert look(honest).verdict is Safety.SAFE
    assert look(record(dtype_of("f8", -1), (1,), read=1) + b"A" * 8 + b".").verdict is Safety.MALFORMED


def test_honest_numbers_of_joblib_are_hardly_ever_opcodes() -> None:
    rng = random.Random(7)
    verdicts = [look(joblib(np.frombuffer(rng.randbytes(64), "f4"), aligned=False)).verdict for _ in range(300)]
    assert verdicts.count(Safety.SAFE) >= 298


def test_a_small_file_that_holds_one_list_again_and_again() -> None:
    data = b"\x80\x02(lq\x01" + b"h\x01a" * 60_000 + b"."
    tracemalloc.start()
    found = look(data)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (found.verdict, found.weights) == (Safety.SAFE, None)
    assert found.failure is not None and "converted" in found.failure
    assert peak < 100 << 20


def test_a_persistent_id_with_an_object_for_a_place() -> None:
    place = b"ctypes\nSimpleNamespace\n)\x81"
    main = HONEST["a/data.pkl"].replace(b"X\x03\0\0\0cpu", place)
    assert look(zipped({**HONEST, "a/data.pkl": main})).verdict is Safety.MALFORMED
    asked = b"\x80\x02(X\x06\0\0\0module" + place + b"NNtQ."
    assert look(legacy(asked, {})).verdict is Safety.MALFORMED
