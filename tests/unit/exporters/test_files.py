"""Bytes of pictures, drafts of Live2D expressions, sheets."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
from PIL import Image

from twinloop.errors import InputError
from twinloop.exporters.encode import jpeg, png
from twinloop.exporters.live2d import DRAFTS, exp3, exp3_bytes
from twinloop.exporters.sheet import EMPTY, GROUND, Cell, draw_sheet
from twinloop.facets import expression
from twinloop.store.pictures.provenance import is_marked_synthetic

NOISE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8))


@pytest.mark.parametrize("encode", [jpeg, png])
def test_the_mark_goes_along_and_only_where_it_belongs(encode: object) -> None:
    assert callable(encode)
    assert is_marked_synthetic(encode(NOISE, True))
    real = encode(NOISE, False)
    assert not is_marked_synthetic(real) and b"xmp" not in real.lower()
    assert encode(NOISE, True) == encode(NOISE, True)
    assert Image.open(io.BytesIO(real)).size == (64, 64)


def test_a_jpeg_is_made_smaller_until_it_fits_or_refused() -> None:
    full = jpeg(NOISE, False)
    assert len(jpeg(NOISE, False, len(full) - 1)) < len(full)
    with pytest.raises(InputError, match="does not fit into 10 bytes"):
        jpeg(NOISE, False, 10)


def test_drafts_have_the_form_of_exp3() -> None:
    """The format: Live2D Cubism SDK, "exp3.json"."""
    assert set(DRAFTS) == set(expression.VALUES)
    for name in DRAFTS:
        data = json.loads(exp3_bytes(name) or b"")
        assert data == exp3(name)
        assert set(data) == {"Type", "FadeInTime", "FadeOutTime", "Parameters"}
        assert data["Type"] == "Live2D Expression"
        assert isinstance(data["FadeInTime"], float) and isinstance(data["FadeOutTime"], float)
        ids = [parameter["Id"] for parameter in data["Parameters"]]
        assert len(set(ids)) == len(ids) and bool(ids) == (name != "neutral")
        for parameter in data["Parameters"]:
            assert set(parameter) == {"Id", "Value", "Blend"}
            assert parameter["Id"].startswith("Param") and parameter["Id"].isalnum()
            assert isinstance(parameter["Value"], float) and -1 <= parameter["Value"] <= 1
            assert parameter["Blend"] in ("Add", "Overwrite")  # VTube Studio ignores Multiply
    assert exp3("bored") is None and exp3_bytes("bored") is None


def test_a_sheet_has_a_cell_for_each_in_the_order_given() -> None:
    red, blue = (Image.new("RGBA", (256, 256), ink) for ink in ((200, 0, 0, 255), (0, 0, 200, 255)))
    cells = [
        Cell("A", ("one",), red),
        Cell("B", ("none of 12 usable photos shows it.",), None),
        Cell("C", (), blue, True),
    ]
    sheet = draw_sheet("Title", "Footer", cells, 256)
    middle = 256 // 6 + 20
    inside = [sheet.getpixel((16 + 128 + n * (256 + 16), middle)) for n in range(3)]
    assert inside == [(200, 0, 0), EMPTY, (0, 0, 200)]
    assert sheet.getpixel((2, sheet.height // 2)) == GROUND
    assert sheet.width == 3 * 256 + 4 * 16


def test_many_cells_go_into_rows_of_equal_length() -> None:
    one = draw_sheet("T", "F", [Cell("A", (), None)] * 5, 256)
    two = draw_sheet("T", "F", [Cell("A", (), None)] * 6, 256)
    assert two.width == 3 * 256 + 4 * 16 < one.width
    assert two.height > one.height


def test_long_texts_stay_in_their_cell() -> None:
    """Nothing is drawn over the border of an empty cell, however long its reason is."""
    words = "a reason that goes on and on about what was wanted and not found here" * 2
    sheet = np.asarray(draw_sheet("T", "F", [Cell("A", (words,), None), Cell("B", (), None)], 256))
    between = sheet[256 // 6 : 256 // 6 + 256, 16 + 256 : 16 + 256 + 16]
    assert (between == np.array(GROUND)).all()
