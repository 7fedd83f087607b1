"""What is said of the pictures that were made."""

from __future__ import annotations

from dataclasses import replace

from tests.unit.stages.vault.makers import captioned
from twinloop.cli.vault.findings import left_out_lines, not_tags_lines, several_faces_lines
from twinloop.domain.vault import Label, Person
from twinloop.stages.vault.dataset.caption import BESIDE, CaptionOptions, Captions
from twinloop.stages.vault.dataset.choose import LeftOut
from twinloop.stages.vault.dataset.cut import CutOptions


def test_where_the_rest_of_a_long_list_stands_is_said() -> None:
    photo = captioned(1, 0).cut.photo
    lines = left_out_lines([LeftOut(photo, "blurred", "blurred")] * 12)
    assert lines[0] == "Left out: 12" and len(lines) == 12 and lines[-1] == "  - and 2 more (--json lists all)"
    assert len(left_out_lines([LeftOut(photo, "blurred", "blurred")] * 10)) == 11


def test_pictures_with_several_faces_are_counted() -> None:
    one, sheet = captioned(1, 0), captioned(2, 0)
    crowd = replace(sheet, cut=replace(sheet.cut, window=replace(sheet.cut.window, others=3)))
    assert several_faces_lines([one, one]) == []
    (line,) = several_faces_lines([one, crowd])
    assert line.startswith("1 picture shows several faces.") and "save the single figures" in line
    assert several_faces_lines([crowd, crowd])[0].startswith("2 pictures show several faces.")


def test_own_captions_that_are_no_tags_are_counted_with_an_example() -> None:
    texts = ("ohwx, blue_hair, smile", "ohwx, red_hair, (hat:1.2)", "ohwx, blue hair, smile")
    own = [replace(captioned(number, 0), text=text, source=BESIDE) for number, text in enumerate(texts)]
    made = replace(captioned(9, 0), text="ohwx, score_9")
    label, options = Label("p001", "ohwx", "girl"), CaptionOptions(style="tags")
    found = Captions(Person("p001", None, ()), label, options, CutOptions(), (*own, made), (), ())
    (line,) = not_tags_lines(found)
    assert line.startswith("Note: 2 of 3 captions of your own are not in the form of tags")
    assert "underscores in 2 (such as 'blue_hair'), weights in 1 (such as '(hat:1.2)')" in line
    assert not_tags_lines(replace(found, options=CaptionOptions(style="prose"))) == []
    assert not_tags_lines(replace(found, captions=(own[2], made))) == []
