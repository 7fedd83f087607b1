"""Results as text."""

from __future__ import annotations

from pathlib import Path

import pytest

from twinloop.cli.nano import section_lines
from twinloop.cli.tables import analysis_lines, columns, validation_lines
from twinloop.cli.validate import unsure_beside
from twinloop.domain.shots import Gap
from twinloop.stages.analyze import Analysis, FacetCount, ValueCount
from twinloop.stages.validate import Tally


def test_columns_are_aligned() -> None:
    assert columns([("a", "1"), ("long", "100")], right=(1,)) == ["a       1", "long  100"]
    assert columns([("a\nb", "1"), ("\x1b[2J", "2")]) == ["a\\nb     1", "\\x1b[2J  2"], "each on its line"


def test_the_summary_of_a_validation() -> None:
    assert validation_lines(Tally(42, 8, 0, 0.82)) == [
        "Validation Complete",
        "─────────────────────",
        "Approved: 42 (84.0%)",
        "Rejected: 8",
        "Avg Quality: 0.82",
    ]
    assert validation_lines(Tally(1, 1, 2, 0.5))[2:5] == ["Approved: 1 (25.0%)", "Rejected: 1", "Unsure: 2"]
    assert "Rejected: 8 (3 of them early, before they were finished)" in validation_lines(
        Tally(42, 8, 0, 0.82, early=3)
    )
    assert "Approved: 0 (0.0%)" in validation_lines(Tally(0, 0, 0, 0.0))


def test_an_analysis_as_a_table() -> None:
    angle = FacetCount(
        "face_angle", (ValueCount("front", 9, 10, 0.3), ValueCount("profile", 1, 10, 0.2)), 10, 2, "some"
    )
    hands = FacetCount(
        "composition",
        (ValueCount("hands_visible", 0, 0, 0.3), ValueCount("eyes_visible", 9, 12, None)),
        12,
        0,
        "no detector for: hands",
    )
    mood = FacetCount("expression", (ValueCount("smile", 0, 0, 0.2),), 0, 12, "no detector for: expression")
    gap = Gap("face_angle", "profile", 2, 1, 10, 0.2, "")
    result = Analysis(12, 3, (angle, hands, mood), (gap,), ("only few",))
    left_out = [{"path": f"p/{number}.png", "reason": "blurred"} for number in range(13)]
    left_out[1]["path"] = "p/1\nerror: gone.png"
    data = {
        "dataset": "photos",
        "not_measured": {"expression": "no detector for: expression"},
        "missing_models": ["hands: get one"],
        "left_out": left_out,
    }
    lines = analysis_lines(result, data)
    assert lines[0] == "photos: 12 images counted, 3 of them synthetic"
    assert lines[2].split() == ["Facet", "Value", "Count", "Share", "Target", "Missing"]
    rows = {tuple(line.split()) for line in lines}
    assert ("face_angle", "front", "9", "90.0%", "30%", "-") in rows
    assert ("profile", "1", "10.0%", "20%", "2") in rows
    assert ("composition", "hands_visible", "not", "measured", "-", "30%", "-") in rows
    assert ("eyes_visible", "9", "75.0%", "-", "-") in rows
    assert not any("smile" in row for row in rows)
    text = "\n".join(lines)
    assert "Not measured: 1\n  - expression (no detector for: expression)" in text
    assert "Models that are missing or broken: 1\n  - hands: get one" in text
    assert (
        "Left out: 13\n  - p/0.png: blurred\n  - p/1\\nerror: gone.png: blurred" in text
        and "  - and 3 more (--json lists all)" in text
    )
    assert lines[-1] == "Note: only few"


@pytest.mark.parametrize(
    ("rejected", "unsure"),
    [
        ("rejected_1", "unsure_1"),
        ("outputs/rejected/person", "outputs/unsure/person"),
        ("bad", "bad_unsure"),
        ("rejected/rejected_2", "rejected/unsure_2"),
    ],
)
def test_where_undecided_images_go(rejected: str, unsure: str) -> None:
    assert unsure_beside(Path(rejected)) == Path(unsure)


def test_sections_of_figures() -> None:
    found = {
        "detectors": "nano-1",
        "renders": {
            "face_iou": {"value": 0.912, "low": 0.9, "high": 0.92, "n": 200},
            "hands_f1": 0.95,
            "angles": {"front": 0.8, "profile": 0.75},
        },
        "empty": {},
        "list": {"errors": [1.5, 2]},
    }
    text = "\n".join(section_lines(found))
    assert text.startswith("detectors: nano-1\n\nRenders\n")
    assert "0.912 (0.9 to 0.92, n=200)" in text and "front 0.8, profile 0.75" in text and "1.5, 2" in text
