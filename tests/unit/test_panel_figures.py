"""What a run says of a LoRA on the panel."""

from __future__ import annotations

from dataclasses import replace

from tests.unit.things import score
from twinloop.steps.panels import figures


def test_no_likeness_is_told_of_images_without_a_face() -> None:
    found = score(1, on_target=[0.0, 1.0], identity=[0.0, 0.5], overall=[0.0, 0.75])
    assert figures(found) == ["on-target rate 50.0%", "identity 0.250", "overall score 0.375"]
    some = replace(found, no_face=[True, False])
    assert figures(some) == [*figures(found), "no face in 1 of 2 images"]
    none = replace(found, no_face=[True, True])
    assert figures(none)[1:] == ["overall score 0.375", "identity not measured", "no face in 2 of 2 images"]
