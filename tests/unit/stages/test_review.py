"""What a person is asked about, as it is read from the record of a round."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.unit.things import result
from twinloop.domain.verdicts import Outcome, Verdict
from twinloop.errors import StateError
from twinloop.stages.review import read_verdicts

MADE = Verdict("made.png", "ab", "face_angle", "profile", (result(Outcome.UNSURE, "identity", None),))
GIVEN_UP = Verdict("given_up.png", "", "face_angle", "profile", (result(Outcome.REJECTED, "on_target"),), early=0.6)


def test_only_what_there_is_to_see_is_asked_about(tmp_path: Path) -> None:
    path = tmp_path / "verdicts_iter1.json"
    path.write_text(json.dumps({"verdicts": [GIVEN_UP.to_json(), MADE.to_json()]}))
    assert read_verdicts(path) == [MADE]


@pytest.mark.parametrize(
    "damaged", ["[]", "{}", '{"verdicts": 3}', '{"verdicts": [{"image": "a.png"}]}', '{"verdicts": ["a"]}']
)
def test_a_damaged_record_is_named(tmp_path: Path, damaged: str) -> None:
    path = tmp_path / "verdicts_iter1.json"
    path.write_text(damaged)
    with pytest.raises(StateError, match=r"verdicts_iter1\.json does not hold .* Move it away and run the loop again"):
        read_verdicts(path)
