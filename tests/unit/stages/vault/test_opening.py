"""What opening a vault says where something in it must not be written."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.stages.vault.makers import fake_vault
from twinloop.errors import NotPermitted, StorageError
from twinloop.stages.vault import opening as opening_module
from twinloop.stages.vault.opening import looked_into, open_vault
from twinloop.store import atomic
from twinloop.store.atomic import write_json
from twinloop.store.vault.decisions import DecisionLog


@pytest.mark.parametrize("opening", [open_vault, looked_into])
def test_only_what_must_not_be_written_elsewhere_is_called_an_output_folder(
    opening: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with fake_vault(tmp_path) as (made, _):
        root = made.vault.root

    def refuse(source: Path, target: Path) -> None:
        raise PermissionError(13, "Permission denied", str(target))

    monkeypatch.setattr(atomic, "rename_over", refuse)
    for path, instead in (
        (root / "people.json", "Name another vault (--vault)"),
        (root / "organized/ana/person.json", "Name another vault (--vault)"),
        (tmp_path / "mine/person.json", "Choose another output folder"),
    ):
        with pytest.raises(StorageError) as told, opening(root):  # type: ignore[operator]
            write_json(path, {})
        assert str(told.value) == f"No permission to write {path}. {instead} or change the permissions."


def test_what_is_open_in_another_program_is_told_so_also_within_a_vault(tmp_path: Path) -> None:
    path = tmp_path / "Choose another output folder" / "people.json"
    with pytest.raises(NotPermitted) as told, atomic.denied_within(tmp_path, "Name another vault"):
        raise NotPermitted(path, "Choose another output folder", held=True)
    assert str(told.value) == (
        f"No permission to write {path}. Name another vault or change the permissions, or close the program that has it"
        " open."
    )
    with pytest.raises(NotPermitted, match="Say it better or") as kept, atomic.denied_within(tmp_path, "Name another"):
        raise NotPermitted(path, "Say it better")
    assert kept.value.__cause__ is None


def test_decisions_are_read_once_to_look_into_a_vault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with fake_vault(tmp_path) as (made, _):
        root = made.vault.root
    read: list[Path] = []

    class Counted(DecisionLog):
        def __init__(self, path: Path, reading: bool = False) -> None:
            read.append(path)
            super().__init__(path, reading)

    monkeypatch.setattr(opening_module, "DecisionLog", Counted)
    with looked_into(root):
        pass
    assert len(read) == 1
