"""Checkpoints: the newest whole one counts, damage is noticed, old ones go."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from twinloop.adapters.trainers.records.checkpoints import Checkpoints  # noqa: E402


def fill(folder: Path, steps: int = 4) -> list[Path]:
    kept = Checkpoints(folder)
    for step in range(1, steps + 1):
        kept.save(step, {"weight": torch.full((3,), float(step)), "count": torch.tensor(step)})
    return sorted(folder.iterdir())


def test_the_newest_two_are_kept(tmp_path: Path) -> None:
    assert [path.name for path in fill(tmp_path)] == ["step_00000003.checkpoint", "step_00000004.checkpoint"]
    newest = Checkpoints(tmp_path).newest()
    assert newest is not None and newest.step == 4
    assert torch.equal(newest.tensors["weight"], torch.full((3,), 4.0)) and newest.tensors["count"] == 4


def test_an_old_one_that_another_program_has_open_goes_with_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a virus scanner or a backup has it on Windows."""
    real, held = os.unlink, {tmp_path / "step_00000001.checkpoint"}

    def unlink(path: Path) -> None:
        if path in held:
            raise PermissionError(13, "The process cannot access the file because it is being used by another process")
        real(path)

    monkeypatch.setattr(os, "unlink", unlink)
    assert len(fill(tmp_path)) == 3
    held.clear()
    Checkpoints(tmp_path).save(5, {"weight": torch.zeros(3)})
    assert [path.name for path in sorted(tmp_path.iterdir())] == [
        "step_00000004.checkpoint",
        "step_00000005.checkpoint",
    ]


def test_an_empty_folder_has_none(tmp_path: Path) -> None:
    assert Checkpoints(tmp_path).newest() is None
    assert Checkpoints(tmp_path / "missing").newest() is None


@pytest.mark.parametrize("damage", ["one bit", "cut", "empty", "nonsense"])
def test_a_damaged_one_is_passed_over(tmp_path: Path, damage: str) -> None:
    spare, newest = fill(tmp_path)
    data = bytearray(newest.read_bytes())
    data[-2] ^= 1
    newest.write_bytes({"one bit": bytes(data), "cut": bytes(data[:50]), "empty": b"", "nonsense": b"x" * 200}[damage])
    found = Checkpoints(tmp_path).newest()
    assert found is not None and found.step == 3
    spare.write_bytes(b"")
    assert Checkpoints(tmp_path).newest() is None


def test_the_old_one_stays_until_the_new_one_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path, 1)

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("twinloop.store.atomic.os.fsync", fail)
    with pytest.raises(Exception, match="disk is full"):
        Checkpoints(tmp_path).save(2, {"weight": torch.zeros(3)})
    found = Checkpoints(tmp_path).newest()
    assert found is not None and found.step == 1
    assert len(list(tmp_path.iterdir())) == 1
