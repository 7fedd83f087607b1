"""The tree of a run, and time stamps."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from twinloop.store.clock import SystemClock
from twinloop.store.run.workspace import Workspace, lies_in, shown_path


def test_the_seeds_tree() -> None:
    space = Workspace(Path("outputs/bootstrap"), Path("outputs/lora_models/alice"))
    named = [
        space.history,
        space.gaps(1),
        space.synthetic(2),
        space.approved(1),
        space.rejected(1),
        space.final_lora,
        space.report,
    ]
    assert [path.as_posix() for path in named] == [
        "outputs/bootstrap/iteration_history.json",
        "outputs/bootstrap/gaps_iter1.json",
        "outputs/bootstrap/synthetic_iter2",
        "outputs/bootstrap/approved_iter1",
        "outputs/bootstrap/rejected_iter1",
        "outputs/lora_models/alice/lora.safetensors",
        "outputs/bootstrap/report.html",
    ]


def test_no_two_things_share_a_path() -> None:
    space = Workspace(Path("out"), Path("loras"))
    single = [
        space.history,
        space.journal,
        space.run_record,
        space.report,
        space.catalog,
        space.identity,
        space.panel,
        space.final_lora,
    ]
    numbered = [
        space.gaps,
        space.shots,
        space.synthetic,
        space.approved,
        space.rejected,
        space.unsure,
        space.verdicts,
        space.dataset,
    ]
    versioned = [space.panel_images, space.panel_score, space.training_work, space.lora, space.lora_record]
    paths = [*single, *(make(n) for make in (*numbered, *versioned) for n in (1, 2, 11))]
    assert len(set(paths)) == len(paths) == 8 + 13 * 3


def test_paths_in_artefacts_are_relative_below_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert shown_path(tmp_path / "photos" / "a b.jpg") == "photos/a b.jpg"
    assert shown_path(Path("photos/../photos/a.jpg")) == "photos/a.jpg"
    assert shown_path(tmp_path.parent / "elsewhere.jpg") == (tmp_path.parent / "elsewhere.jpg").as_posix()


def test_a_stamp_is_a_time_and_can_be_fixed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1735223422")
    assert SystemClock().stamp() == "20241226_143022"
    monkeypatch.delenv("SOURCE_DATE_EPOCH")
    assert re.fullmatch(r"\d{8}_\d{6}", SystemClock().stamp())
    assert os.environ.get("SOURCE_DATE_EPOCH") is None


def test_what_lies_in_a_folder(tmp_path: Path) -> None:
    """By the names, and by where links lead."""
    (tmp_path / "out").mkdir()
    (tmp_path / "photos").mkdir()
    (tmp_path / "out" / "link").symlink_to(tmp_path / "photos")
    (tmp_path / "way").symlink_to(tmp_path / "out")
    for inside in ("out", "out/a/b", "out/link", "way/a", "photos/../out/a"):
        assert lies_in(tmp_path / inside, tmp_path / "out")
    for outside in ("photos", "out/../photos", "outer"):
        assert not lies_in(tmp_path / outside, tmp_path / "out")
