"""A run that is started again takes nothing back: rounds, verdicts, the best LoRA; and it says what it does not use."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.functional import loops
from tests.helpers.fake_photos import fake_photo
from tests.unit.things import Recording
from twinloop.adapters.fakes import FakeGenerator
from twinloop.checks.novelty import Novelty
from twinloop.config import Settings
from twinloop.errors import StateError
from twinloop.store.atomic import sha256_file


class Stopped(BaseException):
    """Stands for a kill."""


def stop_at(key: str) -> Callable[[str], None]:
    def boundary(reached: str) -> None:
        if reached == key:
            raise Stopped

    return boundary


def history() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Path("out/iteration_history.json").read_text())
    return found


def counts() -> list[tuple[int, int, int]]:
    return [(entry["approved"], entry["rejected"], entry["merged"]) for entry in history()["iterations"]]


@pytest.fixture
def stopped_in_round_3(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A run that was killed where its third round had just planned its shots."""
    monkeypatch.chdir(tmp_path)
    loops.write_photos(Path("photos"))
    chosen = loops.settings(max_iterations=3)
    with pytest.raises(Stopped):
        loops.run(chosen, stop_at("iter3.shots"))
    return chosen


def test_rounds_that_were_judged_are_not_judged_anew(
    stopped_in_round_3: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a later version's checks are stricter."""
    before, approved = counts(), loops.tree("out/approved_iter1")
    assert len(before) == 2 and before[0][0] > 0
    real = Novelty.__call__
    monkeypatch.setattr(
        Novelty, "__call__", lambda self, c: real(self, replace(c, limits=replace(c.limits, novelty_distance=64)))
    )
    loops.run(stopped_in_round_3)
    assert counts()[:2] == before and loops.tree("out/approved_iter1") == approved
    assert len(counts()) == 3 and counts()[2][0] == 0, "the third round is judged by the stricter checks"


def test_a_stray_picture_beside_judged_images_changes_no_count(stopped_in_round_3: Settings) -> None:
    before = counts()
    fake_photo(Path("out/synthetic_iter1/contact_sheet.png"), seed=5)
    loops.run(stopped_in_round_3)
    assert counts()[:2] == before


def test_a_rejected_image_may_be_deleted_later(stopped_in_round_3: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where no generator would make the very same bytes again."""
    verdicts = json.loads(Path("out/verdicts_iter1.json").read_text())["verdicts"]
    rejected = next(item["image"] for item in verdicts if item["outcome"] == "rejected")
    (Path("out/synthetic_iter1") / rejected).unlink()
    before, made = counts(), FakeGenerator._image

    def another(self: FakeGenerator, *args: Any) -> Any:
        pixels = made(self, *args).copy()
        pixels[-1, -1, 0] ^= 1
        return pixels

    monkeypatch.setattr(FakeGenerator, "_image", another)
    loops.run(stopped_in_round_3)
    assert counts()[:2] == before and not (Path("out/synthetic_iter1") / rejected).exists()


def test_a_lower_budget_takes_no_round_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    loops.write_photos(Path("photos"))
    loops.run(loops.settings(max_iterations=3))
    before, final = history(), sha256_file(Path("loras/lora.safetensors"))
    assert len(before["iterations"]) == 3
    loops.run(loops.settings(max_iterations=1))
    after = history()
    for field in ("iterations", "loras", "panel", "best_version"):
        assert after[field] == before[field], field
    assert sha256_file(Path("loras/lora.safetensors")) == final


@pytest.mark.parametrize("name", ["lora.safetensors", "lora_kohya.safetensors", "lora_v1.safetensors"])
def test_a_lora_that_no_run_made_is_not_written_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    loops.write_photos(Path("photos"))
    Path("loras").mkdir()
    Path("loras", name).write_bytes(b"mine")
    for training in ({}, {"initial_lora": f"loras/{name}"} if name == "lora.safetensors" else {}):
        with pytest.raises(StateError, match=f"{name}, which no run made"):
            loops.run(loops.settings(training={"preset": "fake", "steps": 3, **training}))
    assert Path("loras", name).read_bytes() == b"mine" and not Path("out").exists()


def test_the_given_lora_may_lie_where_version_1_belongs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    loops.write_photos(Path("photos"))
    loops.run(loops.settings(max_iterations=1, output_dir="old", lora_output_dir="oldloras"))
    Path("loras").mkdir()
    shutil.copy("oldloras/lora_v1.safetensors", "loras/lora_v1.safetensors")
    given = {"preset": "fake", "steps": 3, "initial_lora": "loras/lora_v1.safetensors"}
    for _ in range(2):
        loops.run(loops.settings(max_iterations=1, training=given))
    assert sha256_file(Path("loras/lora_v1.safetensors")) == sha256_file(Path("oldloras/lora_v1.safetensors"))


def test_photos_that_came_later_are_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    loops.write_photos(Path("photos"))
    loops.run(loops.settings(max_iterations=1))
    quiet = Recording()
    loops.run(loops.settings(max_iterations=1), reporter=quiet)
    assert not [line for line in quiet.warnings if "came after" in line]
    fake_photo(Path("photos/NEW_1.png"), seed=900, yaw=75.0)
    heard = Recording()
    loops.run(loops.settings(max_iterations=2), reporter=heard)
    (told,) = [line for line in heard.warnings if "came after" in line]
    assert told.startswith("1 picture in photos came after this run had begun and is not used (such as NEW_1.png)")
    assert "--restart" in told


def test_photos_that_are_links_are_none_of_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    loops.write_photos(Path("album"))
    Path("photos").mkdir()
    for photo in Path("album").iterdir():
        (Path("photos") / photo.name).symlink_to(photo.resolve())
    heard = Recording()
    for _ in range(2):
        loops.run(loops.settings(max_iterations=1), reporter=heard)
    assert not [line for line in heard.warnings if "came after" in line]


def test_the_folder_of_another_person_is_not_this_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    loops.write_photos(Path("photos"))
    loops.write_photos(Path("bob"), 12)
    loops.run(loops.settings(max_iterations=1))
    with pytest.raises(StateError, match=r"another folder than dataset_dir \(bob\)"):
        loops.run(loops.settings(max_iterations=2, dataset_dir="bob"))
