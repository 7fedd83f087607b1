"""Most pictures show no face that was found."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from twinloop.stages.faceless import FINDING, few_faces_message, foreseen


def prepared(folder: Path, *findings: Any) -> Path:
    record = {"consent": {"kind": "fictional"}, "readiness": {"findings": findings}}
    (folder / "person.json").write_text(json.dumps(record))
    return folder


def test_more_than_half_is_said_with_the_remedy() -> None:
    assert few_faces_message(10, 20) == few_faces_message(0, 0) == ""
    said = few_faces_message(19, 20)
    assert said.startswith("no face was found in 19 of 20 images") and '"validation": {"faces": false}' in said


def test_a_prepared_folder_tells_it_beforehand(tmp_path: Path) -> None:
    assert foreseen(tmp_path) == ""
    assert foreseen(prepared(tmp_path, {"about": "photos", "have": 19, "of": 20})) == ""
    assert foreseen(prepared(tmp_path, {"about": FINDING, "have": 19, "of": 20})) == few_faces_message(19, 20)


@pytest.mark.parametrize("finding", [{}, 3, None, {"about": FINDING}, {"about": FINDING, "have": None, "of": 1}])
def test_a_record_of_another_shape_tells_nothing(finding: Any, tmp_path: Path) -> None:
    assert foreseen(prepared(tmp_path, finding)) == ""
