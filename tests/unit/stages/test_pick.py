"""The final LoRA and its copy for other programs are of one version."""

from __future__ import annotations

from pathlib import Path

import pytest

from twinloop.errors import InputError
from twinloop.stages.pick import pick, picked
from twinloop.store.lora_file import kohya_path
from twinloop.store.workspace import Workspace


@pytest.fixture
def space(tmp_path: Path) -> Workspace:
    """A first version that the user brought, without a kohya copy, and one that was trained."""
    made = Workspace(tmp_path / "run", tmp_path / "loras")
    made.root.mkdir()
    made.lora_dir.mkdir()
    made.lora(1).write_text("v1")
    made.lora(2).write_text("v2")
    kohya_path(made.lora(2)).write_text("v2 for kohya")
    return made


def test_a_picked_version_is_the_final_one(space: Workspace) -> None:
    assert picked(space) is None
    record = pick(space, 2)
    assert record["version"] == 2 and picked(space) == record
    assert (space.final_lora.read_text(), kohya_path(space.final_lora).read_text()) == ("v2", "v2 for kohya")


def test_no_copy_of_another_version_is_left_beside_it(space: Workspace) -> None:
    pick(space, 2)
    pick(space, 1)
    assert space.final_lora.read_text() == "v1"
    assert not kohya_path(space.final_lora).exists()


def test_only_versions_that_are_there_can_be_picked(space: Workspace) -> None:
    with pytest.raises(InputError, match="Known: v1, v2"):
        pick(space, 3)
