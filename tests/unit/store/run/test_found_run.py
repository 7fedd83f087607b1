"""The LoRAs of a run that is named by its folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from twinloop.store.atomic import write_json
from twinloop.store.models.step_saves import step_path
from twinloop.store.run.found_run import found_run
from twinloop.store.run.owner import make_own
from twinloop.store.run.workspace import Workspace


def test_what_lies_on_the_way_to_the_first_lora_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    place = Path("outputs", "lora_models", "ana")
    space = Workspace(Path("out"), place)
    write_json(space.run_record, {"settings": {"person_name": "ana"}})
    place.mkdir(parents=True)
    step_path(space.lora(1), 250).write_bytes(b"x")
    assert found_run(Path("out")).lora_dir == Path("out")
    space.lora(1).write_bytes(b"x")
    assert found_run(Path("out")).lora_dir.resolve() == place.resolve()


def test_another_runs_loras_are_none_but_those_of_the_run_that_this_one_is_a_copy_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    first = Workspace(Path("first"), Path("outputs", "lora_models", "ana"))
    begun = {"settings": {"person_name": "ana", "seed": 0}}
    write_json(first.run_record, begun)
    first.lora_dir.mkdir(parents=True)
    first.lora(1).write_bytes(b"x")
    make_own(first)
    for name, seed in (("copy", 0), ("second", 1)):
        write_json(Path(name, "run.json"), {"settings": begun["settings"] | {"seed": seed}})
    found = {name: found_run(Path(name)).lora_dir.resolve() for name in ("first", "copy", "second")}
    assert found["first"] == found["copy"] == first.lora_dir.resolve()
    assert found["second"] == Path("second").resolve()
