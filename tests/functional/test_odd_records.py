"""Files of a run that somebody else wrote over: each is named, with what to do; none is a defect of the program."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Iterator
from copy import deepcopy
from functools import reduce
from pathlib import Path
from typing import Any

import pytest

from tests.functional import loops
from twinloop.errors import StateError, TwinLoopError
from twinloop.report.page import write_report
from twinloop.steps import standing
from twinloop.store.run.workspace import workspace_of

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


GONE = object()
"""Stands for a field that is not there."""


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
            with pytest.raises(StateError, match=Path(record).name):
                loops.run(loops.settings(max_iterations=1))
    finally:
        Path("out/iteration_history.json").write_text(history)
        Path(record).write_text(whole)


CASES = 4
"""Damages of each record that are tried, of all that there are; always the same ones."""


def damages(data: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Each field of a record with another kind of value, or without it (`GONE`); of lists, their first element."""
    for other in (None, [], {}, "x", -1.5, [[1]], {"a": [1]}):
        if other != data:
            yield place, other
    if place:
        yield place, GONE
    inside = data.items() if isinstance(data, dict) else enumerate(data[:1]) if isinstance(data, list) else ()
    for key, value in inside:
        yield from damages(value, (*place, key))


def damaged(data: Any, place: tuple[Any, ...], value: Any) -> Any:
    if not place:
        return value
    copy = deepcopy(data)
    *above, last = place
    inner = reduce(lambda found, key: found[key], above, copy)
    if value is GONE:
        del inner[last]
    else:
        inner[last] = value
    return copy


@pytest.fixture(scope="module")
def without_hashes(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same run with all that it may leave behind, and without its journal, so that every record is looked into."""
    home = tmp_path_factory.mktemp("looked_into")
    shutil.copytree(finished, home, dirs_exist_ok=True)
    (home / "out/journal.jsonl").unlink()
    (home / "loras/final.json").write_text('{"version": 1, "picked_by": "person", "when": "2026-01-01T00:00:00Z"}')
    return home


@pytest.mark.parametrize("record", [*RECORDS, "out/shots_iter1.json", "out/versions.json", "loras/final.json"])
def test_no_damage_of_a_record_is_a_defect_of_the_program(
    without_hashes: Path, record: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever stands there, the run goes on or says what is wrong; so do the report and the look at how far it is."""
    text = (without_hashes / record).read_text()
    data = json.loads(text)
    found = [json.dumps(damaged(data, *damage)) for damage in damages(data)]
    chosen = loops.settings(max_iterations=1)
    space = workspace_of(chosen)
    looks = (lambda: standing(chosen, space), lambda: write_report(space), lambda: loops.run(chosen))
    told = 0
    for number, odd in enumerate(["", text[: len(text) // 2], *random.Random(record).sample(found, CASES)]):
        home = tmp_path / str(number)
        shutil.copytree(without_hashes, home)
        monkeypatch.chdir(home)
        Path(record).write_text(odd)
        for look in looks:
            try:
                look()
            except TwinLoopError as error:
                told += Path(record).name in str(error)
    assert told or record == "out/versions.json"


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
