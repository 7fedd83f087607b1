"""What is said of the pictures that were made."""

from __future__ import annotations

from dataclasses import replace

from tests.unit.stages.vault.makers import captioned
from twinloop.cli.vault.findings import several_faces_lines


def test_pictures_with_several_faces_are_counted() -> None:
    one, sheet = captioned(1, 0), captioned(2, 0)
    crowd = replace(sheet, cut=replace(sheet.cut, window=replace(sheet.cut.window, others=3)))
    assert several_faces_lines([one, one]) == []
    (line,) = several_faces_lines([one, crowd])
    assert line.startswith("1 picture shows several faces.") and "save the single figures" in line
    assert several_faces_lines([crowd, crowd])[0].startswith("2 pictures show several faces.")
