"""`twinloop nano`, with renderer and evaluation in the place of which stand small ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.functional.console import twinloop
from twinloop.nano import evaluate as evaluation
from twinloop.nano.world import photos as world
from twinloop.wiring import base_model_path, nano_detectors_path


class Record:
    def to_json(self) -> dict[str, str]:
        return {"file": "IMG_1.jpg"}


def test_photos_passes_on_what_was_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, Any] = {}

    def write(out: Path, **options: Any) -> list[Record]:
        asked.update(options, out=out)
        return [Record()] * options["count"]

    monkeypatch.setattr(world, "write_photo_set", write)
    said = twinloop(
        capsys,
        "nano",
        "photos",
        "--out",
        tmp_path / "p",
        "--seed",
        3,
        "--count",
        12,
        "--truth",
        tmp_path / "t.json",
        "--json",
    )
    assert asked == {"out": tmp_path / "p", "seed": 3, "count": 12, "size": 640, "truth": tmp_path / "t.json"}
    assert len(said.data["photos"]) == 12
    assert f"Photos: 12 files in {tmp_path / 'p'}" in said.err


def test_photos_refuses_a_full_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine.txt").write_text("do not touch")
    said = twinloop(capsys, "nano", "photos", "--out", tmp_path)
    assert said.code == 2 and "not an empty folder" in said.err
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_evaluate_prints_the_sections(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def evaluate(base: Path, detectors: Path, **options: Any) -> dict[str, Any]:
        asked.extend([base, detectors, options.pop("reporter") is not None, options])
        return {"renders": {"hands_f1": 0.94, "unknown": float("nan")}}

    monkeypatch.setattr(evaluation, "evaluate", evaluate)
    said = twinloop(capsys, "nano", "evaluate", "--renders", 5, "--images", 0)
    assert asked == [Path(base_model_path("nano")), nano_detectors_path(), True, {"renders": 5, "images": 0, "seed": 0}]
    assert "Renders\n  hands_f1  0.94" in said.out
    assert twinloop(capsys, "nano", "evaluate", "--json").data == {"renders": {"hands_f1": 0.94, "unknown": None}}


def test_nano_alone_says_what_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    said = twinloop(capsys, "nano")
    assert said.code == 2
    listed = twinloop(capsys, "nano", "--help").out
    assert "photos" in listed and "evaluate" in listed
