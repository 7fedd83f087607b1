"""The tagger reads colours as it should and says general tags alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.helpers.captioner_models import build_tagger
from tests.unit.adapters.coloured import coloured
from twinloop.adapters.captioners.wd14 import WdTagger, read_tags
from twinloop.errors import ModelFileError


def test_colours_are_not_swapped_and_ratings_and_characters_are_left_out(tmp_path: Path) -> None:
    tagger = WdTagger(build_tagger(tmp_path / "m"))
    assert tagger.caption(coloured(255, 0, 0)).tags == ("red shirt", "blonde hair")
    assert tagger.caption(coloured(0, 0, 255)).tags == ("blue shirt", "blonde hair")


def test_a_long_picture_is_padded_with_white_not_stretched(tmp_path: Path) -> None:
    """Half of the square is white, and white has as much blue as red."""
    tagger = WdTagger(build_tagger(tmp_path / "m"), threshold=0.99)
    assert tagger.caption(coloured(255, 0, 0)).tags == ("red shirt",)
    assert tagger.caption(np.repeat(coloured(255, 0, 0), 10, axis=0)).tags == ()


def test_the_threshold_counts(tmp_path: Path) -> None:
    folder = build_tagger(tmp_path / "m")
    assert "dim light" in WdTagger(folder, threshold=0.001).caption(coloured(255, 0, 0)).tags
    assert WdTagger(folder, 0.5).fingerprint != WdTagger(folder, 0.4).fingerprint


@pytest.mark.parametrize(
    "data", [b"", b"a,b\n1,2\n", b"tag_id,name,category,count\n", b"tag_id,name,category\n1,x,many\n", b"\xff\xfe\x00"]
)
def test_a_table_that_is_none(data: bytes) -> None:
    with pytest.raises(ModelFileError, match="tags"):
        read_tags(data, "selected_tags.csv")


def test_a_table_of_another_model(tmp_path: Path) -> None:
    folder = build_tagger(tmp_path / "m")
    (folder / "selected_tags.csv").write_text("tag_id,name,category,count\n1,hat,0,1\n")
    with pytest.raises(ModelFileError, match=r"6 scores, but .* 1 tags"):
        WdTagger(folder).caption(coloured(1, 2, 3))


def test_faces_of_signs_keep_their_underscore(tmp_path: Path) -> None:
    folder = build_tagger(tmp_path / "m")
    table = folder / "selected_tags.csv"
    table.write_text(table.read_text().replace("blonde_hair", "^_^"))
    assert "^_^" in WdTagger(folder).caption(coloured(255, 0, 0)).tags
