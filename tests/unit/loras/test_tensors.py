"""Bits and numbers: conversions agree with PyTorch's."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twinloop.errors import ModelFileError
from twinloop.loras.tensors import RawTensor, alpha_tensor, encode, widest


def test_bfloat16_rounds_to_nearest_even() -> None:
    half_way = np.array([1.00390625, 1.01171875, 1.0039064, -1.00390625, 0.0])
    assert encode(half_way, "BF16").values().tolist() == [1.0, 1.015625, 1.0078125, -1.0, 0.0]


@given(st.lists(st.floats(-(2.0**99), 2.0**99, width=32), min_size=1, max_size=20))
def test_what_is_stored_comes_back(numbers: list[float]) -> None:
    values = np.array(numbers)
    assert np.array_equal(encode(values, "F32").values(), values)
    short = encode(values, "BF16").values()
    assert np.array_equal(encode(short, "BF16").values(), short)
    assert np.all(np.abs(short - values) <= np.abs(values) * 2**-8 + 1e-37)


def test_narrow_types_agree_with_torch() -> None:
    torch = pytest.importorskip("torch")
    codes = np.arange(256, dtype=np.uint8)
    for name, own in (("F8_E4M3", torch.float8_e4m3fn), ("F8_E5M2", torch.float8_e5m2)):
        theirs = torch.from_numpy(codes).view(own).to(torch.float64).numpy()
        assert np.array_equal(RawTensor(name, codes).values(), theirs, equal_nan=True)
    values = np.random.default_rng(0).normal(size=4000) * 10.0 ** np.random.default_rng(1).integers(-30, 30, 4000)
    theirs = torch.from_numpy(values).to(torch.float32).to(torch.bfloat16).view(torch.uint16).numpy()
    assert np.array_equal(encode(values, "BF16").bits, theirs)


@pytest.mark.parametrize(
    ("alpha", "weights", "kept"),
    [
        (16.0, "F16", "F16"),
        (16.0, "BF16", "BF16"),
        (16.0, "F32", "F32"),
        (16.0, "F64", "F64"),
        (65_504.0, "F16", "F16"),
        (65_505.0, "F16", "F32"),
        (70_000.0, "F16", "F32"),
        (0.1, "F16", "F32"),
        (257.0, "BF16", "F32"),
        (1.0, "F8_E4M3", "F32"),
    ],
)
def test_an_alpha_is_kept_in_a_type_that_holds_it(alpha: float, weights: str, kept: str) -> None:
    tensor = alpha_tensor(alpha, weights)
    assert (tensor.dtype, tensor.shape, float(tensor.values())) == (kept, (), pytest.approx(alpha, rel=1e-7))


def test_not_a_number_stays_one() -> None:
    assert np.isnan(encode(np.array([np.nan, -np.nan]), "BF16").values()).all()


def test_whole_numbers_are_no_weights() -> None:
    with pytest.raises(ModelFileError, match="not a float"):
        RawTensor("I32", np.zeros(3, np.int32)).values()


@pytest.mark.parametrize(
    ("dtypes", "wanted"),
    [
        (["F16"], "F16"),
        (["BF16", "BF16"], "BF16"),
        (["F16", "BF16"], "F32"),
        (["F16", "F32"], "F32"),
        (["F8_E4M3"], "F16"),
        (["F64", "F16"], "F64"),
    ],
)
def test_the_type_that_holds_both(dtypes: list[str], wanted: str) -> None:
    assert widest(dtypes) == wanted
