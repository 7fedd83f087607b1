"""Files of a run that somebody else wrote over: each is named, with what to do; none is a defect of the program."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.functional import loops
from twinloop.errors import StateError

RECORDS = (
    "out/dataset_iter0.json",
    "out/dataset_iter1.json",
    "out/gaps_iter1.json",
    "out/gaps_iter2.json",
    "out/identity_reference.json",
    "out/iteration_history.json",
    "out/panel.json",
    "out/panel_v1.json",
    "out/run.json",
    "out/synthetic_iter1/generation_metadata.json",
    "out/verdicts_iter1.json",
    "loras/lora_v1.json",
    "loras/lora_v2.json",
)
MAY_LACK_ALL = {"out/iteration_history.json": "{}"}
"""What is written anew."""


def without_values(text: str) -> str:
    data = json.loads(text)
    return json.dumps(dict.fromkeys(data))


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("finished")
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(home)
        loops.write_photos(Path("photos"))
        loops.run(loops.settings(max_iterations=1))
    return home


@pytest.mark.parametrize("odd", ["{}", "[]", "nulls"])
@pytest.mark.parametrize("record", RECORDS)
def test_a_record_of_another_shape_is_named(
    finished: Path, record: str, odd: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(finished)
    whole, history = Path(record).read_text(), Path("out/iteration_history.json").read_text()
    Path(record).write_text(without_values(whole) if odd == "nulls" else odd)
    try:
        if MAY_LACK_ALL.get(record) == odd:
            loops.run(loops.settings(max_iterations=1))
        else:
            with pytest.raises(StateError, match=Path(record).name if record != "out/run.json" else "other settings"):
                loops.run(loops.settings(max_iterations=1))
    finally:
        Path("out/iteration_history.json").write_text(history)
        Path(record).write_text(whole)


def test_another_programs_notes_in_the_place_of_a_loras_record(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As A1111 and Forge write them beside a LoRA whose card is edited there."""
    monkeypatch.chdir(finished)
    record = Path("loras/lora_v2.json")
    whole = record.read_text()
    record.write_text('{"description": "", "activation text": "ohwx ana", "preferred weight": 0.8}')
    with pytest.raises(StateError, match=r"lora_v2\.json .*Another program may have written it: A1111 and Forge"):
        loops.run(loops.settings(max_iterations=1))
    record.write_text(whole)
    loops.run(loops.settings(max_iterations=1))


@pytest.mark.parametrize("more", [{}, {"not_measured": {}}, {"facets": {}}])
def test_gaps_may_be_written_by_hand(more: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    loops.write_photos(Path("photos"))

    def found(key: str) -> None:
        if key == "iter1.gaps":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        loops.run(loops.settings(max_iterations=1), found)
    wanted = [{"type": "face_angle", "target": "profile", "count": 1}]
    Path("out/gaps_iter1.json").write_text(json.dumps({"recommendations": wanted, **more}))
    (only,) = loops.run(loops.settings(max_iterations=1)).rounds
    assert [(gap.facet, gap.value) for gap in only.gaps] == [("face_angle", "profile")]
