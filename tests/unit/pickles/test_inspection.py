"""Verdicts: every container, every kind of lie, and noise."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import pickle
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.pickles.files import EVIL, joblib, legacy, tensor, torch_tar
from twinloop.pickles import Blob, Kind, Policy, TensorRef
from twinloop.pickles.budget import Limits
from twinloop.pickles.inspection import Inspection, Safety, inspect_blob

THREE = np.array([1.5, -2.0, 3.25], dtype=np.float32)
LEGACY = legacy(b"\x80\x02}X\x01\0\0\0w" + tensor("7", "Float", 3) + b"s.", {"7": THREE})


def look(data: bytes, allowed: frozenset[str] = frozenset(), limits: Limits = Limits()) -> Inspection:  # noqa: B008
    return inspect_blob(Blob("model", data=data), Policy(allowed), limits)


def zipped(entries: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", method) as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    return made.getvalue()


TORCH_ZIP = zipped(
    {"a/data.pkl": b"\x80\x02}X\x01\0\0\0w" + tensor("0", "Float", 3) + b"s.", "a/data/0": THREE.tobytes()}
)


def weight(found: Inspection, name: str = "w") -> np.ndarray:
    assert found.weights is not None
    value = found.weights.tensors[name]
    return value.stored() if isinstance(value, TensorRef) else value


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (TORCH_ZIP, Kind.TORCH_ZIP),
        (LEGACY, Kind.TORCH_LEGACY),
        (torch_tar(THREE), Kind.TORCH_TAR),
        (pickle.dumps({"w": THREE}, 4), Kind.PICKLE),
        (pickle.dumps({"w": THREE}, 0), Kind.PICKLE),
        (pickle.dumps({"w": THREE}, 5), Kind.PICKLE),
        (joblib(THREE), Kind.PICKLE),
        (joblib(THREE, aligned=False), Kind.PICKLE),
        (gzip.compress(joblib(THREE)), Kind.COMPRESSED),
        (zlib.compress(joblib(THREE, aligned=False)), Kind.COMPRESSED),
        (bz2.compress(joblib(THREE)), Kind.COMPRESSED),
        (lzma.compress(joblib(THREE)), Kind.COMPRESSED),
    ],
)
def test_every_container_is_read_bit_for_bit(data: bytes, kind: Kind) -> None:
    found = look(data)
    assert (found.verdict, found.kind, found.findings) == (Safety.SAFE, kind, ())
    assert weight(found).tobytes() == THREE.tobytes()


def test_arrays_of_joblib_keep_shape_and_order() -> None:
    array = np.asfortranarray(np.arange(6.0).reshape(2, 3))
    assert np.array_equal(weight(look(joblib(array))), array)


@pytest.mark.parametrize("protocol", range(6))
def test_arrays_of_every_protocol_keep_shape_order_and_type(protocol: int) -> None:
    for array in (
        np.arange(6.0).reshape(2, 3),
        np.asfortranarray(np.arange(6, dtype=">i4").reshape(2, 3)),
        np.zeros((0, 2), np.float16),
    ):
        found = look(pickle.dumps({"w": array}, protocol))
        assert found.verdict is Safety.SAFE
        assert np.array_equal(weight(found), array) and weight(found).dtype == array.dtype


def test_an_array_of_objects_in_joblib_is_a_pickle_that_is_read_too() -> None:
    data = joblib(np.array([1, None], dtype=object))
    assert look(data).verdict is Safety.SAFE
    start = data.index(b"\x80\x02cnumpy")
    found = look(data[:start] + EVIL + b"s.")
    assert ("posix.system", "an array of objects") in [(f.name, f.place) for f in found.findings]


@pytest.mark.parametrize(
    "data",
    [
        EVIL,
        b"\x80\x04\x95" + len(EVIL).to_bytes(8, "little") + EVIL,
        EVIL[:-1] + b"\xff\xff damaged behind the deed",
        pickle.dumps([1]) + EVIL,
        legacy(EVIL, {}),
        zipped({"a/data.pkl": EVIL}),
        zipped({"a/data.pkl": pickle.dumps({}), "a/other.pkl": EVIL}),
        zipped({"readme.txt": b"x", "sub/model.pkl": EVIL}, zipfile.ZIP_DEFLATED),
        gzip.compress(EVIL),
        pickle.dumps({"nested": 1}, 3)[:-1]
        + b"ctorch.storage\n_load_from_bytes\n("
        + pickle.dumps(legacy(EVIL, {}), 3)[2:-1]
        + b"tR.",
    ],
    ids=["bare", "framed", "damaged", "second", "legacy", "zip", "hidden", "plain zip", "gzip", "nested"],
)
def test_what_acts_is_dangerous_wherever_it_lies(data: bytes) -> None:
    found = look(data)
    assert found.verdict is Safety.DANGEROUS
    assert "posix.system" in [finding.name for finding in found.findings]
    assert all(finding.offset is not None for finding in found.findings if finding.verdict is Safety.DANGEROUS)


def test_a_plain_pickle_of_torch_tensors() -> None:
    torch = pytest.importorskip("torch")
    state = {"a": torch.arange(4.0).to(torch.bfloat16), "b": torch.nn.Parameter(torch.ones(2, 3))}
    found = look(pickle.dumps(state, 2))
    assert found.verdict is Safety.SAFE
    assert weight(found, "a").tobytes() == state["a"].view(torch.uint16).numpy().tobytes()
    assert weight(found, "b").shape == (2, 3)


def test_unknown_classes_are_named_and_can_be_allowed() -> None:
    data = b"\x80\x02cfoo.bar\nNet\n)\x81}X\x01\0\0\0wNsb."
    found = look(data)
    assert (found.verdict, found.findings[0].name, found.findings[0].offset) == (Safety.UNKNOWN, "foo.bar.Net", 2)
    assert look(data, frozenset({"foo.bar.Net"})).verdict is Safety.SAFE
    assert look(data, frozenset({"foo.bar"})).verdict is Safety.UNKNOWN


def test_names_are_exact_never_prefixes() -> None:
    assert look(b"\x80\x02ctorch.nn.modules.conv\nConv2d\n)\x81.").verdict is Safety.SAFE
    assert look(b"\x80\x02ctorch.nn.modules.conv\nConv2dx\n)\x81.").verdict is Safety.UNKNOWN
    assert look(b"\x80\x02ctorch.nn.modules.conv.evil\nConv2d\n)\x81.").verdict is Safety.UNKNOWN


def test_allowing_lifts_no_refusal() -> None:
    assert look(EVIL, frozenset({"posix.system"})).verdict is Safety.DANGEROUS


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (b"", "empty"),
        (b"  <!DOCTYPE html><html>", "web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "LFS"),
        (b"\x89PNG\r\n", "PNG"),
        (b"7z\xbc\xaf\x27\x1c", "7z"),
        (b"just words", "not a pickle"),
    ],
)
def test_other_things_under_a_models_name(data: bytes, word: str) -> None:
    found = look(data)
    assert (found.verdict, found.kind) == (Safety.NOT_A_MODEL, Kind.OTHER)
    assert word in found.findings[0].text


@pytest.mark.parametrize(
    "data",
    [
        TORCH_ZIP[: len(TORCH_ZIP) // 2],
        TORCH_ZIP + b"more",
        b"\0" + TORCH_ZIP[1:-22] + TORCH_ZIP[-22:],
        TORCH_ZIP.replace(THREE.tobytes(), THREE[::-1].tobytes()),
        LEGACY[:-1],
        LEGACY + b"x",
        torch_tar(THREE, claimed=4),
        joblib(THREE)[:-10],
        gzip.compress(joblib(THREE))[:-12],
        pickle.dumps({"w": THREE}, 4)[:-5],
        pickle.dumps([1], 4) + b"\0\0",
        b"\x80\x04\x95\xff\0\0\0\0\0\0\0N.",
        b"\x80\x04\x95\x02\0\0\0\0\0\0\0NX\x01\0\0\0a0.",
        b"\x80\x04\x95\x0a\0\0\0\0\0\0\0N\x95\x01\0\0\0\0\0\0\0.",
    ],
    ids=[
        "half",
        "tail",
        "first byte",
        "crc",
        "legacy cut",
        "legacy tail",
        "tar view",
        "joblib cut",
        "gzip cut",
        "cut",
        "trailing",
        "long frame",
        "straddled frame",
        "frame in frame",
    ],
)
def test_damage_and_lies(data: bytes) -> None:
    found = look(data)
    assert found.verdict in (Safety.MALFORMED, Safety.NOT_A_MODEL)
    assert found.weights is None


def test_a_zip_that_is_described_in_two_ways() -> None:
    local_name = TORCH_ZIP.replace(b"a/data/0", b"a/data/1", 1)
    assert "another name" in look(local_name).findings[0].text
    two_ends = TORCH_ZIP + TORCH_ZIP
    assert look(two_ends).verdict is Safety.MALFORMED
    slip = zipped({"a/data.pkl": pickle.dumps({}), "a/../../x": b""})
    assert "outside" in look(slip).findings[0].text
    double = zipped({"a/data.pkl": pickle.dumps({}), "a/xxxx.pkl": EVIL}).replace(b"a/xxxx.pkl", b"a/data.pkl")
    assert look(double).verdict is Safety.DANGEROUS


STATE = pickle.dumps({str(n): None for n in range(1000)}, 2)[2:-1]
BOMBS = {
    "copies": b"](" + b"N" * 5000 + b"e" + b"q\x000" + b"(" + b"cbuiltins\nset\nh\0\x85R" * 2000 + b"t.",
    "states": b"csomebody\nThing\n)\x81" + STATE + b"b" + b"}b" * 100 + b".",
    "opcodes": b"\x80\x02" + b"N0" * 60_000 + b"N.",
    "gzip": gzip.compress(bytes(10_000_000)),
    "deep": b"(" * 40_000 + b"t" * 40_000 + b".",
    "frozen": (b"(" * 3000 + b"\x91" * 3000) * 2 + b"\x86.",
    "shape": b"\x80\x02" + tensor("0", "Float", 3) + b".",
}
SMALL = Limits(opcodes=100_000, memory=4 << 20, size=4 << 20, seconds=20)


@pytest.mark.parametrize("name", BOMBS)
def test_bombs_stay_within_the_budget(name: str) -> None:
    found = look(BOMBS[name], limits=SMALL)
    assert found.weights is None


def test_the_memory_budget_counts_copies() -> None:
    for name in ("copies", "states"):
        assert any("makes values" in f.text for f in look(BOMBS[name], limits=SMALL).findings), name
    assert any("longer than any" in f.text for f in look(BOMBS["opcodes"], limits=SMALL).findings)
    assert any("unpacks to more" in f.text for f in look(BOMBS["gzip"], limits=SMALL).findings)


def test_the_time_budget() -> None:
    found = look(b"\x80\x02" + b"N0" * 20_000 + b"N.", limits=Limits(seconds=-1))
    assert "takes longer" in found.findings[0].text


def test_the_clock_is_looked_at_where_a_constructor_copies() -> None:
    """A few opcodes may copy for minutes."""
    late = Limits(seconds=-1)
    assert look(b"\x80\x02N.", limits=late).findings == ()
    assert "takes longer" in look(b"\x80\x02cbuiltins\nset\n)R.", limits=late).findings[0].text


WHOLE = [
    TORCH_ZIP,
    LEGACY,
    torch_tar(THREE),
    joblib(THREE),
    pickle.dumps({"w": THREE, "s": {1, (2, "x")}}, 4),
    gzip.compress(EVIL),
]


@given(data=st.binary(max_size=300))
@settings(max_examples=150, deadline=None)
def test_noise_never_raises(data: bytes) -> None:
    assert look(data, limits=SMALL).verdict in Safety


@given(
    which=st.sampled_from(WHOLE),
    changes=st.lists(st.tuples(st.integers(0, 1 << 20), st.integers(0, 255)), min_size=1, max_size=4),
    cut=st.none() | st.integers(0, 1 << 20),
)
@settings(max_examples=300, deadline=None)
def test_mutated_files_never_raise(which: bytes, changes: list[tuple[int, int]], cut: int | None) -> None:
    data = bytearray(which)
    for position, byte in changes:
        data[position % len(data)] = byte
    found = look(bytes(data[: None if cut is None else cut % len(data)]), limits=SMALL)
    for value in found.weights.tensors.values() if found.weights else ():
        assert isinstance(value, np.ndarray) or value.stored().shape == value.shape


OPCODES = [bytes([code]) for code in b"(.0123]}).\x85\x86\x87\x88\x89\x8f\x90\x91\x93\x94NtleubsaoRhd\x81\x92Q"]
SNIPPETS = [
    b"K\x01",
    b"X\x01\0\0\0a",
    b"h\0",
    b"q\0",
    b"C\x02ab",
    b"ctorch\nFloatStorage\n",
    b"cfoo\nBar\n",
    b"cbuiltins\nset\n",
    b"cnumpy\ndtype\n",
    b"cnumpy.core.multiarray\n_reconstruct\n",
    b"ctorch._utils\n_rebuild_tensor_v2\n",
    b"cbuiltins\ngetattr\n",
    b"ccollections\nOrderedDict\n",
    b"c_codecs\nencode\n",
    b"X\x02\0\0\0f4",
]


@given(pieces=st.lists(st.sampled_from([*OPCODES, *SNIPPETS]), max_size=40))
@settings(max_examples=300, deadline=None)
def test_any_order_of_opcodes_never_raises(pieces: list[bytes]) -> None:
    assert look(b"\x80\x02" + b"".join(pieces) + b".", limits=SMALL).verdict in Safety


MALICIOUS_ELSEWHERE = {"malicious1.7z": Safety.NOT_A_MODEL}
BENIGN = {
    "benign0_v3.pkl": Safety.SAFE,
    "pytorch_model.bin": Safety.SAFE,
    "benign_password_protected.zip": Safety.MALFORMED,
    "bad_pytorch.pt": Safety.NOT_A_MODEL,
    "not_a_pickle.bin": Safety.NOT_A_MODEL,
    "SOURCES.md": Safety.NOT_A_MODEL,
}


def test_the_collected_files(fixtures: Path) -> None:
    wanted, got = {}, {}
    for path in sorted((fixtures / "pickles" / "picklescan").iterdir()):
        wanted[path.name] = {**BENIGN, **MALICIOUS_ELSEWHERE}.get(path.name, Safety.DANGEROUS)
        got[path.name] = inspect_blob(Blob(path.name, path)).verdict
    assert got == wanted
    assert list(wanted.values()).count(Safety.DANGEROUS) == 17
