"""Large, looped and unusual values of honest files: harmless to load, whether or not there is something to convert."""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.helpers.pickle_reading import read_pickle
from tests.unit.pickles.disguises import GETPID, look
from tests.unit.pickles.files import joblib, legacy, tensor
from twinloop.cli.inspect_text import report_lines
from twinloop.pickles import Policy, TensorRef
from twinloop.pickles.inspection import Safety
from twinloop.pickles.weights import weights_of
from twinloop.stages.model_files.inspect import inspect_file


def nested(depth: int) -> list[Any]:
    made: list[Any] = []
    for _ in range(depth):
        made = [made]
    return made


def family() -> dict[str, Any]:
    parent: dict[str, Any] = {}
    parent["child"] = {"parent": parent}
    return parent


PAIRS = 210_000


def test_many_plain_entries_beside_the_weights() -> None:
    value = {"w": np.arange(3.0), "index": {f"word {n}": n for n in range(250_000)}}
    found = look(pickle.dumps(value, 4))
    assert found.verdict is Safety.SAFE and found.failure is None
    assert found.weights is not None and list(found.weights.tensors) == ["w"]


@pytest.mark.parametrize(
    "value", [nested(80), family(), [(n, "a") for n in range(PAIRS)]], ids=["deep", "loop", "pairs"]
)
def test_what_cannot_be_converted_is_harmless_all_the_same(value: object, tmp_path: Path) -> None:
    path = tmp_path / "model.pkl"
    path.write_bytes(pickle.dumps(value, 4))
    seen, wanted = inspect_file(path, Policy()), inspect_file(path, Policy(), convert=True)
    assert (seen.verdict, seen.failure) == (Safety.SAFE, None)
    assert wanted.failure is not None and "cannot be converted" in wanted.failure
    assert any("Loading it is harmless" in line for line in report_lines(seen, False))


@pytest.mark.parametrize("acts", [False, True])
def test_a_torch_tensor_before_the_numbers_of_joblib(acts: bool) -> None:
    storage = legacy(
        b"\x80\x02" + tensor("0", "Float", 3).split(b"(", 1)[1].split(b"Q", 1)[0] + b"Q.", {"0": np.zeros(3, "f4")}
    )
    inner = b"ctorch.storage\n_load_from_bytes\nB" + len(storage).to_bytes(4, "little") + storage + b"\x85R"
    assert look(b"\x80\x03" + inner + b".").verdict is Safety.SAFE
    array = joblib(np.frombuffer(b"0" + GETPID if acts else b"\xff" * 20, "u1"), aligned=False)
    found = look(b"\x80\x03" + inner + b"0" + array[2:])
    assert found.verdict is (Safety.DANGEROUS if acts else Safety.SAFE)


def saved(torch: Any, value: object, old: bool) -> bytes:
    made = io.BytesIO()
    torch.save(value, made, _use_new_zipfile_serialization=not old)
    return made.getvalue()


@pytest.mark.filterwarnings("ignore:torch.quantize", "ignore:ComplexHalf")
@pytest.mark.parametrize("old", [False, True])
def test_unusual_tensors_of_torch(old: bool) -> None:
    torch = pytest.importorskip("torch")
    values = {
        "expanded": torch.arange(5.0).reshape(1, 5).expand(4, 5),
        "quantised": torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8),
        "by channel": torch.quantize_per_channel(torch.ones(2, 2), torch.ones(2), torch.zeros(2), 0, torch.quint8),
        "half complex": torch.zeros(2, dtype=torch.complex32),
    }
    for name, value in values.items():
        assert look(saved(torch, {"a": value}, old)).findings == (), name
    found = look(saved(torch, values, old)).weights
    assert found is not None
    expanded = found.tensors["expanded"]
    assert isinstance(expanded, TensorRef)
    assert np.array_equal(expanded.numpy(), np.arange(5.0).reshape(1, 5).repeat(4, 0))


def test_a_tensor_that_repeats_one_number_is_not_made(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    path = tmp_path / "model.pt"
    torch.save({"a": torch.zeros(1).expand(1 << 30)}, path)
    report = inspect_file(path, Policy(), convert=True)
    assert report.verdict is Safety.SAFE
    assert report.failure is not None and "repeat the same numbers" in report.failure


def test_a_quantised_tensor_outside_of_its_storage() -> None:
    torch = pytest.importorskip("torch")
    data = saved(torch, torch.quantize_per_tensor(torch.ones(7), 0.1, 0, torch.qint8), old=True)
    assert look(data).verdict is Safety.SAFE
    assert look(data.replace(b"K\x00K\x07\x85", b"K\x00K\x09\x85")).verdict is Safety.MALFORMED


def test_single_numbers_of_numpy_are_facts_of_a_model() -> None:
    value = {"w": np.arange(3.0), "epoch": np.int64(3), "version": np.str_("8.1")}
    assert weights_of(read_pickle(pickle.dumps(value, 4)).value).facts == {"epoch": 3, "version": "8.1"}


def test_a_file_that_names_thousands_of_classes_is_answered_in_a_few_lines(tmp_path: Path) -> None:
    path = tmp_path / "model.pkl"
    path.write_bytes(b"\x80\x03" + b"".join(b"cfoo%d\nBar\n0" % number for number in range(5000)) + b"N.")
    lines = list(report_lines(inspect_file(path, Policy()), False))
    assert len(lines) < 20 and sum(map(len, lines)) < 3000
    assert "--allow foo0.Bar" in lines[-1] and "4988 more" in lines[-1]
