"""Which LoRAs of steps there are, how they are called, and which of them stay."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.contract.makers import TRAINING
from twinloop.errors import StateError
from twinloop.store.models.lora_file import kohya_path
from twinloop.store.models.step_saves import StepSaves, is_step_save, step_path
from twinloop.store.run.put_aside import in_the_way
from twinloop.store.run.workspace import Workspace


def test_names_are_those_of_sd_scripts() -> None:
    lora = Path("loras/lora_v2.safetensors")
    assert step_path(lora, 750) == Path("loras/lora_v2-step00000750.safetensors")
    assert is_step_save(step_path(lora, 750)) and is_step_save(kohya_path(step_path(lora, 750)))
    assert not is_step_save(lora) and not is_step_save(kohya_path(lora))


@pytest.mark.parametrize(
    ("every", "kept", "count"), [(0, 0, 0), (0, 3, 0), (250, 0, 6), (250, 4, 4), (400, 4, 3), (2000, 0, 0)]
)
def test_how_many_there_are(every: int, kept: int, count: int) -> None:
    settings = replace(TRAINING, steps=1500, save_every=every, max_step_saves_to_keep=kept)
    assert StepSaves.of(settings, Path("lora.safetensors")).count == count


def test_only_its_own_old_files_go(tmp_path: Path) -> None:
    lora = tmp_path / "lora.safetensors"
    saves = StepSaves(lora, every=10, kept=2, steps=100)
    for step in (5, 10, 20, 30, 40):
        for path in (step_path(lora, step), kohya_path(step_path(lora, step))):
            path.write_text("x")
    (tmp_path / "lora-step00000010.txt").write_text("mine")
    saves.drop_old(40)
    left = [path for step in (5, 30, 40) for path in (step_path(lora, step), kohya_path(step_path(lora, step)))]
    assert saves.there() == left
    assert step_path(lora, 5).exists() and not kohya_path(step_path(lora, 20)).exists()
    assert (tmp_path / "lora-step00000010.txt").exists()
    assert saves.at(15) is None and saves.at(50) == step_path(lora, 50)


def test_those_of_another_training_are_in_the_way_whatever_their_step(tmp_path: Path) -> None:
    lora = tmp_path / "ana [1].safetensors"
    step_path(tmp_path / "bea.safetensors", 10).write_text("x")
    saves = StepSaves(lora, every=10, kept=0, steps=20)
    saves.check_free()
    step_path(lora, 45).write_text("x")
    with pytest.raises(StateError, match=r"step00000045\.safetensors is there already"):
        saves.check_free()
    replace(saves, every=0).check_free()  # it writes none


def test_they_go_with_the_run_that_is_put_aside(tmp_path: Path) -> None:
    space = Workspace(tmp_path / "run", tmp_path / "loras")
    space.lora_dir.mkdir()
    mine = space.lora_dir / "style-step00000100.safetensors"
    own = [space.lora(1), step_path(space.lora(1), 250), kohya_path(step_path(space.lora(1), 250))]
    for path in (*own, mine):
        path.write_text("x")
    assert set(in_the_way(space)) == set(own)
