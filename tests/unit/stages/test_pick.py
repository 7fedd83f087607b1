"""The final LoRA and its copy for other programs are of one version."""

from __future__ import annotations

from pathlib import Path

import pytest

from twinloop.errors import InputError, StateError
from twinloop.stages.pick import pick, picked
from twinloop.store.atomic import sha256_file, write_json
from twinloop.store.models.lora_file import kohya_path
from twinloop.store.models.step_saves import step_path
from twinloop.store.run.workspace import Workspace


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


def test_a_version_that_was_damaged_or_exchanged_is_not_handed_out(space: Workspace) -> None:
    pick(space, 1)
    write_json(space.lora_record(2), {"sha256": sha256_file(space.lora(2))})
    pick(space, 2)
    space.lora(2).write_text("V2")
    with pytest.raises(StateError, match=r"not the file that lora_v2\.json tells of.*Put the right file back"):
        pick(space, 2)
    assert space.final_lora.read_text() == "v2"


def test_only_versions_that_are_there_can_be_picked(space: Workspace) -> None:
    step_path(space.lora(2), 750).write_text("v2 on its way")
    with pytest.raises(InputError, match=r"Known: v1, v2\.$"):
        pick(space, 3)
