"""Files that mean one thing to the reader they were made to please and another to ``pickle.load``, and constructors
that act.
"""

from __future__ import annotations

import gzip
import io
import os
import pickle
import tarfile

import numpy as np
import pytest
import safetensors.numpy

from tests.unit.pickles.disguises import GETPID, dtype_of, look, polyglot, record
from tests.unit.pickles.files import torch_tar
from twinloop.pickles.inspection import Safety


def called(module: str, name: str, *args: object) -> bytes:
    return b"\x80\x02c" + f"{module}\n{name}\n".encode() + pickle.dumps(args, 2)[2:-1] + b"R."


@pytest.mark.parametrize(
    ("module", "name", "args"),
    [
        ("models.yolo", "Model", ({"backbone": [[-1, 1, "__import__('os').system('id')", []]], "head": []},)),
        ("ultralytics.nn.tasks", "DetectionModel", ({"activation": "__import__('os').system('id')"},)),
        ("torch.nn.modules.container", "Sequential", ([1],)),
    ],
)
def test_a_constructor_of_a_known_class_is_not_called_with_the_files_data(
    module: str, name: str, args: tuple[object, ...]
) -> None:
    found = look(called(module, name, *args))
    assert (found.verdict, [finding.name for finding in found.findings]) == (Safety.DANGEROUS, [f"{module}.{name}"])


@pytest.mark.parametrize(
    "data",
    [
        called("torch", "Size", (1, 2)),
        called("torch", "device", "cpu"),
        called("torchvision.transforms.functional", "InterpolationMode", "bilinear"),
        called("ultralytics.utils", "IterableSimpleNamespace"),
        b"\x80\x02cmodels.yolo\nModel\n)\x81}X\x02\0\0\0ncK\x01sb.",  # an instance that is not constructed
        b"ccopy_reg\n_reconstructor\n(cmodels.yolo\nModel\nc__builtin__\nobject\nNtR(dS'nc'\nI1\nsb.",
    ],
)
def test_values_and_instances_that_are_not_constructed_are_data(data: bytes) -> None:
    assert look(data).verdict is Safety.SAFE


def test_an_instance_of_another_base_runs_its_constructor() -> None:
    found = look(b"ccopy_reg\n_reconstructor\n(cmodels.yolo\nModel\ncmodels.yolo\nModel\n(dtR.")
    assert found.verdict is Safety.DANGEROUS


@pytest.mark.parametrize("packed", [False, True])
def test_numbers_that_are_opcodes_to_a_plain_reader(packed: bool) -> None:
    numbers = GETPID + b"." * (-len(GETPID) % 8)
    data = record(dtype_of("f8", -1), (len(numbers) // 8,)) + numbers + b"."
    found = look(gzip.compress(data) if packed else data)
    assert (found.verdict, [finding.name for finding in found.findings]) == (Safety.DANGEROUS, ["posix.getpid"])


def test_a_structure_that_holds_objects_is_a_pickle_too() -> None:
    inner = b"\x80\x02}X\x01\0\0\0a" + dtype_of("O8", -1, flags=63) + b"K\0\x86s"
    fields = b"X\x01\0\0\0a\x85" + inner[2:]
    found = look(record(dtype_of("V8", 8, fields, 27), (1,)) + GETPID + b".")
    assert "posix.getpid" in [finding.name for finding in found.findings]
    assert found.verdict is Safety.DANGEROUS


@pytest.mark.parametrize(
    "data",
    [
        record(dtype_of("S5", 10), (1,)) + b"\0" * 10 + b".",
        record(dtype_of("f8", -1), (1,), numpy_array_alignment_bytes="x") + b"\0" * 8 + b".",
    ],
)
def test_an_array_whose_length_two_readers_tell_otherwise(data: bytes) -> None:
    assert look(data).verdict is Safety.MALFORMED


def test_safetensors_that_are_a_pickle_too() -> None:
    data = polyglot()
    assert safetensors.numpy.load(data).keys() and pickle.loads(data) == os.getpid()
    found = look(data)
    assert (found.verdict, [finding.name for finding in found.findings]) == (Safety.DANGEROUS, ["posix.getpid"])


def test_honest_safetensors_are_safe_whatever_the_length_of_their_header() -> None:
    for length in range(1, 300):
        made = safetensors.numpy.save({"a" * length: np.arange(4.0)}, {"note": "c" * length})
        assert look(made).findings == ()


def test_a_tar_that_is_a_pickle_too() -> None:
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        archive.addfile(tarfile.TarInfo(GETPID.decode()))
        with tarfile.open(fileobj=io.BytesIO(torch_tar(np.zeros(3, np.float32)))) as honest:
            for member in honest.getmembers():
                archive.addfile(member, honest.extractfile(member))
    assert pickle.loads(whole.getvalue()) == os.getpid()
    found = look(whole.getvalue())
    assert found.verdict is Safety.DANGEROUS and "posix.getpid" in [finding.name for finding in found.findings]
