"""A run's folders are one process's, that of the LoRAs too."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from twinloop.errors import InputError, Locked
from twinloop.store.lock import holder
from twinloop.store.run.in_use import in_use
from twinloop.store.run.put_aside import put_aside
from twinloop.store.run.workspace import Workspace


def test_two_runs_with_one_folder_of_loras_do_not_run_at_once(tmp_path: Path) -> None:
    first, second = (Workspace(tmp_path / name, tmp_path / "loras") for name in ("one", "two"))
    with in_use(first):
        said = rf"loras is in use by another run \(process {os.getpid()}\)\. Wait for it, or choose another lora_output"
        with pytest.raises(Locked, match=said), in_use(second):
            pass
    with in_use(second):
        pass


@pytest.mark.parametrize("loras", ["out", "out/../out", "link"])
def test_a_run_with_one_folder_for_all_does_not_stand_in_its_own_way(tmp_path: Path, loras: str) -> None:
    (tmp_path / "link").symlink_to("out")
    with in_use(Workspace(tmp_path / "out", tmp_path / loras)):
        assert holder(tmp_path / "out") is not None
    with in_use(Workspace(tmp_path / "out", tmp_path / "out" / "loras")):
        assert holder(tmp_path / "out" / "loras") is not None


def test_a_new_folder_of_loras_goes_again_where_none_came(tmp_path: Path) -> None:
    space = Workspace(tmp_path / "out", tmp_path / "a" / "loras")
    with pytest.raises(InputError), in_use(space):
        raise InputError("no usable photo")
    assert not (tmp_path / "a").exists()
    with pytest.raises(InputError), in_use(space):
        space.lora(1).write_text("x")
        raise InputError("no usable photo")
    assert space.lora(1).is_file()


def test_of_a_run_that_goes_on_no_other_one_puts_the_loras_aside(tmp_path: Path) -> None:
    first, second = (Workspace(tmp_path / name, tmp_path / "loras") for name in ("one", "two"))
    with in_use(first):
        first.lora(1).write_text("x")
        second.root.mkdir()
        with pytest.raises(Locked, match="loras is in use by another run"):
            put_aside(second)
        assert first.lora(1).is_file()
    assert dict(put_aside(second))[second.lora_dir] == tmp_path / "loras.old1", "its lock goes with it"
    assert not second.lora_dir.exists()
