"""Rounds that begin from the best LoRA so far, where that is asked for; else each from the base model."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.functional import loops
from twinloop.errors import ConfigError
from twinloop.store.atomic import read_json


@pytest.mark.parametrize("warm", [False, True])
def test_a_round_begins_from_the_best_version(warm: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    loops.write_photos(Path("photos"))
    outcome = loops.run(loops.settings(training={"preset": "fake", "steps": 3, "warm_start": warm}))
    records = [read_json(Path(f"loras/lora_v{lora.version}.json")) for lora in outcome.loras]
    assert len(records) > 1 and records[0]["asked"]["start_sha256"] == ""
    known = {"", *(record["sha256"] for record in records)}
    for number, record in enumerate(records[1:], start=1):
        start = record["asked"]["start_sha256"]
        assert start in known and bool(start) == warm
        assert not warm or start in [one["sha256"] for one in records[:number]]
        assert "start_from" not in record["asked"], "where it lies decides nothing"


def test_after_a_rollback_a_round_begins_from_the_version_that_went_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("twinloop.stages.decide.drift", lambda _, after: ("overall",) if after.version == 2 else ())
    loops.write_photos(Path("photos"))
    outcome = loops.run(loops.settings(training={"preset": "fake", "steps": 3, "warm_start": True}))
    first, second = outcome.rounds
    assert first.rolled_back and (second.started_from, second.lora.version) == (1, 3)
    begun = read_json(Path("loras/lora_v3.json"))["asked"]["start_sha256"]
    assert begun == read_json(Path("loras/lora_v1.json"))["sha256"]


def test_other_kinds_of_adapters_cannot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match='warm_start goes with "adapter": "lora"'):
        loops.settings(training={"preset": "fake", "adapter": "dora", "warm_start": True})


def test_other_trainers_are_not_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="only the built-in trainer knows warm_start"):
        loops.settings(training={"preset": "fake", "trainer": "kohya", "warm_start": True})
