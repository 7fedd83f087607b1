"""Single files in "scaled fp8": told by their headers."""

from __future__ import annotations

import pytest

from twinloop.families.scaled_weights import can_be_unscaled, factor_of, is_beside, is_scaled
from twinloop.families.single_files import Header

Tensors = dict[str, tuple[str, tuple[int, ...]]]


def header(tensors: Tensors) -> Header:
    shapes, types = ({name: entry[which] for name, entry in tensors.items()} for which in (1, 0))
    return Header(shapes, {}, 0, types)  # type: ignore[arg-type]


WEIGHT: Tensors = {"a.weight": ("F8_E4M3", (6, 4)), "a.bias": ("F32", (6,)), "b.weight": ("BF16", (6, 4))}
READ: dict[str, Tensors] = {
    "older": {
        **WEIGHT,
        "a.scale_weight": ("F32", (1,)),
        "a.scale_input": ("F32", (1,)),
        "scaled_fp8": ("F8_E4M3", (2,)),
    },
    "newer": {**WEIGHT, "a.weight_scale": ("F32", ()), "a.comfy_quant": ("U8", (27,))},
    "other 8 bits": {"a.weight": ("F8_E5M2", (6, 4)), "a.weight_scale": ("F32", (1, 1))},
    "by row": {**WEIGHT, "a.weight_scale": ("F32", (6, 1))},
}
REFUSED: dict[str, Tensors] = {
    "a factor for each of the columns": {**WEIGHT, "a.weight_scale": ("F32", (4,))},
    "MXFP8": {**WEIGHT, "a.weight_scale": ("U8", (6, 1, 32)), "a.comfy_quant": ("U8", (20,))},
    "NVFP4": {"a.weight": ("U8", (6, 2)), "a.weight_scale": ("F8_E4M3", (6, 1)), "a.weight_scale_2": ("F32", ())},
    "int8": {"a.weight": ("I8", (6, 4)), "a.weight_scale": ("F32", ()), "a.comfy_quant": ("U8", (20,))},
    "other factors": {"a.weight": ("I8", (6, 4)), "a.weight_s_rel": ("F32", ()), "a.comfy_quant": ("U8", (9,))},
    "a factor of nothing": {"a.weight_scale": ("F32", ())},
}  # fmt: skip


@pytest.mark.parametrize("what", READ)
def test_a_factor_for_a_weight_or_for_its_rows_is_read(what: str) -> None:
    assert is_scaled(header(READ[what])) and can_be_unscaled(header(READ[what]))


@pytest.mark.parametrize("what", REFUSED)
def test_other_forms_are_not(what: str) -> None:
    assert is_scaled(header(REFUSED[what])) and not can_be_unscaled(header(REFUSED[what]))


def test_plain_weights_have_no_factors() -> None:
    assert not is_scaled(header(WEIGHT)) and factor_of("a.weight", WEIGHT) == ""


def test_what_lies_beside_the_weights() -> None:
    held = READ["older"] | READ["newer"]
    assert {name for name in held if not is_beside(name)} == WEIGHT.keys()
    assert {name: factor_of(name, READ["newer"]) for name in WEIGHT} == {
        "a.weight": "a.weight_scale", "a.bias": "", "b.weight": "",
    }  # fmt: skip
    assert is_beside("model.diffusion_model.scaled_fp8")
